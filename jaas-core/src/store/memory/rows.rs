//! What the memory store holds, and what can be said of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::Timestamp;
use crate::handler::Handled;
use crate::settings::SettingsRecord;
use crate::store::{
    Attempt, AttemptOutcome, AuditAction, AuditEntry, AuditNote, Burial, ClaimRequest, Conflict, EventQuery,
    EventState, Keep, Lease, Page, PageRequest, Quarantined, Retention, RowId, Step, StoreError, StoredEvent,
    crash_note,
};

pub(super) type Key = (Arc<str>, String);

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) last_id: i64,
    pub(super) events: BTreeMap<RowId, Row>,
    pub(super) by_key: HashMap<Key, RowId>,
    pub(super) conflicts: Vec<ConflictRow>,
    pub(super) quarantine: Vec<Quarantined>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) settings: Vec<SettingsRecord>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) event: StoredEvent,
    pub(super) body_hash: [u8; 32],
    pub(super) fence: i64,
    pub(super) leased_until: Timestamp,
}

/// A conflict, told from others by a hash that stays when the body is erased.
#[derive(Debug)]
pub(super) struct ConflictRow {
    pub(super) conflict: Conflict,
    pub(super) body_hash: [u8; 32],
}

impl ConflictRow {
    pub(super) fn is_of(&self, endpoint: &str, key: &str) -> bool {
        (&*self.conflict.endpoint, self.conflict.idempotency_key.as_str()) == (endpoint, key)
    }
}

impl Row {
    pub(super) fn attempt(&self, outcome: AttemptOutcome, now: Timestamp) -> Attempt {
        // The row is given when it is recorded.
        let mut attempt = Attempt::new(RowId::new(0), self.event.id, self.fence, outcome, now);
        attempt.worker = self.event.worker.clone();
        attempt
    }

    pub(super) fn replay(&mut self, now: Timestamp) {
        let event = &mut self.event;
        if event.state == EventState::Done {
            event.completed.clear();
        }
        event.state = EventState::Waiting;
        (event.failures, event.crashes, event.interruptions) = (0, 0, 0);
        (event.due_at, event.settled_at, event.note) = (now, None, None);
    }

    pub(super) fn settle(&mut self, state: EventState, note: impl Into<Option<String>>, now: Timestamp) {
        self.event.state = state;
        self.event.settled_at = Some(now);
        self.event.note = note.into();
    }
}

pub(super) fn key(endpoint: &Arc<str>, key: &str) -> Key {
    (endpoint.clone(), key.to_owned())
}

impl Rows {
    /// A number for the next row of any kind.
    pub(super) fn next_id(&mut self) -> RowId {
        self.last_id += 1;
        RowId::new(self.last_id)
    }

    pub(super) fn record(&mut self, mut attempt: Attempt) {
        attempt.id = self.next_id();
        self.attempts.push(attempt);
    }

    pub(super) fn audit(&mut self, event: RowId, action: AuditAction, note: &AuditNote, now: Timestamp) {
        let id = self.next_id();
        if let Some(Row { event: stored, .. }) = self.events.get(&event) {
            let key = (stored.endpoint.clone(), stored.idempotency_key.clone());
            self.audit.push(AuditEntry::new(id, event, key, action, note.clone(), now));
        }
    }

    pub(super) fn held(&mut self, operation: &str, lease: Lease) -> Result<&mut Row, StoreError> {
        self.events
            .get_mut(&lease.event)
            .filter(|row| row.event.state == EventState::Running && row.fence == lease.fence)
            .ok_or_else(|| StoreError::stale(operation, lease))
    }

    pub(super) fn complete(
        &mut self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = &mut self.held("complete", lease)?.event;
        if *handled == Handled::Done {
            event.completed.push(step.handler.to_string());
        }
        if step.last {
            event.settled_at = Some(now);
            match handled {
                Handled::Ignored(reason) if event.completed.is_empty() => {
                    event.state = EventState::Ignored;
                    event.note = Some(reason.to_string());
                }
                _ => event.state = EventState::Done,
            }
        }
        Ok(())
    }

    pub(super) fn bury_and_free_crashed(&mut self, now: Timestamp, max_crashes: u32) -> Vec<Burial> {
        let (mut crashed, mut buried) = (Vec::new(), Vec::new());
        for row in self.events.values_mut() {
            if row.event.state == EventState::Running && row.leased_until <= now {
                crashed.push(row.attempt(AttemptOutcome::Crashed, now));
                row.event.crashes += 1;
                row.event.state = EventState::Waiting;
                if row.event.crashes >= max_crashes {
                    row.settle(EventState::Dead, crash_note(row.event.crashes), now);
                    let event = &row.event;
                    let attempts = event.failures + event.crashes + event.interruptions;
                    let key = event.idempotency_key.clone();
                    buried.push(Burial::new(event.id, key, &*event.event_type, event.crashes, attempts));
                }
            }
        }
        for attempt in crashed {
            self.record(attempt);
        }
        buried
    }

    /// Events that match, oldest first.
    pub(super) fn matching<'a>(&'a self, query: &'a EventQuery) -> impl Iterator<Item = &'a StoredEvent> {
        self.events.values().map(|row| &row.event).filter(|event| {
            query.page.after.is_none_or(|after| event.id > after)
                && query.state.is_none_or(|state| event.state == state)
                && query.event_type.as_ref().is_none_or(|kind| event.event_type == *kind)
                && query.idempotency_key.as_ref().is_none_or(|key| event.idempotency_key == *key)
                && query.fqn.as_ref().is_none_or(|fqn| event.fqn == *fqn)
                && query.endpoint.as_ref().is_none_or(|endpoint| event.endpoint == *endpoint)
                && query.from.is_none_or(|from| event.occurred_at >= from)
                && query.until.is_none_or(|until| event.occurred_at < until)
                && (query.session_id.is_none() || event.session_id == query.session_id)
        })
    }

    /// The events of this state that need not be kept, oldest first.
    pub(super) fn expired(&self, state: EventState, retention: &Retention, now: Timestamp) -> Vec<RowId> {
        let keep = retention.events(state);
        let mut rows: Vec<_> = self.events.values().filter(|row| row.event.state == state).collect();
        rows.sort_by_key(|row| (row.event.settled_at, row.event.id));
        let surplus = surplus(rows.len(), keep);
        let old = |row: &Row| older(row.event.settled_at, keep, now);
        let forgettable = |row: &Row| row.event.received_at < retention.keys_before(now);
        let expired = rows.iter().enumerate().filter(|(index, row)| *index < surplus || old(row));
        expired.filter(|(_, row)| forgettable(row)).map(|(_, row)| row.event.id).collect()
    }

    pub(super) fn remove(&mut self, event: RowId) {
        let Some(row) = self.events.remove(&event) else { return };
        let key = key(&row.event.endpoint, row.event.idempotency_key.as_str());
        self.conflicts.retain(|conflict| !conflict.is_of(&key.0, &key.1));
        self.attempts.retain(|attempt| attempt.event != event);
        self.by_key.remove(&key);
    }

    pub(super) fn claimable(&self, request: &ClaimRequest) -> Vec<RowId> {
        let mut waiting: Vec<&Row> =
            self.events.values().filter(|row| row.event.state == EventState::Waiting).collect();
        waiting.sort_by_key(|row| (row.event.occurred_at, row.event.id));
        let mut busy: HashSet<&str> = self
            .events
            .values()
            .filter(|row| row.event.state == EventState::Running)
            .filter_map(|row| session(row))
            .collect();
        let running_suspect = |row: &Row| row.event.state == EventState::Running && row.event.crashes > 0;
        let mut suspect_taken = self.events.values().any(running_suspect);
        let mut claimable = Vec::new();
        for row in waiting {
            let event = &row.event;
            if session(row).is_some_and(|session| busy.contains(session)) {
                continue;
            }
            let due = event.due_at <= request.now
                && event.received_at.saturating_add(request.order.settle_window) <= request.now;
            if !due && event.failures >= request.order.hold_failures {
                continue;
            }
            busy.extend(session(row));
            let suspect = event.crashes > 0;
            if due && claimable.len() < request.limit && !(suspect && suspect_taken) {
                suspect_taken |= suspect;
                claimable.push(event.id);
            }
        }
        claimable
    }
}

/// How many of so many are more than are kept.
pub(super) fn surplus(rows: usize, keep: Keep) -> usize {
    keep.count.map_or(0, |count| rows.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)))
}

pub(super) fn older(at: Option<Timestamp>, keep: Keep, now: Timestamp) -> bool {
    matches!((at, keep.age), (Some(at), Some(age)) if at < now.saturating_sub(age))
}

/// Deletes what need not be kept of rows, the oldest first, at most `limit`; answers how many, and
/// whether there is more.
pub(super) fn purge_rows<T>(
    rows: &mut Vec<T>,
    keep: Keep,
    now: Timestamp,
    limit: usize,
    age: impl Fn(&T) -> (Timestamp, RowId),
) -> (u64, bool) {
    let mut ages: Vec<_> = rows.iter().map(&age).collect();
    ages.sort();
    let surplus = surplus(ages.len(), keep);
    let expired = ages.iter().enumerate().filter(|(i, (at, _))| *i < surplus || older(Some(*at), keep, now));
    let expired: Vec<RowId> = expired.map(|(_, (_, id))| *id).collect();
    let deleted: HashSet<RowId> = expired.iter().take(limit).copied().collect();
    rows.retain(|row| !deleted.contains(&age(row).1));
    (deleted.len() as u64, expired.len() > limit)
}

pub(super) fn session(row: &Row) -> Option<&str> {
    row.event.session_id.as_ref().map(crate::SessionId::as_str)
}

pub(super) fn cut<T: Clone>(rows: &[T], page: PageRequest, id: impl Fn(&T) -> RowId) -> Page<T> {
    let limit = page.clamped_limit();
    let matching = rows.iter().filter(|row| page.after.is_none_or(|after| id(row) > after));
    Page::from_rows(matching.take(limit + 1).cloned().collect(), limit, id)
}
