//! The source of the current time.

use std::time::SystemTime;

use crate::timestamp::Timestamp;

/// Returns the current time. The receiver and the worker use their clock and no other source, so a test can move time
/// by hand.
///
/// Any `Fn() -> Timestamp` is a clock.
///
/// ```
/// use jaas_core::{Clock, Timestamp};
///
/// let stopped = || Timestamp::from_secs(1_760_000_000);
/// assert_eq!(stopped.now().as_millis(), 1_760_000_000_000);
/// ```
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

/// The machine's wall clock. No other code in this crate reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

impl<F: Fn() -> Timestamp + Send + Sync + 'static> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}
