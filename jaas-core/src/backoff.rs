//! When to run a failed event again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// How long to wait after each failure, and when to give up.
///
/// The wait doubles with every failure from `first` up to `max`, and a random part of up to the same length is
/// added, so that events that failed together do not return together.
///
/// ```
/// use jaas_core::Backoff;
/// use std::time::Duration;
///
/// // For a handler whose work is worth nothing after a quarter of an hour.
/// let impatient = Backoff::default().first(Duration::from_millis(200)).max(Duration::from_secs(60)).max_failures(12);
/// assert_eq!(Backoff::default().max, Duration::from_secs(3600));
/// # let _ = impatient;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The wait after the first failure. Defaults to 1 s.
    pub first: Duration,
    /// The longest wait, before the random part is added, and the longest that
    /// [`HandlerError::retry_after`](crate::HandlerError::retry_after) can ask for. Defaults to 1 h.
    pub max: Duration,
    /// After how many failures an event becomes a dead letter. Defaults to 20, which is 8 to 16 hours:
    /// well inside the 24 hours after which a recording is deleted for good.
    pub max_failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), max: Duration::from_secs(60 * 60), max_failures: 20 }
    }
}

impl Backoff {
    /// Sets the wait after the first failure. Defaults to 1 s.
    #[must_use]
    pub const fn first(mut self, first: Duration) -> Self {
        self.first = first;
        self
    }

    /// Sets the longest wait. Defaults to 1 h.
    #[must_use]
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// Sets the number of failures after which an event is given up. Defaults to 20.
    #[must_use]
    pub const fn max_failures(mut self, max_failures: u32) -> Self {
        self.max_failures = max_failures;
        self
    }

    /// The wait after the `failures`th failure (from 1); `seed` chooses the random part.
    ///
    /// ```
    /// use jaas_core::Backoff;
    /// use std::time::Duration;
    ///
    /// let wait = Backoff::default().delay(3, 7);
    /// assert!(wait >= Duration::from_secs(4) && wait <= Duration::from_secs(8));
    /// ```
    pub fn delay(&self, failures: u32, seed: u64) -> Duration {
        ExponentialBuilder::new()
            .with_min_delay(self.first)
            .with_max_delay(self.max)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed ^ u64::from(failures).rotate_left(32))
            .build()
            // So many doublings lead from a nanosecond beyond every maximum; the waits are counted up one by one.
            .nth(failures.saturating_sub(1).min(MOST_DOUBLINGS) as usize)
            .unwrap_or(self.max)
    }
}

/// After so many the wait no longer grows.
const MOST_DOUBLINGS: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_maximum_and_has_a_random_part() {
        let backoff = Backoff::default();
        for seed in 0..50 {
            for (failures, base) in [(1, 1), (2, 2), (5, 16), (13, 3600), (1000, 3600), (u32::MAX, 3600)] {
                let delay = backoff.delay(failures, seed);
                assert!(
                    delay >= Duration::from_secs(base) && delay <= Duration::from_secs(2 * base),
                    "{failures}: {delay:?}"
                );
            }
        }
        assert_ne!(backoff.delay(5, 1), backoff.delay(5, 2));
        assert_eq!(backoff.delay(5, 1), backoff.delay(5, 1));
    }
}
