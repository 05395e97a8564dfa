//! What the memory store holds, in the tables of every store over sorted maps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::delivery::{Delivery, Unreadable};
use crate::drift::DriftRecord;
use crate::id::IdempotencyKey;
use crate::settings::SettingsRecord;
use crate::store::activity::ActivitySample;
use crate::store::dead_lettered::DeadLettered;
use crate::store::row::EventRow;
use crate::store::tables::{EventTables, Phase, Scheduled};
use crate::store::{
    Activity, Attempt, AuditEntry, Conflict, EventState, Keep, Purged, Quarantined, Retention, RowId,
    StoreError, StoreErrorKind,
};
use crate::timestamp::Timestamp;

pub(super) type Key = (Arc<str>, String);

#[derive(Debug, Default)]
pub(super) struct Rows {
    capacity: usize,
    pub(super) last_id: i64,
    pub(super) events: BTreeMap<RowId, EventRow>,
    pub(super) by_key: HashMap<Key, RowId>,
    /// Waiting events by queue, whether they are passable, and their place.
    waiting: BTreeSet<(String, bool, Timestamp, RowId)>,
    queues: HashMap<String, Scheduled>,
    /// The same queues by phase and time.
    due: BTreeSet<(Phase, Timestamp, String)>,
    pub(super) conflicts: Vec<ConflictRow>,
    pub(super) quarantine: Vec<Quarantined>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) audit: Vec<AuditEntry>,
    /// Dead letters that were not reported yet.
    pub(super) dead_letters: Vec<DeadLettered>,
    pub(super) settings: Vec<SettingsRecord>,
    /// What was counted so far.
    ever: ActivitySample,
    pub(super) samples: BTreeMap<i64, ActivitySample>,
    pub(super) watch: super::gap_rows::WatchedSessions,
    pub(super) drift: Vec<DriftRecord>,
    #[cfg(feature = "archive")]
    pub(super) artifacts: super::artifact_rows::Artifacts,
}

/// A conflict, identified by a hash that stays when the body is erased.
#[derive(Debug)]
pub(super) struct ConflictRow {
    pub(super) conflict: Conflict,
    body_hash: [u8; 32],
}

pub(super) fn key(endpoint: &str, key: &str) -> Key {
    (endpoint.into(), key.to_owned())
}

/// Fails when the store is full.
pub(super) fn check_room(used: usize, capacity: usize) -> Result<(), StoreError> {
    if used < capacity {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Overloaded,
        format!("the in-memory store is full ({capacity} rows); use a database, or with_capacity"),
    ))
}

impl EventTables for Rows {
    type Error = StoreError;

    fn next_id(&mut self) -> Result<RowId, StoreError> {
        Ok(self.new_id())
    }

    fn find(&self, event: RowId) -> Result<Option<EventRow>, StoreError> {
        Ok(self.events.get(&event).cloned())
    }

    fn find_by_key(&self, endpoint: &str, id: &IdempotencyKey) -> Result<Option<EventRow>, StoreError> {
        let event = self.by_key.get(&key(endpoint, id.as_str()));
        Ok(event.and_then(|event| self.events.get(event)).cloned())
    }

    fn save(&mut self, row: EventRow) -> Result<(), StoreError> {
        let place = |row: &EventRow| {
            let (at, id) = row.place();
            (row.queue(), row.passable, at, id)
        };
        match self.events.get(&row.event.id) {
            Some(before) if before.event.state == EventState::Waiting => {
                self.waiting.remove(&place(before));
            }
            Some(_) => {}
            None => {
                check_room(self.events.len(), self.capacity)?;
                let key = key(&row.event.endpoint, row.event.idempotency_key.as_str());
                self.by_key.insert(key, row.event.id);
            }
        }
        if row.event.state == EventState::Waiting {
            self.waiting.insert(place(&row));
        }
        self.events.insert(row.event.id, row);
        Ok(())
    }

    fn waiting(&self, queue: &str, passable: bool, limit: usize) -> Result<Vec<RowId>, StoreError> {
        let first = (queue.to_owned(), passable, Timestamp::from_millis(i64::MIN), RowId::new(i64::MIN));
        let of_queue =
            self.waiting.range(first..).take_while(|(of, may, ..)| of == queue && *may == passable);
        Ok(of_queue.take(limit).map(|(.., event)| *event).collect())
    }

    fn scheduled(&self, queue: &str) -> Result<Option<Scheduled>, StoreError> {
        Ok(self.queues.get(queue).copied())
    }

    fn schedule(&mut self, queue: &str, to: Option<Scheduled>) -> Result<(), StoreError> {
        if let Some(before) = self.queues.remove(queue) {
            self.due.remove(&(before.phase, before.at, queue.to_owned()));
        }
        if let Some(to) = to {
            self.queues.insert(queue.to_owned(), to);
            self.due.insert((to.phase, to.at, queue.to_owned()));
        }
        Ok(())
    }

    fn due(
        &self,
        phase: Phase,
        at: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let from = self.due.range((phase, *at.start(), String::new())..);
        let due = from.take_while(|(of, time, _)| *of == phase && at.contains(time));
        Ok(due.take(limit).map(|(_, time, queue)| (*time, queue.clone())).collect())
    }

    fn count(&mut self, add: impl FnOnce(&mut ActivitySample)) -> Result<(), StoreError> {
        add(&mut self.ever);
        Ok(())
    }

    fn add_conflict(&mut self, delivery: &Delivery) -> Result<(), StoreError> {
        let (key, body_hash) = (&delivery.envelope.idempotency_key, delivery.body_hash());
        let same = |row: &&mut ConflictRow| {
            let of = &row.conflict;
            row.body_hash == body_hash && (&of.endpoint, &of.idempotency_key) == (&delivery.endpoint, key)
        };
        if let Some(row) = self.conflicts.iter_mut().find(same) {
            row.conflict = row.conflict.clone().seen_again(delivery.received_at);
            return Ok(());
        }
        check_room(self.conflicts.len(), self.capacity)?;
        let conflict = Conflict::of(self.next_id()?, delivery);
        self.conflicts.push(ConflictRow { conflict, body_hash });
        Ok(())
    }

    fn add_attempt(&mut self, attempt: Attempt) -> Result<(), StoreError> {
        self.attempts.push(attempt);
        Ok(())
    }

    fn add_audit(&mut self, entry: AuditEntry) -> Result<(), StoreError> {
        self.audit.push(entry);
        Ok(())
    }

    fn add_dead_letter(&mut self, event: DeadLettered) {
        self.dead_letters.push(event);
    }

    fn leave_quarantine(&mut self, row: RowId) -> Result<(), StoreError> {
        self.quarantine.retain(|quarantined| quarantined.id != row);
        Ok(())
    }

    fn erase_beside(&mut self, events: &[EventRow]) -> Result<(), StoreError> {
        for EventRow { event, .. } in events {
            for row in self.conflicts.iter_mut().filter(|row| row.conflict.is_of(event)) {
                row.conflict.body = Vec::new().into();
            }
            for attempt in self.attempts.iter_mut().filter(|attempt| attempt.event == event.id) {
                attempt.error = None;
            }
        }
        Ok(())
    }
}

impl Rows {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Returns a number for the next row of any kind.
    pub(super) fn new_id(&mut self) -> RowId {
        self.last_id += 1;
        RowId::new(self.last_id)
    }

    pub(super) fn quarantine(&mut self, new: &Unreadable) -> Result<(), StoreError> {
        let same = |known: &&mut Quarantined| known.endpoint == new.endpoint && known.body == new.body();
        if let Some(known) = self.quarantine.iter_mut().find(same) {
            *known = known.clone().seen_again(new.received_at);
            return Ok(());
        }
        check_room(self.quarantine.len(), self.capacity)?;
        let quarantined = Quarantined::of(self.next_id()?, new);
        self.quarantine.push(quarantined);
        Ok(())
    }

    pub(super) fn purge(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> Purged {
        let events = self.events.values().map(|row| &row.event);
        // The link of an artifact is in the body of its event.
        #[cfg(feature = "archive")]
        let events = events.filter(|event| !self.artifacts.wait_for(event.id));
        let conflicts = self.conflicts.iter().map(|row| &row.conflict);
        let expired = retention.expired(events, conflicts, &self.quarantine, &self.attempts, now, limit);
        let gone = |id: &RowId| expired.rows.contains(id);
        self.events.retain(|id, _| !gone(id));
        self.by_key.retain(|_, id| !gone(id));
        self.conflicts.retain(|row| !gone(&row.conflict.id));
        self.quarantine.retain(|quarantined| !gone(&quarantined.id));
        self.attempts.retain(|attempt| !gone(&attempt.id));
        #[cfg(feature = "archive")]
        self.artifacts.0.retain(|_, row| !gone(&row.record.event));
        expired.purged
    }

    /// Keeps a sample of what was counted, if there is none of this minute, and forgets old ones.
    pub(super) fn record_activity(&mut self, now: Timestamp) {
        let waiting = self.events.values().filter(|row| !row.event.state.is_settled()).count();
        let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        let sample = ActivitySample { at: now.as_millis(), waiting, ..self.ever };
        self.samples.entry(ActivitySample::minute(now)).or_insert(sample);
        let oldest = ActivitySample::minute(now.saturating_sub(Activity::KEPT));
        self.samples.retain(|minute, _| *minute >= oldest);
    }
}

/// Deletes the rows that need not be kept, oldest first, at most `limit`. Returns how many, and whether there are more.
pub(super) fn purge_rows<T>(
    rows: &mut Vec<T>,
    keep: Keep,
    now: Timestamp,
    limit: usize,
    age: impl Fn(&T) -> (Timestamp, RowId),
) -> (u64, bool) {
    let expired = keep.expired(rows.iter().map(&age), now);
    let deleted: HashSet<RowId> = expired.iter().take(limit).copied().collect();
    rows.retain(|row| !deleted.contains(&age(row).1));
    (deleted.len() as u64, expired.len() > limit)
}
