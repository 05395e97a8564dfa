//! The service that answers settings questions: always, in time, and never with settings that JaaS would misread.

mod builder;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;

pub use self::builder::SettingsServiceBuilder;
use super::flight::{Failed, Flights, Outcome};
use super::meeting::MeetingSettings;
use super::policy::{FailurePolicy, PasscodeKey, Policy};
use super::provider::SettingsProvider;
use super::recent::{LastAnswers, Meeting};
use super::record::{SettingsFailure, SettingsRecord, SettingsSource};
use super::recorder::Recorder;
use super::request::SettingsRequest;
use super::value::Passcode;
use crate::auth::Auth;
use crate::id::Fqn;
use crate::reply::Reply;
use crate::telemetry::{self, Escaped, target};
use crate::timestamp::Timestamp;

/// Asks a [`SettingsProvider`] and answers JaaS with its settings or, when it fails or exceeds the timeout, with what
/// the [`FailurePolicy`] decides. Pass it to [`ReceiverBuilder::settings`](crate::ReceiverBuilder::settings).
///
/// - **Timeout.** JaaS waits about 3 s in total (seen). The provider has 1.5 s by default; then its future is dropped
///   and the policy answers.
/// - **One call per room.** Questions about the same meeting at the same time share one call, and each waits for it
///   until its own deadline. When the call ends at the deadline of the question that started it, another call starts
///   for the questions that have time left.
/// - **Bounds.** Beyond [`max_calls`](SettingsServiceBuilder::max_calls) calls at the same time the policy answers
///   immediately.
/// - **Evidence.** Each answer leaves a [`SettingsRecord`], if the settings service has a
///   [log](SettingsServiceBuilder::records). The record is written after the answer.
///
/// Cloning is cheap and shares everything.
///
/// ```
/// use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService, SettingsRequest};
/// use jaas_core::Timestamp;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let provider = Fixed::new(MeetingSettings::builder().lobby_enabled(true).build()?);
/// let service = SettingsService::builder(provider, FailurePolicy::fail_closed()).build()?;
///
/// let question = br#"{"fqn":"vpaas-magic-cookie-1/math"}"#;
/// let question = SettingsRequest::parse("main", Timestamp::from_secs(1_760_000_000), question.as_slice().into())?;
/// let reply = service.answer(question).await;
/// assert_eq!((reply.status(), reply.json().unwrap().as_ref()), (200, br#"{"lobbyEnabled":true}"#.as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SettingsService(Arc<Inner>);

struct Inner {
    flights: Flights,
    policy: Policy,
    timeout: Duration,
    waiting: Semaphore,
    auth: Option<Auth>,
    key: PasscodeKey,
    last_good: Option<Mutex<LastAnswers>>,
    recorder: Option<Recorder>,
}

/// What to answer, and who decided it.
struct Decision {
    source: SettingsSource,
    settings: Result<Arc<MeetingSettings>, String>,
    failed: Option<Failed>,
}

impl SettingsService {
    /// The longest timeout of a provider, 2.5 s: the answer must travel within the 3 s that JaaS waits.
    pub const MAX_TIMEOUT: Duration = Duration::from_millis(2500);

    /// Starts to build a settings service. A failure policy is required.
    pub fn builder(provider: impl SettingsProvider, policy: FailurePolicy) -> SettingsServiceBuilder {
        SettingsServiceBuilder::new(Arc::new(provider), policy)
    }

    /// Answers an authenticated question, within the timeout.
    pub async fn answer(&self, request: SettingsRequest) -> Reply {
        let asked_at = Instant::now();
        let inner = &*self.0;
        let meeting = Meeting::of(&request);
        let outcome = match inner.waiting.try_acquire() {
            Ok(_turn) => inner.flights.ask(&request, &meeting, asked_at + inner.timeout).await,
            Err(_) => Err(Failed::new(SettingsFailure::Overloaded)),
        };
        let decision = inner.decide(outcome, &request.fqn, Some(meeting));
        inner.report(decision, request.endpoint, request.fqn, request.received_at, asked_at)
    }

    /// Answers a request to the settings path that does not name a meeting. It counts as a failure, because a refusal
    /// would open a room.
    pub(crate) fn answer_unreadable(
        &self,
        endpoint: Arc<str>,
        received_at: Timestamp,
        why: &dyn fmt::Display,
    ) -> Reply {
        let (asked_at, fqn) = (Instant::now(), Fqn::new(""));
        let failed = Failed { failure: SettingsFailure::Unreadable, error: Some(why.to_string().into()) };
        let decision = self.0.decide(Err(failed), &fqn, None);
        self.0.report(decision, endpoint, fqn, received_at, asked_at)
    }

    /// Returns the passcode that [`FailurePolicy::fail_closed`] gives this room, so that you can pass it on to
    /// authorized people. `None` when the policy never closes a room.
    pub fn passcode_when_closed(&self, fqn: &Fqn) -> Option<Passcode> {
        self.0.policy.closes().then(|| self.0.key.passcode(fqn))
    }

    /// How many calls of the provider are in flight; for a gauge.
    pub fn calls_in_flight(&self) -> usize {
        self.0.flights.len()
    }

    /// Writes the queued records, for 20 s at most. Later questions are still answered, but leave no record. Call it
    /// after the server has stopped and before the store is closed.
    pub async fn close(&self) {
        if let Some(recorder) = &self.0.recorder {
            recorder.close().await;
        }
    }

    /// How a question is authenticated, when it differs from the endpoint's events.
    pub(crate) fn auth(&self) -> Option<&Auth> {
        self.0.auth.as_ref()
    }
}

impl Inner {
    fn decide(&self, outcome: Outcome, fqn: &Fqn, meeting: Option<Meeting>) -> Decision {
        match outcome {
            Ok(settings) => {
                if let (Some(last_good), Some(meeting)) = (&self.last_good, meeting) {
                    last_good.lock().insert(meeting, (settings.clone(), Instant::now()));
                }
                Decision { source: SettingsSource::Provider, settings: Ok(settings), failed: None }
            }
            Err(failed) => {
                let (source, settings) = self.by_policy(&self.policy, fqn, meeting.as_ref());
                Decision { source, settings, failed: Some(failed) }
            }
        }
    }

    /// Returns the decision of the policy.
    fn by_policy(
        &self,
        policy: &Policy,
        fqn: &Fqn,
        meeting: Option<&Meeting>,
    ) -> (SettingsSource, Result<Arc<MeetingSettings>, String>) {
        match policy {
            Policy::Fallback(settings) => (SettingsSource::Fallback, Ok(Arc::new((**settings).clone()))),
            Policy::FailClosed => (SettingsSource::FailClosed, Ok(Arc::new(self.key.closed(fqn)))),
            Policy::Refuse { message } => (SettingsSource::Refused, Err(message.clone())),
            Policy::LastKnownGood { max_age, then } => match self.known(meeting, *max_age) {
                Some(settings) => (SettingsSource::LastKnownGood, Ok(settings)),
                None => self.by_policy(then, fqn, meeting),
            },
        }
    }

    fn known(&self, meeting: Option<&Meeting>, max_age: Duration) -> Option<Arc<MeetingSettings>> {
        let last_good = self.last_good.as_ref()?.lock();
        let (settings, at) = last_good.get(meeting?)?;
        (at.elapsed() <= max_age).then(|| settings.clone())
    }

    /// Logs, counts and records a decision, and builds its reply.
    fn report(
        &self,
        decision: Decision,
        endpoint: Arc<str>,
        fqn: Fqn,
        received_at: Timestamp,
        asked_at: Instant,
    ) -> Reply {
        let Decision { source, settings, failed } = decision;
        let took = asked_at.elapsed();
        let failure = failed.as_ref().map(|failed| failed.failure);
        let error = failed.and_then(|failed| failed.error);
        log(&endpoint, source, failure, error.as_deref(), took);
        count(&endpoint, source, failure, took);
        let reply = match &settings {
            Ok(settings) => Reply::Settings(settings.to_answer().into()),
            Err(message) => Reply::settings_refused(message),
        };
        if let Some(recorder) = &self.recorder {
            let answer = match &settings {
                Ok(settings) => settings.to_hidden(),
                Err(_) => {
                    reply.json().map(|json| String::from_utf8_lossy(json).into_owned()).unwrap_or_default()
                }
            };
            let decided_by =
                settings.as_ref().ok().and_then(|settings| settings.decided_by().map(str::to_owned));
            recorder.record(SettingsRecord {
                took,
                failure,
                error: error.map(|error| error.to_string()),
                decided_by,
                ..SettingsRecord::new(endpoint, fqn, received_at, source, answer)
            });
        }
        reply
    }
}

/// The log does not name the room: the name can be personal, and the record has it.
fn log(
    endpoint: &str,
    source: SettingsSource,
    failure: Option<SettingsFailure>,
    error: Option<&str>,
    took: Duration,
) {
    let error = error.unwrap_or_default();
    match failure {
        None => tracing::debug!(target: target::SETTINGS, endpoint, %source, ?took, "settings answered"),
        Some(SettingsFailure::NoSettingsForRoom) => {
            tracing::warn!(target: target::SETTINGS, endpoint, %source, ?took, "the settings provider has no settings for the room; the failure policy answered");
        }
        Some(SettingsFailure::Overloaded) => {
            tracing::warn!(target: target::SETTINGS, endpoint, %source, ?took, "too many settings questions at the same time; the failure policy answered");
        }
        Some(SettingsFailure::Unreadable) => {
            tracing::warn!(target: target::SETTINGS, endpoint, %source, error = %Escaped(error), "a settings question does not name a meeting; the failure policy answered");
        }
        Some(SettingsFailure::TimedOut) => {
            tracing::error!(target: target::SETTINGS, endpoint, %source, ?took, "the settings provider exceeded its timeout; the failure policy answered");
        }
        Some(SettingsFailure::Failed) => {
            tracing::error!(target: target::SETTINGS, endpoint, %source, ?took, error = %Escaped(error), "the settings provider failed; the failure policy answered");
        }
        Some(SettingsFailure::Panicked) => {
            tracing::error!(target: target::SETTINGS, endpoint, %source, ?took, error = %Escaped(error), "the settings provider panicked; the failure policy answered");
        }
    }
}

fn count(endpoint: &Arc<str>, source: SettingsSource, failure: Option<SettingsFailure>, took: Duration) {
    let failure = failure.map_or("none", SettingsFailure::as_str);
    let (endpoint, source) = (|| endpoint.clone().into(), source.as_str());
    telemetry::SETTINGS_ANSWERS.add(1, [endpoint(), source.into(), failure.into()]);
    telemetry::SETTINGS_SECONDS.record(took.as_secs_f64(), [endpoint(), source.into()]);
}

impl fmt::Debug for SettingsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsService")
            .field("policy", &self.0.policy)
            .field("timeout", &self.0.timeout)
            .field("auth", &self.0.auth)
            .field("calls_in_flight", &self.calls_in_flight())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<SettingsService>();
    shared_between_threads::<SettingsServiceBuilder>();
};
