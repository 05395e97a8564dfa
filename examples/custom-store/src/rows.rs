//! Everything the journal says, in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jaas_core::Timestamp;
use jaas_core::store::{AttemptOutcome, AuditAction, AuditNote, EventState, Lease, RowId, StoreError};

use crate::record::{Attempt, Audit, Blob, Event, Kept, Record};

#[derive(Debug, Default)]
pub(crate) struct Rows {
    last_id: i64,
    pub(crate) events: BTreeMap<RowId, Event>,
    pub(crate) by_key: HashMap<(Arc<str>, String), RowId>,
    /// Events that wait or run.
    pub(crate) open: BTreeSet<RowId>,
    pub(crate) conflicts: BTreeMap<RowId, Kept>,
    pub(crate) quarantined: BTreeMap<RowId, Kept>,
    pub(crate) attempts: BTreeMap<RowId, Attempt>,
    pub(crate) audit: BTreeMap<RowId, Audit>,
    pub(crate) values: BTreeMap<String, String>,
    /// What changed, and is not in the file yet.
    changes: Vec<Record>,
    erased: bool,
}

impl Rows {
    /// Changes a row, now here and soon in the file.
    pub(crate) fn put(&mut self, record: Record) {
        self.apply(&record);
        self.changes.push(record);
    }

    pub(crate) fn put_event(&mut self, event: Event) {
        self.put(Record::Event(Box::new(event)));
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.changes)
    }

    /// Bodies must go from the file too, so it has to be written anew.
    pub(crate) fn mark_erased(&mut self) {
        self.erased = true;
    }

    pub(crate) fn take_erased(&mut self) -> bool {
        std::mem::take(&mut self.erased)
    }

    /// Repeats a change that the journal tells.
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Event(event) => self.apply_event(event),
            Record::Body(id, body) => {
                if let Some(event) = self.events.get_mut(id) {
                    event.body = body.body();
                }
            }
            Record::Conflict(kept) => {
                drop(self.conflicts.insert(number(&mut self.last_id, kept.id), kept.clone()))
            }
            Record::Quarantined(kept) => {
                self.quarantined.insert(number(&mut self.last_id, kept.id), kept.clone());
            }
            Record::Attempt(attempt) => {
                self.attempts.insert(number(&mut self.last_id, attempt.id), attempt.clone());
            }
            Record::Audit(audit) => {
                drop(self.audit.insert(number(&mut self.last_id, audit.id), audit.clone()))
            }
            Record::Value(key, value) => drop(self.values.insert(key.clone(), value.clone())),
            Record::ForgetEvent(id) => self.forget(*id),
            Record::ForgetConflict(id) => drop(self.conflicts.remove(id)),
            Record::ForgetQuarantined(id) => drop(self.quarantined.remove(id)),
            Record::Hush(id) => self.hush(*id),
            Record::LastId(last) => self.last_id = self.last_id.max(*last),
        }
    }

    fn apply_event(&mut self, event: &Event) {
        let mut event = event.clone();
        let before = self.events.remove(&number(&mut self.last_id, event.id));
        if event.body.is_empty() && event.erased_at.is_none() {
            event.body = before.map(|before| before.body).unwrap_or_default();
        }
        self.by_key.insert((event.endpoint.clone(), event.key.to_string()), event.id);
        match event.state.is_settled() {
            true => self.open.remove(&event.id),
            false => self.open.insert(event.id),
        };
        self.events.insert(event.id, event);
    }

    fn forget(&mut self, id: RowId) {
        let Some(event) = self.events.remove(&id) else { return };
        self.conflicts.retain(|_, conflict| !is_of(conflict, &event));
        self.attempts.retain(|_, attempt| attempt.event != id);
        self.open.remove(&id);
        self.by_key.remove(&(event.endpoint, event.key.to_string()));
    }

    fn hush(&mut self, id: RowId) {
        let Some(event) = self.events.get(&id) else { return };
        for conflict in self.conflicts.values_mut().filter(|conflict| is_of(conflict, event)) {
            conflict.body = Blob::Text(String::new());
        }
        for attempt in self.attempts.values_mut().filter(|attempt| attempt.event == id) {
            attempt.error = None;
        }
    }

    /// Everything, as the records that would make it.
    pub(crate) fn snapshot(&self) -> impl Iterator<Item = Record> + '_ {
        let events = self.events.values().flat_map(|event| {
            let body = event.erased_at.is_none().then(|| Record::Body(event.id, Blob::new(&event.body)));
            [Some(Record::Event(Box::new(event.clone()))), body].into_iter().flatten()
        });
        events
            .chain(self.conflicts.values().cloned().map(Record::Conflict))
            .chain(self.quarantined.values().cloned().map(Record::Quarantined))
            .chain(self.attempts.values().cloned().map(Record::Attempt))
            .chain(self.audit.values().cloned().map(Record::Audit))
            .chain(self.values.iter().map(|(key, value)| Record::Value(key.clone(), value.clone())))
            .chain([Record::LastId(self.last_id)])
    }

    /// How many records would make it.
    pub(crate) fn needed(&self) -> usize {
        let rest = self.attempts.len() + self.audit.len() + self.values.len() + 1;
        2 * self.events.len() + self.conflicts.len() + self.quarantined.len() + rest
    }

    /// A number for the next row of any kind.
    pub(crate) fn next_id(&mut self) -> RowId {
        self.last_id += 1;
        RowId::new(self.last_id)
    }

    pub(crate) fn event(&self, id: RowId) -> Result<Event, StoreError> {
        self.events.get(&id).cloned().ok_or_else(|| StoreError::not_found(id))
    }

    /// The event of a claim that still holds.
    pub(crate) fn held(&self, operation: &str, lease: Lease) -> Result<Event, StoreError> {
        let event = self.events.get(&lease.event);
        let event = event.filter(|event| event.state == EventState::Running && event.fence == lease.fence);
        event.cloned().ok_or_else(|| StoreError::stale(operation, lease))
    }

    pub(crate) fn record_attempt(
        &mut self,
        event: &Event,
        outcome: AttemptOutcome,
        error: Option<String>,
        now: Timestamp,
    ) {
        let (id, event, fence, worker) = (self.next_id(), event.id, event.fence, event.worker.clone());
        self.put(Record::Attempt(Attempt { id, event, fence, worker, outcome, error, ended_at: now }));
    }

    pub(crate) fn record_audit(
        &mut self,
        event: &Event,
        action: AuditAction,
        note: &AuditNote,
        now: Timestamp,
    ) {
        let (by, reason) = (note.by.clone(), note.reason.clone());
        let (id, endpoint, key) = (self.next_id(), event.endpoint.clone(), event.key.clone());
        self.put(Record::Audit(Audit { id, event: event.id, endpoint, key, action, by, reason, at: now }));
    }
}

impl Event {
    pub(crate) fn settle(&mut self, state: EventState, note: Option<String>, now: Timestamp) {
        (self.state, self.note, self.settled_at) = (state, note, Some(now));
    }
}

pub(crate) fn is_of(conflict: &Kept, event: &Event) -> bool {
    conflict.endpoint == event.endpoint && event.key == conflict.why.as_str()
}

/// Remembers the largest number.
fn number(last: &mut i64, id: RowId) -> RowId {
    *last = id.get().max(*last);
    id
}
