//! Dead letters: those of a store's own are reported, and those that are alike are grouped.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{DeadLetterGroup, DeadLetterKey, EventState, RowId, StoredEvent};
use crate::event::EventKind;
use crate::id::IdempotencyKey;
use crate::telemetry::{self, DeadReason, Escaped, Outcome, target};
use crate::timestamp::Timestamp;

/// An event that a store dead-lettered in [`claim`](super::EventStore::claim), because it crashed too often.
///
/// No worker sees this, so the store [reports](Self::report) it once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLettered {
    /// The event's row.
    pub event: RowId,
    /// Its idempotency key.
    pub idempotency_key: IdempotencyKey,
    /// `eventType` as received.
    pub event_type: String,
    /// How often it crashed.
    pub crashes: u32,
    /// How often it ran in total.
    pub attempts: u32,
}

impl DeadLettered {
    /// Creates the report for this event.
    pub fn new(
        event: RowId,
        key: IdempotencyKey,
        event_type: impl Into<String>,
        crashes: u32,
        attempts: u32,
    ) -> Self {
        Self { event, idempotency_key: key, event_type: event_type.into(), crashes, attempts }
    }

    /// Creates the report for an event in its present state.
    pub fn of(event: &StoredEvent) -> Self {
        let attempts = event.failures.saturating_add(event.crashes).saturating_add(event.interruptions);
        Self::new(event.id, event.idempotency_key.clone(), &*event.event_type, event.crashes, attempts)
    }

    /// Logs and counts the event.
    pub fn report(&self) {
        let Self { event, idempotency_key, event_type, crashes, attempts } = self;
        tracing::error!(
            target: target::WORK, %event, event_type = %Escaped(event_type),
            key = %Escaped(idempotency_key.as_str()), attempts, crashes,
            "crashed too often; dead letter"
        );
        let kind = EventKind::from_wire(event_type);
        telemetry::ended(kind, Outcome::Dead(DeadReason::Crashed), *attempts);
    }
}

impl DeadLetterKey {
    /// The key of the group to which this event belongs once it is dead.
    pub fn of(event: &StoredEvent) -> Self {
        Self { event_type: event.event_type.clone(), error: event.note.clone() }
    }

    /// Whether this event is a dead letter of the group.
    pub fn holds(&self, event: &StoredEvent) -> bool {
        event.state == EventState::Dead && (&event.event_type, &event.note) == (&self.event_type, &self.error)
    }
}

/// Groups dead letters by what they have in common, the most frequent first. A store passes the newest
/// [`DeadLetterGroup::MAX_EVENTS`], each with the time when it became one.
pub fn group_dead_letters(
    dead: impl IntoIterator<Item = (DeadLetterKey, Timestamp)>,
) -> Vec<DeadLetterGroup> {
    let mut groups: BTreeMap<DeadLetterKey, DeadLetterGroup> = BTreeMap::new();
    for (key, at) in dead {
        let group = groups.entry(key).or_insert_with_key(|key| DeadLetterGroup::new(key.clone(), 0, at, at));
        group.count += 1;
        group.first_at = group.first_at.min(at);
        group.last_at = group.last_at.max(at);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.count));
    groups.truncate(DeadLetterGroup::MAX_GROUPS);
    groups
}

/// The note that a store writes on an event that it dead-letters for its crashes.
pub fn crash_note(crashes: u32) -> String {
    format!(
        "crashed too often: {crashes} times the process ended, or its lease expired, while a handler was running"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_groups_are_returned_and_the_smallest_cut() {
        let key =
            |error: usize| DeadLetterKey { event_type: "USAGE".to_owned(), error: Some(error.to_string()) };
        let at = |millis: usize| Timestamp::from_millis(millis as i64);
        let many = DeadLetterGroup::MAX_GROUPS + 3;
        let once = (0..many).map(|error| (key(error), at(error)));
        let groups = group_dead_letters(once.chain([(key(7), at(2)), (key(7), at(90))]));
        assert_eq!(groups.len(), DeadLetterGroup::MAX_GROUPS);
        assert_eq!(groups[0], DeadLetterGroup::new(key(7), 3, at(2), at(90)));
        assert!(groups[1..].iter().all(|group| group.count == 1));
    }
}
