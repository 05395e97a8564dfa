//! The task that deletes what a retention does not keep.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::background::Background;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::store::{EventAdmin, Purged, Retention};
use crate::telemetry::{self, target};

/// Deletes at intervals what a [`Retention`] does not keep, in small batches. Any number of processes may purge the
/// same store.
///
/// ```
/// use jaas_core::Purger;
/// use jaas_core::signature::Tolerance;
/// use jaas_core::store::{MemoryStore, Retention};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let retention = Retention::builder(Tolerance::default()).build()?;
/// let purger = Purger::new(store, retention).spawn()?;
/// // … until the application stops:
/// purger.stop().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "it does nothing until it is spawned"]
pub struct Purger<S> {
    store: S,
    retention: Retention,
    clock: Arc<dyn Clock>,
    interval: Duration,
    batch: u32,
}

/// The pause between two batches, so that other work on the store has its turn.
const PAUSE: Duration = Duration::from_millis(50);

impl<S: EventAdmin> Purger<S> {
    /// Creates a purger of this store.
    pub fn new(store: S, retention: Retention) -> Self {
        Self {
            store,
            retention,
            clock: Arc::new(SystemClock),
            interval: Duration::from_secs(60 * 60),
            batch: 500,
        }
    }

    /// The wait between two purges. Defaults to 1 h.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many rows of each kind one batch deletes. Defaults to 500.
    pub fn batch(mut self, rows: u32) -> Self {
        self.batch = rows;
        self
    }

    /// The clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Purges immediately and then at intervals, in a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the batch or the interval is zero.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> Result<PurgerHandle, ConfigError> {
        if self.batch == 0 || self.interval.is_zero() {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "the purger's batch and interval must not be zero",
            ));
        }
        // Stopping may end it in the middle of a batch, which is then deleted completely or not at all.
        Ok(PurgerHandle(Background::spawn(self.run())))
    }

    async fn run(self) {
        loop {
            self.purge().await;
            sleep(self.interval).await;
        }
    }

    async fn purge(&self) {
        let mut deleted = Purged::default();
        loop {
            match self.store.purge(&self.retention, self.clock.now(), self.batch).await {
                Ok(purged) => {
                    for (what, rows) in [
                        ("events", purged.events),
                        ("conflicts", purged.conflicts),
                        ("quarantined", purged.quarantined),
                    ] {
                        telemetry::PURGED.add(rows, [what.into()]);
                    }
                    deleted.events += purged.events;
                    deleted.conflicts += purged.conflicts;
                    deleted.quarantined += purged.quarantined;
                    if !purged.more {
                        break;
                    }
                }
                Err(error) => {
                    tracing::warn!(target: target::STORE, %error, "purge failed; trying again at the next interval");
                    break;
                }
            }
            sleep(PAUSE).await;
        }
        if deleted != Purged::default() {
            tracing::info!(
                target: target::STORE, events = deleted.events,
                conflicts = deleted.conflicts,
                quarantined = deleted.quarantined,
                "purged rows that need not be kept"
            );
        }
    }
}

impl<S> fmt::Debug for Purger<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purger")
            .field("retention", &self.retention)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// A purger that runs in a task. Dropping it ends the purger.
#[derive(Debug)]
#[must_use = "dropping the handle ends the purger"]
pub struct PurgerHandle(Background);

impl PurgerHandle {
    /// Ends the purger and waits for it.
    pub async fn stop(self) {
        self.0.stop(()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::delivery::Delivery;
    use crate::handler::Handled;
    use crate::signature::Tolerance;
    use crate::store::{ClaimRequest, EventState, EventStore as _, Keep, MemoryStore, Step};
    use crate::timestamp::Timestamp;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    async fn done(store: &MemoryStore, key: &str) {
        let body = format!(r#"{{"idempotencyKey":"{key}","eventType":"ROOM_CREATED"}}"#);
        let start = Timestamp::from_millis(0);
        store
            .accept(Delivery::parse("main", start, body.into()).expect("an envelope"))
            .await
            .expect("accepted");
        let claim = store.claim(&ClaimRequest::new("w", start, 1)).await.expect("claimed").remove(0);
        let step = Step { handler: "h".into(), last: true, next: None };
        store.complete(claim.lease, &step, &Handled::Done, start).await.expect("completed");
    }

    async fn left(store: &MemoryStore) -> u64 {
        store.stats().await.expect("counted").count(EventState::Done)
    }

    #[tokio::test(start_paused = true)]
    async fn it_deletes_batch_after_batch_and_again_after_the_interval() {
        let store = Arc::new(MemoryStore::new());
        for number in 0..7 {
            done(&store, &number.to_string()).await;
        }
        let now = Arc::new(AtomicI64::new(DAY));
        let clock = now.clone();
        let retention =
            Retention::builder(Tolerance::default()).events(EventState::Done, Keep::days(2)).build();
        let purger = Purger::new(store.clone(), retention.expect("long enough"))
            .interval(Duration::from_secs(60))
            .batch(2)
            .clock(move || Timestamp::from_millis(clock.load(Ordering::Relaxed)))
            .spawn()
            .expect("spawned");
        sleep(Duration::from_secs(30)).await;
        assert_eq!(left(&store).await, 7, "none is old enough");
        now.store(3 * DAY, Ordering::Relaxed);
        sleep(Duration::from_secs(20)).await;
        assert_eq!(left(&store).await, 7, "not yet time");
        sleep(Duration::from_secs(20)).await;
        assert_eq!(left(&store).await, 0);
        purger.stop().await;
    }

    #[tokio::test]
    async fn a_batch_of_nothing_is_refused() {
        let retention = Retention::builder(Tolerance::default()).build().expect("the default");
        let purger = Purger::new(Arc::new(MemoryStore::new()), retention).batch(0);
        assert!(purger.spawn().expect_err("refused").to_string().contains("must not be zero"));
    }
}
