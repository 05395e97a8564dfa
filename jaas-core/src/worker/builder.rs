//! The configuration of a worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Worker;
use super::process::Process;
use crate::backoff::Backoff;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::handlers::Handlers;
use crate::store::{EventStore, SessionOrder};
use crate::telemetry::TracePropagator;

/// Builds a [`Worker`].
#[must_use]
pub struct WorkerBuilder<S: EventStore> {
    store: S,
    handlers: Handlers<S::Tx>,
    clock: Arc<dyn Clock>,
    name: Arc<str>,
    concurrency: usize,
    lease: Duration,
    handler_timeout: Duration,
    transaction_timeout: Duration,
    backoff: Backoff,
    order: SessionOrder,
    max_crashes: u32,
    poll_interval: Duration,
    propagator: Option<Arc<dyn TracePropagator>>,
}

impl<S: EventStore> WorkerBuilder<S> {
    pub(super) fn new(store: S, handlers: Handlers<S::Tx>) -> Self {
        Self {
            store,
            handlers,
            clock: Arc::new(SystemClock),
            name: "worker".into(),
            concurrency: 16,
            lease: Duration::from_secs(15),
            handler_timeout: Duration::from_secs(60),
            transaction_timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            order: SessionOrder::default(),
            max_crashes: 2,
            poll_interval: Duration::from_secs(1),
            propagator: None,
        }
    }

    /// The clock for leases and retries, unless the store uses the time of its database. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The name recorded with claims, for operators. Defaults to `worker`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// How many handlers may run at the same time. While handlers are quick, the worker claims sessions a little ahead:
    /// as many as begin within about 50 ms, and at most 16 times this number. Defaults to 16.
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = events;
        self
    }

    /// How long a claim holds without renewal. The worker renews it at intervals of a third of this; after a crash,
    /// other workers take over the running events when it ends. Defaults to 15 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The timeout of one run of a [transactional](Handlers::transactional) handler without its own
    /// [timeout](Handlers::timeout). Keep it below the lease: on SQLite no lease can be renewed while such a handler
    /// runs. Defaults to 10 s.
    pub fn transaction_timeout(mut self, limit: Duration) -> Self {
        self.transaction_timeout = limit;
        self
    }

    /// The timeout of one run of a [plain](Handlers::plain) handler without its own [timeout](Handlers::timeout).
    /// Defaults to 60 s.
    pub fn handler_timeout(mut self, limit: Duration) -> Self {
        self.handler_timeout = limit;
        self
    }

    /// When to run a failed event again, and after how many failures it becomes a dead letter. Defaults to
    /// [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How the events of one session follow each other. Defaults to [`SessionOrder::default`].
    pub fn order(mut self, order: SessionOrder) -> Self {
        self.order = order;
        self
    }

    /// After how many crashes while it was running an event becomes a dead letter. Defaults to 2.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.max_crashes = crashes;
        self
    }

    /// How often to look for work that nothing announced, such as events accepted by another process. The wait is
    /// between three quarters and all of this, so that many workers do not poll at the same time. Defaults to 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Makes each run of an event part of the trace that the event belongs to. Off by default.
    pub fn trace_propagator(mut self, propagator: impl TracePropagator) -> Self {
        self.propagator = Some(Arc::new(propagator));
        self
    }

    /// Checks the configuration and builds the worker.
    ///
    /// # Errors
    /// When there is no handler, when two have the same name, or when a value is zero.
    pub fn build(self) -> Result<Worker<S>, ConfigError> {
        self.handlers.check()?;
        for (what, zero) in [
            ("concurrency", self.concurrency == 0),
            ("lease", self.lease < Duration::from_millis(3)),
            ("handler_timeout", self.handler_timeout.is_zero()),
            ("transaction_timeout", self.transaction_timeout.is_zero()),
            ("max_crashes", self.max_crashes == 0),
            ("max_failures of the back-off", self.backoff.is_exhausted(0)),
            ("poll_interval", self.poll_interval.is_zero()),
        ] {
            if zero {
                return Err(ConfigError::new(
                    ConfigErrorKind::Range,
                    format!("the worker's {what} must not be zero"),
                ));
            }
        }
        Ok(Worker {
            process: Arc::new(Process {
                store: self.store,
                handlers: self.handlers,
                clock: self.clock,
                timeout: self.handler_timeout,
                transaction_timeout: self.transaction_timeout,
                backoff: self.backoff,
                hold_failures: self.order.hold_failures,
                running: Semaphore::new(self.concurrency.min(Semaphore::MAX_PERMITS)),
                name: self.name,
                propagator: self.propagator,
            }),
            concurrency: self.concurrency,
            lease: self.lease,
            order: self.order,
            max_crashes: self.max_crashes,
            poll_interval: self.poll_interval,
        })
    }
}

impl<S: EventStore> fmt::Debug for WorkerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}
