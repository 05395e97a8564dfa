//! Reports in the background how much a store holds.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::background::Background;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::store::tools::ActivitySample;
use crate::store::{EventAdmin, EventState, StoreStats};
use crate::telemetry::{self, target};
use crate::timestamp::Timestamp;

/// Checks at intervals how many events are in which state and how old the oldest are, and sets the gauges
/// `jaas_queue_events` and `jaas_queue_oldest_seconds`; see [`METRICS`](telemetry::METRICS). One process that does so
/// is enough for a store; several set the same values. The gauges do not distinguish stores, so one process should
/// watch one store.
///
/// Once a minute it also has the store record the [activity](EventAdmin::activity), for charts of the last day.
///
/// While the store does not respond, and once the monitor has ended, the gauges are NaN, because their last values may
/// no longer be true. The log reports when an outage begins and when it ends.
///
/// ```
/// use jaas_core::{Monitor, store::MemoryStore};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let monitor = Monitor::new(Arc::new(MemoryStore::new())).spawn()?;
/// // … until the application stops:
/// monitor.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "it does nothing until it is spawned"]
pub struct Monitor<S> {
    store: S,
    clock: Arc<dyn Clock>,
    interval: Duration,
    timeout: Duration,
}

impl<S: EventAdmin> Monitor<S> {
    /// Creates a monitor of this store.
    pub fn new(store: S) -> Self {
        Self {
            store,
            clock: Arc::new(SystemClock),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
        }
    }

    /// The wait between two checks. With more than a minute, the rows of the [activity](EventAdmin::activity) span as much.
    /// Defaults to 15 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The timeout of a check. Defaults to 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks immediately and then at intervals, in a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the interval or the timeout is zero.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> Result<MonitorHandle, ConfigError> {
        if self.interval.is_zero() || self.timeout.is_zero() {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "the monitor's interval and timeout must not be zero",
            ));
        }
        Ok(MonitorHandle(Background::spawn(self.run())))
    }

    async fn run(self) {
        let gauges = Gauges;
        let mut failing = false;
        let mut activity = ActivityRecord::default();
        loop {
            let looked = match timeout(self.timeout, self.store.stats()).await {
                Ok(Ok(stats)) => Ok(stats),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no response within {:?}", self.timeout)),
            };
            let was_failing = std::mem::replace(&mut failing, looked.is_err());
            match looked {
                Ok(stats) => {
                    if was_failing {
                        tracing::info!(target: target::STORE, "the store can be counted again; its gauges are set");
                    }
                    gauges.set(&stats, self.clock.now());
                }
                Err(error) if !was_failing => {
                    tracing::warn!(target: target::STORE, error, "the store cannot be counted; its gauges are NaN until it can");
                    gauges.unknown();
                }
                Err(_) => {}
            }
            if !failing {
                activity.keep(&self).await;
            }
            sleep(self.interval).await;
        }
    }
}

/// Records the activity once a minute.
#[derive(Default)]
struct ActivityRecord {
    minute: Option<i64>,
    failing: bool,
}

impl ActivityRecord {
    async fn keep<S: EventAdmin>(&mut self, monitor: &Monitor<S>) {
        let now = monitor.clock.now();
        let minute = ActivitySample::minute(now);
        if self.minute == Some(minute) {
            return;
        }
        let recorded = match timeout(monitor.timeout, monitor.store.record_activity(now)).await {
            Ok(recorded) => recorded.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no response within {:?}", monitor.timeout)),
        };
        let was_failing = std::mem::replace(&mut self.failing, recorded.is_err());
        match recorded {
            Ok(()) => self.minute = Some(minute),
            Err(error) if !was_failing => {
                tracing::warn!(target: target::STORE, error, "the activity cannot be recorded; its charts have a gap until it can");
            }
            Err(_) => {}
        }
    }
}

/// The value of the `state` label for rows that are not events.
const CONFLICT: &str = "conflict";
const QUARANTINED: &str = "quarantined";

/// The gauges of the queue. The task that sets them owns this; without it they would keep their last values forever.
struct Gauges;

impl Gauges {
    fn set(&self, stats: &StoreStats, now: Timestamp) {
        for state in EventState::ALL {
            let of_state = stats.state(state);
            let age = of_state.oldest.map_or(Duration::ZERO, |oldest| now.duration_since(oldest));
            telemetry::QUEUE_EVENTS.set(of_state.count as f64, [state.as_str().into()]);
            telemetry::QUEUE_OLDEST_SECONDS.set(age.as_secs_f64(), [state.as_str().into()]);
        }
        telemetry::QUEUE_EVENTS.set(stats.conflicts as f64, [CONFLICT.into()]);
        telemetry::QUEUE_EVENTS.set(stats.quarantined as f64, [QUARANTINED.into()]);
    }

    fn unknown(&self) {
        for state in EventState::ALL.map(EventState::as_str) {
            telemetry::QUEUE_EVENTS.set(f64::NAN, [state.into()]);
            telemetry::QUEUE_OLDEST_SECONDS.set(f64::NAN, [state.into()]);
        }
        for state in [CONFLICT, QUARANTINED] {
            telemetry::QUEUE_EVENTS.set(f64::NAN, [state.into()]);
        }
    }
}

/// However the monitor ends: stopped, dropped or by a panic of the store.
impl Drop for Gauges {
    fn drop(&mut self) {
        self.unknown();
    }
}

impl<S> fmt::Debug for Monitor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A monitor that runs in a task. Dropping it ends the monitor.
#[derive(Debug)]
#[must_use = "dropping the handle ends the monitor"]
pub struct MonitorHandle(Background);

impl MonitorHandle {
    /// Ends the monitor and waits for it.
    pub async fn stop(self) {
        self.0.stop(()).await;
    }
}
