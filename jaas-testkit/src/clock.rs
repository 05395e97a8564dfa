//! Clocks that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jaas_core::{Clock, Timestamp};
use tokio::time::Instant;

/// A clock that stops until a test moves it. Clones show the same time.
///
/// ```
/// use jaas_core::{Clock, Timestamp};
/// use jaas_testkit::ManualClock;
/// use std::time::Duration;
///
/// let clock = ManualClock::at(Timestamp::from_secs(1_760_000_000));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Timestamp::from_secs(1_760_000_005));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.as_millis())))
    }

    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().saturating_add(by));
    }

    /// Jumps to a time, also backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that follows tokio's, so that in a test with paused time it moves with the timers.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: Instant,
    at_start: Timestamp,
}

impl TokioClock {
    /// Creates a clock that shows `now` now.
    ///
    /// # Panics
    /// Outside a tokio runtime when time is paused there.
    pub fn starting_at(now: Timestamp) -> Self {
        Self { start: Instant::now(), at_start: now }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.at_start.saturating_add(self.start.elapsed())
    }
}
