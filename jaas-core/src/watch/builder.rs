//! How a watch is configured.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Watch;
use super::endpoint::Endpoints;
use super::rule::Rules;
use super::store::GapStore;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};

/// Builds a [`Watch`].
#[must_use]
pub struct WatchBuilder<S> {
    store: S,
    settings: Settings,
}

/// What a watch goes by.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) rules: Rules,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) name: Arc<str>,
    pub(super) interval: Duration,
    pub(super) retry_interval: Duration,
    pub(super) lease: Duration,
    pub(super) handler_timeout: Duration,
    pub(super) batch: usize,
}

impl<S: GapStore> WatchBuilder<S> {
    pub(super) fn new(store: S) -> Self {
        let settings = Settings {
            rules: Rules::default(),
            clock: Arc::new(SystemClock),
            name: "auditor".into(),
            interval: Duration::from_secs(5),
            retry_interval: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            handler_timeout: Duration::from_secs(10),
            batch: 100,
        };
        Self { store, settings }
    }

    /// Which rules apply, and how long each waits. Defaults to [`Rules::default`].
    pub fn rules(mut self, rules: Rules) -> Self {
        self.settings.rules = rules;
        self
    }

    /// Where the time comes from. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The name recorded with claims, for operators. Defaults to `auditor`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The longest wait before the auditor looks again for sessions that are due. Defaults to 5 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.settings.interval = interval;
        self
    }

    /// How long after a failure of the handler it is called again. Defaults to 1 min.
    pub fn retry_interval(mut self, interval: Duration) -> Self {
        self.settings.retry_interval = interval;
        self
    }

    /// How long a claim of sessions holds. After a crash, sessions that were being audited are audited again when it
    /// ends. Defaults to 60 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long a method of the handler may take. Defaults to 10 s.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handler_timeout = timeout;
        self
    }

    /// How many sessions are claimed at a time, 1 to 1000. Defaults to 100.
    pub fn batch(mut self, sessions: usize) -> Self {
        self.settings.batch = sessions;
        self
    }

    /// Checks the configuration and builds the watch.
    ///
    /// # Errors
    /// [`Range`](ConfigErrorKind::Range) when a time is zero, a rule waits for less than 1 s, or the batch is not 1 to
    /// 1000.
    pub fn build(self) -> Result<Watch<S>, ConfigError> {
        let settings = self.settings;
        settings.rules.check()?;
        for (what, time) in [
            ("interval", settings.interval),
            ("retry_interval", settings.retry_interval),
            ("lease", settings.lease),
            ("handler_timeout", settings.handler_timeout),
        ] {
            if time.is_zero() {
                let why = format!("the watch's {what} must not be zero");
                return Err(ConfigError::new(ConfigErrorKind::Range, why));
            }
        }
        if !(1..=1000).contains(&settings.batch) {
            let why = "the watch's batch must be 1 to 1000 sessions";
            return Err(ConfigError::new(ConfigErrorKind::Range, why));
        }
        Ok(Watch { store: Arc::new(self.store), settings, endpoints: Endpoints::default() })
    }
}

impl<S> fmt::Debug for WatchBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rules", &self.rules)
            .field("name", &self.name)
            .field("interval", &self.interval)
            .field("lease", &self.lease)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
