//! When to run a failed event again.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};

/// How long to wait after each failure, and after how many failures an event becomes a dead letter.
///
/// The wait doubles with each failure, from the initial delay up to the maximum. A random part of up to the same length is
/// added, so that events that failed together do not run again together.
///
/// ```
/// use jaas_core::Backoff;
/// use std::time::Duration;
///
/// // For a handler whose work is worth nothing after a quarter of an hour.
/// let impatient = Backoff::default()
///     .initial_delay(Duration::from_millis(200))
///     .max_delay(Duration::from_secs(60))
///     .max_failures(12);
/// assert!(impatient.is_exhausted(12) && !Backoff::default().is_exhausted(12));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Backoff {
    initial_delay: Duration,
    pub(crate) max_delay: Duration,
    max_failures: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60 * 60),
            max_failures: 20,
        }
    }
}

impl Backoff {
    /// The wait after the first failure. Defaults to 1 s.
    pub const fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// The longest wait, before the random part is added, and the longest wait that
    /// [`HandlerError::retry_after`](crate::HandlerError::retry_after) can ask for. Defaults to 1 h.
    pub const fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// The number of failures after which an event becomes a dead letter. Defaults to 20, which is 8 to 16 hours: well
    /// inside the 24 hours after which a recording is deleted permanently.
    pub const fn max_failures(mut self, failures: u32) -> Self {
        self.max_failures = failures;
        self
    }

    /// Whether this many failures exhaust the attempts.
    pub const fn is_exhausted(&self, failures: u32) -> bool {
        failures >= self.max_failures
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
            .with_min_delay(self.initial_delay)
            .with_max_delay(self.max_delay)
            .without_max_times()
            .with_jitter()
            .with_jitter_seed(seed ^ u64::from(failures).rotate_left(32))
            .build()
            // This many doublings lead from a nanosecond beyond every maximum; the waits are added up one by one.
            .nth(failures.saturating_sub(1).min(MOST_DOUBLINGS) as usize)
            .unwrap_or(self.max_delay)
    }
}

/// After this many failures the wait no longer grows.
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
