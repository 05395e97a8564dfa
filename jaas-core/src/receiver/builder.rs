//! What a receiver is built from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Receiver;
use super::counts::Counts;
use super::question::Arrivals;
use super::refusals::Refusals;
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::dispatcher::Dispatcher;
use crate::envelope::MAX_INDEXED_BYTES;
use crate::places::Places;
use crate::settings::SettingsService;
use crate::telemetry::TracePropagator;
use crate::watch::endpoint::Endpoints;

/// Builds a [`Receiver`].
#[must_use]
pub struct ReceiverBuilder {
    endpoint: Arc<str>,
    auth: Auth,
    dispatcher: Arc<dyn Dispatcher>,
    clock: Arc<dyn Clock>,
    max_in_flight: usize,
    timeout: Duration,
    settings: Option<SettingsService>,
    propagator: Option<Arc<dyn TracePropagator>>,
    watched_by: Option<Endpoints>,
}

impl ReceiverBuilder {
    pub(super) fn new(endpoint: Arc<str>, auth: Auth, dispatcher: Arc<dyn Dispatcher>) -> Self {
        Self {
            endpoint,
            auth,
            dispatcher,
            clock: Arc::new(SystemClock),
            max_in_flight: 1024,
            timeout: Duration::from_secs(10),
            settings: None,
            propagator: None,
            watched_by: None,
        }
    }

    /// Answers settings questions with this settings service, whether they come among the events or on a separate path.
    /// They wait for nothing that events wait for, and never get 503. Without it a question is kept like any other body
    /// that is not an event, its room opens to everyone, and the log warns.
    pub fn settings(mut self, service: SettingsService) -> Self {
        self.settings = Some(service);
        self
    }

    /// The clock for checking signatures and stamping receipt. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How many requests may be between receipt and reply at the same time; further ones get 503. Defaults to 1024.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// The timeout of the dispatcher, after which the request gets 503. Defaults to 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Joins deliveries with the traces of the application's tracing system. Off by default.
    pub fn trace_propagator(mut self, propagator: impl TracePropagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Lets a [`Watch`](crate::watch::Watch) notice when the endpoint is silent against its habit, or begins to refuse
    /// every delivery. Off by default.
    pub fn watched_by(mut self, endpoints: &Endpoints) -> Self {
        self.watched_by = Some(endpoints.clone());
        self
    }

    /// Checks the configuration and builds the receiver.
    ///
    /// # Errors
    /// When the endpoint's name is empty or too long, or a value is zero.
    pub fn build(self) -> Result<Receiver, ConfigError> {
        let name = &*self.endpoint;
        if name.trim().is_empty() || name.len() > MAX_INDEXED_BYTES || name.contains(char::is_control) {
            return Err(ConfigError::new(
                ConfigErrorKind::Name,
                format!(
                    "the endpoint's name must have 1 to {MAX_INDEXED_BYTES} bytes and no control characters; give it a \
                 short word such as \"main\""
                ),
            ));
        }
        if self.max_in_flight == 0 || self.max_in_flight > Places::MOST {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                format!(
                    "max_in_flight must be from 1 to {}; with 0, every request would get 503",
                    Places::MOST
                ),
            ));
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "timeout must not be zero; otherwise every request gets 503",
            ));
        }
        Ok(Receiver {
            counts: Counts::new(&self.endpoint, self.auth.secrets()),
            watched: self.watched_by.map(|endpoints| endpoints.endpoint(&self.endpoint)),
            endpoint: self.endpoint,
            auth: self.auth,
            dispatcher: self.dispatcher,
            clock: self.clock,
            in_flight: Places::new(self.max_in_flight),
            timeout: self.timeout,
            closed: AtomicBool::new(false),
            settings: self.settings,
            questions: Arrivals::default(),
            refusals: Refusals::default(),
            propagator: self.propagator,
        })
    }
}

impl fmt::Debug for ReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder")
            .field("endpoint", &self.endpoint)
            .field("auth", &self.auth)
            .field("max_in_flight", &self.max_in_flight)
            .field("timeout", &self.timeout)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
