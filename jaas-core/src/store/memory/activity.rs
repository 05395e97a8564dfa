//! Samples of what happened.

use std::collections::BTreeMap;

use super::rows::Rows;
use crate::store::activity::{Activity, ActivitySample};
use crate::store::record::EventState;
use crate::timestamp::Timestamp;

/// What was counted, and a sample for each minute.
#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) accepted: i64,
    pub(super) settled: i64,
    pub(super) failed: i64,
    pub(super) dead: i64,
    by_minute: BTreeMap<i64, ActivitySample>,
}

impl Rows {
    /// Keeps a sample, if there is none of this minute, and forgets old ones.
    pub(super) fn record_activity(&mut self, now: Timestamp) {
        let waiting = self.events.values().filter(|row| !row.event.state.is_settled()).count();
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        let Samples { accepted, settled, failed, dead, by_minute } = &mut self.activity;
        let sample = ActivitySample {
            at: now.as_millis(),
            accepted: *accepted,
            settled: *settled,
            failed: *failed,
            dead: *dead,
            waiting,
        };
        by_minute.entry(ActivitySample::minute(now)).or_insert(sample);
        let oldest = ActivitySample::minute(now.saturating_sub(Activity::KEPT));
        by_minute.retain(|minute, _| *minute >= oldest);
    }

    pub(super) fn activity(&self, since: Timestamp, until: Timestamp) -> Vec<Activity> {
        let taken = |sample: &&ActivitySample| (since.as_millis()..=until.as_millis()).contains(&sample.at);
        let newest = self.activity.by_minute.values().rev().filter(taken).take(Activity::MAX_ROWS + 1);
        let mut samples: Vec<ActivitySample> = newest.copied().collect();
        samples.reverse();
        ActivitySample::between(&samples)
    }
}

impl Samples {
    /// Counts an event that was settled in this state.
    pub(super) fn count(&mut self, state: EventState) {
        match state {
            EventState::Done | EventState::Ignored => self.settled += 1,
            EventState::Dead => self.dead += 1,
            _ => {}
        }
    }
}
