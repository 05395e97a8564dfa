//! Settings questions among the requests of a receiver.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::Receiver;
use crate::auth::{AuthMethod, Credentials};
use crate::envelope::Fields;
use crate::reply::Reply;
use crate::settings::{self, SettingsRequest, SettingsRequestError, SettingsService};
use crate::telemetry::{self, target};
use crate::timestamp::Timestamp;

/// A question is a few hundred bytes. A longer body is not parsed before it is authenticated.
const MAX_LOOKED_AT: usize = 4096;

/// Whether an unauthenticated body would be a question.
pub(super) fn looks_like_one(body: &[u8]) -> bool {
    body.len() <= MAX_LOOKED_AT && Fields::parse(body).is_ok_and(|fields| settings::is_question(&fields))
}

/// A question that is proven genuine.
pub(super) struct Question<'a> {
    pub(super) service: &'a SettingsService,
    pub(super) asked: Result<SettingsRequest, SettingsRequestError>,
    pub(super) proof: AuthMethod,
    pub(super) now: Timestamp,
}

impl Receiver {
    /// Answers an authenticated question.
    pub(super) async fn answer(&self, question: Question<'_>, credentials: Credentials<'_>) -> Reply {
        let Question { service, asked, proof, now } = question;
        if service.auth().is_none() {
            self.counts.authentic(proof, now);
        }
        self.questions.accepted(&self.endpoint, credentials);
        match asked {
            Ok(request) => service.answer(request).await,
            Err(why) => service.answer_unreadable(self.endpoint.clone(), now, &why),
        }
    }

    pub(super) fn warn_of_no_service(&self) {
        tracing::warn!(
            target: target::SETTINGS, endpoint = %self.endpoint,
            "JaaS asks for the settings of a meeting, and the receiver has no settings service: the room opens without lobby and passcode. Give \
             the receiver a service with ReceiverBuilder::settings, or remove SETTINGS_PROVISIONING from this endpoint in the \
             JaaS console"
        );
    }
}

/// The credentials that came with questions. It is not published how this call is authenticated, so each kind is
/// counted, and logged when it is first seen.
#[derive(Debug, Default)]
pub(super) struct Arrivals(AtomicU8);

impl Arrivals {
    fn accepted(&self, endpoint: &Arc<str>, credentials: Credentials<'_>) {
        let arrived = Arrived::of(credentials);
        count(endpoint, arrived, "accepted");
        let bit = 1 << arrived as u8;
        if self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            tracing::info!(target: target::SETTINGS, %endpoint, credentials = arrived.as_str(), "a settings question was accepted; the first with these credentials");
        }
    }

    pub(super) fn refused(&self, endpoint: &Arc<str>, credentials: Credentials<'_>) {
        let arrived = Arrived::of(credentials);
        count(endpoint, arrived, "refused");
        tracing::warn!(
            target: target::SETTINGS, %endpoint, credentials = arrived.as_str(),
            "a settings question was refused. If JaaS has sent it, the room opens without lobby and passcode: see which \
             credentials it carries, and choose them with SettingsServiceBuilder::auth"
        );
    }
}

fn count(endpoint: &Arc<str>, arrived: Arrived, result: &'static str) {
    let labels = [endpoint.clone().into(), arrived.as_str().into(), result.into()];
    telemetry::SETTINGS_CREDENTIALS.add(1, labels);
}

/// Which of the two headers a request has.
#[derive(Debug, Clone, Copy)]
enum Arrived {
    None,
    Signature,
    Authorization,
    Both,
}

impl Arrived {
    fn of(credentials: Credentials<'_>) -> Self {
        match (credentials.signature.is_some(), credentials.authorization.is_some()) {
            (false, false) => Self::None,
            (true, false) => Self::Signature,
            (false, true) => Self::Authorization,
            (true, true) => Self::Both,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Signature => "signature",
            Self::Authorization => "authorization",
            Self::Both => "both",
        }
    }
}
