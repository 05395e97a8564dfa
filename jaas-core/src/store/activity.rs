//! What happened in the inbox, minute by minute.

use std::time::Duration;

use super::EventState;
use crate::timestamp::Timestamp;

/// What happened in the inbox between two samples. There is a sample for each minute in which the store was
/// [asked to record one](super::EventAdmin::record_activity), so most rows span a minute, and a row spans longer when
/// nothing recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Activity {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// How many new events were accepted.
    pub accepted: u64,
    /// How many events were settled as done or ignored. An event that was replayed counts again.
    pub settled: u64,
    /// How many runs failed. Crashes and interruptions do not count.
    pub failed: u64,
    /// How many events became dead letters.
    pub dead: u64,
    /// How many events waited or ran when it ended.
    pub waiting: u64,
}

impl Activity {
    /// The maximum number of rows returned: a day of minutes.
    pub const MAX_ROWS: usize = 24 * 60;

    /// How long samples are kept.
    pub const KEPT: Duration = Duration::from_secs(2 * 24 * 60 * 60);

    /// How long it took; for rates.
    pub fn duration(&self) -> Duration {
        self.until.duration_since(self.from)
    }
}

/// What had happened in an inbox up to a moment: what a store keeps for each minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct ActivitySample {
    /// When it was taken, in ms since the epoch.
    pub at: i64,
    /// New events that were ever accepted. The zero is arbitrary: only differences count.
    pub accepted: i64,
    /// How often an event was ever settled as done or ignored.
    pub settled: i64,
    /// Runs that ever failed.
    pub failed: i64,
    /// How often an event ever became a dead letter.
    pub dead: i64,
    /// Events that wait or run.
    pub waiting: i64,
}

impl ActivitySample {
    /// The minute of a time. A store keeps the first sample of each minute.
    pub const fn minute(at: Timestamp) -> i64 {
        at.as_millis().div_euclid(60_000)
    }

    /// Counts an event that was settled in this state.
    pub fn count(&mut self, state: EventState) {
        match state {
            EventState::Done | EventState::Ignored => self.settled = self.settled.saturating_add(1),
            EventState::Dead => self.dead = self.dead.saturating_add(1),
            _ => {}
        }
    }

    /// What happened between the samples of all that are kept, in the order of time, that were taken at `since` or later
    /// and at `until` or before: the newest [`Activity::MAX_ROWS`].
    pub fn within(
        kept: impl IntoIterator<Item = Self, IntoIter: DoubleEndedIterator>,
        since: Timestamp,
        until: Timestamp,
    ) -> Vec<Activity> {
        let taken = |sample: &Self| (since.as_millis()..=until.as_millis()).contains(&sample.at);
        let newest = kept.into_iter().rev().filter(taken).take(Activity::MAX_ROWS + 1);
        let mut samples: Vec<Self> = newest.collect();
        samples.reverse();
        Self::between(&samples)
    }

    /// What happened between these samples, which are in the order of time.
    pub fn between(samples: &[Self]) -> Vec<Activity> {
        let pairs = samples.iter().zip(samples.iter().skip(1));
        pairs
            .map(|(earlier, later)| {
                // A sample that was delayed on its way to the table may be ahead of the one behind it.
                let more = |of: fn(&Self) -> i64| of(later).saturating_sub(of(earlier)).max(0).unsigned_abs();
                Activity {
                    from: Timestamp::from_millis(earlier.at),
                    until: Timestamp::from_millis(later.at),
                    accepted: more(|sample| sample.accepted),
                    settled: more(|sample| sample.settled),
                    failed: more(|sample| sample.failed),
                    dead: more(|sample| sample.dead),
                    waiting: later.waiting.max(0).unsigned_abs(),
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_differences_of_two_samples_and_what_waited_at_its_end() {
        let sample = |at, accepted, waiting| ActivitySample { at, accepted, waiting, ..Default::default() };
        let rows = ActivitySample::between(&[sample(0, 5, 1), sample(60_000, 9, 3), sample(180_000, 8, 2)]);
        let seen: Vec<_> = rows.iter().map(|row| (row.accepted, row.waiting, row.duration())).collect();
        assert_eq!(seen, [(4, 3, Duration::from_secs(60)), (0, 2, Duration::from_secs(120))]);
        assert_eq!(ActivitySample::between(&[sample(0, 1, 1)]), []);
    }

    #[test]
    fn times_before_the_epoch_have_minutes_too() {
        assert_eq!(ActivitySample::minute(Timestamp::from_millis(-1)), -1);
        assert_eq!(ActivitySample::minute(Timestamp::from_millis(59_999)), 0);
    }
}
