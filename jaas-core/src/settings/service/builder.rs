//! Configures a settings service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::{Inner, SettingsService};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::settings::flight::Flights;
use crate::settings::policy::{FailurePolicy, PasscodeKey};
use crate::settings::provider::SettingsProvider;
use crate::settings::recent::Recent;
use crate::settings::record::SettingsLog;
use crate::settings::recorder::{Recorder, Writing};
use crate::store::Keep;
use crate::telemetry::target;

/// Builds a [`SettingsService`].
#[must_use]
pub struct SettingsServiceBuilder {
    provider: Arc<dyn SettingsProvider>,
    policy: FailurePolicy,
    timeout: Duration,
    max_calls: usize,
    max_waiting: usize,
    remember_rooms: usize,
    auth: Option<Auth>,
    key: Option<Vec<u8>>,
    records: Option<(Arc<dyn SettingsLog>, Keep)>,
    clock: Arc<dyn Clock>,
}

impl SettingsServiceBuilder {
    pub(super) fn new(provider: Arc<dyn SettingsProvider>, policy: FailurePolicy) -> Self {
        Self {
            provider,
            policy,
            timeout: Duration::from_millis(1500),
            max_calls: 256,
            max_waiting: 4096,
            remember_rooms: 10_000,
            auth: None,
            key: None,
            records: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The timeout of the provider, up to [`MAX_TIMEOUT`](SettingsService::MAX_TIMEOUT). It counts from when the whole
    /// request has arrived. Defaults to 1.5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many calls of the provider may be in flight at the same time. The failure policy answers further questions
    /// immediately; a question about a room with a call in flight does not need another call. Defaults to 256.
    pub fn max_calls(mut self, calls: usize) -> Self {
        self.max_calls = calls;
        self
    }

    /// How many questions may wait for an answer at the same time, including those that share a call. The failure
    /// policy answers further questions immediately. Defaults to 4096.
    pub fn max_waiting(mut self, questions: usize) -> Self {
        self.max_waiting = questions;
        self
    }

    /// The maximum number of rooms whose last answer [`FailurePolicy::last_known_good`] remembers; at least half of it
    /// is used. Defaults to 10,000.
    pub fn remember_rooms(mut self, rooms: usize) -> Self {
        self.remember_rooms = rooms;
        self
    }

    /// How a question is authenticated. Defaults to the [`Auth`] of the receiver.
    ///
    /// 8x8 does not publish whether this call is signed as events are. Begin with the receiver's [`Auth`], and look at
    /// what arrives: the receiver logs and counts it, whether it accepts it or not. If the call carries only the
    /// `Authorization` value of the endpoint, pass [`Auth::authorization`] or [`Auth::signature_or_authorization`]
    /// here; events still need their signature.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// The key from which [`FailurePolicy::fail_closed`] derives passcodes, at least 16 secret bytes. Processes with
    /// the same key give a room the same passcode, also after a restart. Defaults to random bytes, generated when the
    /// settings service is built.
    pub fn passcode_key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Keeps a record of each answer in this log, and purges old ones immediately and then once an hour. Up to 4096
    /// records may wait to be written; further ones are counted and lost, and no answer waits for them. Off by default.
    pub fn records(mut self, log: impl SettingsLog, keep: Keep) -> Self {
        self.records = Some((Arc::new(log), keep));
        self
    }

    /// The clock for the age of records. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the configuration and builds the settings service. With [`records`](Self::records) it starts a task on
    /// the current tokio runtime; [`SettingsService::close`] ends it.
    ///
    /// # Errors
    /// When the timeout is zero or too long, a bound is zero, or the passcode key is too short.
    ///
    /// # Panics
    /// Outside a tokio runtime, with [`records`](Self::records).
    pub fn build(self) -> Result<SettingsService, ConfigError> {
        if self.timeout.is_zero() || self.timeout > SettingsService::MAX_TIMEOUT {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                format!(
                    "the timeout of the settings service is {:?}, and must be more than zero and at most {:?}: JaaS waits about \
                 3 s in all, and then opens the room",
                    self.timeout,
                    SettingsService::MAX_TIMEOUT
                ),
            ));
        }
        for (name, bound) in [("max_calls", self.max_calls), ("max_waiting", self.max_waiting)] {
            if bound == 0 || bound > Semaphore::MAX_PERMITS {
                return Err(ConfigError::new(
                    ConfigErrorKind::Range,
                    format!(
                        "{name} of the settings service must be at least 1; otherwise the failure policy answers every question"
                    ),
                ));
            }
        }
        if self.remember_rooms == 0 {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "remember_rooms of the settings service must be at least 1; choose another failure policy to remember none",
            ));
        }
        let policy = self.policy.0;
        if policy.closes() && !self.provider.answers_every_room() {
            tracing::warn!(
                target: target::SETTINGS,
                "the provider has no settings for some rooms, such as those that no rule matches, and the failure policy closes \
                 them: a lobby, and a passcode that no participant knows; give the rules a default (`[default]` in the file, or \
                 RoomRules::default_settings), which may be empty"
            );
        }
        let clock = self.clock;
        Ok(SettingsService(Arc::new(Inner {
            flights: Flights::new(self.provider, self.max_calls),
            timeout: self.timeout,
            waiting: Semaphore::new(self.max_waiting),
            auth: self.auth,
            key: self.key.map_or_else(PasscodeKey::random, PasscodeKey::given)?,
            last_good: policy.needs_memory().then(|| Mutex::new(Recent::new(self.remember_rooms))),
            policy,
            recorder: self.records.map(|(log, keep)| Recorder::start(Writing { log, keep, clock })),
        })))
    }
}

impl fmt::Debug for SettingsServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsServiceBuilder")
            .field("policy", &self.policy)
            .field("timeout", &self.timeout)
            .field("max_calls", &self.max_calls)
            .field("max_waiting", &self.max_waiting)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
