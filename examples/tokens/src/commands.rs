//! Commands to a running meeting, over HTTP.
//!
//! Address, method, body and token are documented on <https://developer.8x8.com/jaas/docs/webhooks-jaas-endpoints>. The
//! replies are not: neither their codes nor their bodies.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jaas_core::{AppId, Clock, ParticipantId};
use serde_json::{Value, json};

use crate::key::SigningKey;

/// Where JaaS takes commands (documented).
const JAAS: &str = "https://8x8.vc/v1/_jaas";

/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Gives commands to meetings of one tenant.
#[derive(Clone)]
pub struct Commands {
    // It follows no redirects: the token is for 8x8 only.
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: Arc<SigningKey>,
    clock: Arc<dyn Clock>,
}

impl Commands {
    /// With this key. The clock is for the times in tokens.
    ///
    /// # Errors
    /// When this machine trusts no certificates at all.
    pub fn new(key: SigningKey, clock: impl Clock) -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            // For tests; the default is https.
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, base: JAAS.to_owned(), key: Arc::new(key), clock: Arc::new(clock) })
    }

    /// Sends commands elsewhere, for tests. Defaults to `https://8x8.vc/v1/_jaas`.
    #[must_use]
    pub fn at(mut self, base: impl Into<String>) -> Self {
        self.base = base.into();
        self
    }

    /// The tenant whose meetings it can command.
    pub fn app(&self) -> &AppId {
        self.key.app()
    }

    /// Removes a participant, who sees a message about it (documented). `participant` is the connection, as in
    /// `PARTICIPANT_JOINED`; the same user can come back with another one.
    ///
    /// # Errors
    /// When the command was not accepted; [`CommandError::kind`] says what to do.
    pub async fn kick(&self, room: &str, participant: &ParticipantId) -> Result<(), CommandError> {
        let payload =
            json!({"conferenceFullName": self.conference(room), "participantId": participant.as_str()});
        self.send("KICK_PARTICIPANT", payload).await
    }

    /// Ends a meeting for everyone.
    ///
    /// # Errors
    /// As [`kick`](Self::kick).
    pub async fn destroy(&self, room: &str) -> Result<(), CommandError> {
        self.send("DESTROY", json!({"conferenceFullName": self.conference(room)})).await
    }

    /// `room@conference.<AppID>.8x8.vc` (documented).
    fn conference(&self, room: &str) -> String {
        format!("{room}@conference.{}.8x8.vc", self.app().as_str())
    }

    async fn send(&self, action: &'static str, payload: Value) -> Result<(), CommandError> {
        let failed = |kind, why: String| CommandError { kind, message: format!("{action}: {why}") };
        let token = self.key.admin(self.clock.now()).map_err(|error| {
            failed(CommandErrorKind::Refused, format!("the token cannot be signed: {error}"))
        })?;
        let request = Request::post(format!("{}/conference-commands/v1/meeting", self.base))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(json!({"action": action, "payload": payload}).to_string().into())
            .map_err(|error| failed(CommandErrorKind::Refused, format!("not a request: {error}")))?;
        let response = match tokio::time::timeout(TIMEOUT, self.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failed(CommandErrorKind::Unavailable, with_causes(&error))),
            Err(_) => {
                return Err(failed(CommandErrorKind::Unavailable, format!("no reply within {TIMEOUT:?}")));
            }
        };
        let status = response.status();
        let kind = match status {
            _ if status.is_success() => return Ok(()),
            StatusCode::NOT_FOUND | StatusCode::GONE => CommandErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => CommandErrorKind::Unavailable,
            _ if status.is_client_error() || status.is_redirection() => CommandErrorKind::Refused,
            _ => CommandErrorKind::Unavailable,
        };
        let remedy = match kind {
            CommandErrorKind::Refused => {
                "; check that the console has the public key, and that the AppID is that of the meeting"
            }
            _ => "",
        };
        Err(failed(kind, format!("JaaS replied {status}{remedy}")))
    }
}

/// The error with its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("base", &self.base).field("key", &self.key).finish_non_exhaustive()
    }
}

/// A command that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandError {
    kind: CommandErrorKind,
    message: String,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandErrorKind {
    /// Nothing: the meeting or the participant is gone. That 404 means this is not documented.
    NotFound,
    /// Try again: JaaS could not be reached, or is overloaded.
    Unavailable,
    /// Correct the configuration: another try gets the same reply.
    Refused,
}

impl CommandError {
    /// What to do about it.
    pub fn kind(&self) -> CommandErrorKind {
        self.kind
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CommandError {}
