//! A stored event.

use diesel::prelude::*;
use jaas_core::store::tools::DeadLettered;
use jaas_core::store::{EventState, RowId, StoreError, StoredEvent};
use jaas_core::{Fqn, IdempotencyKey, SessionId, Timestamp};

use super::column::{count, names, trace, unknown};
use crate::schema::jaas_events;

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    endpoint: String,
    idempotency_key: String,
    event_type: String,
    session_id: Option<String>,
    fqn: String,
    pub(crate) ordering_key: String,
    occurred_at: i64,
    received_at: i64,
    pub(crate) state: String,
    failures: i32,
    crashes: i32,
    interruptions: i32,
    completed: String,
    due_at: i64,
    pub(crate) worker: Option<String>,
    settled_at: Option<i64>,
    note: Option<String>,
    body: Vec<u8>,
    erased_at: Option<i64>,
    trace_context: Option<String>,
}

impl EventRow {
    /// Marks the event as running on this worker.
    pub(crate) fn running(&mut self, worker: Option<String>) {
        EventState::Running.as_str().clone_into(&mut self.state);
        self.worker = worker;
    }
}

impl TryFrom<EventRow> for StoredEvent {
    type Error = StoreError;

    fn try_from(row: EventRow) -> Result<Self, StoreError> {
        let state = state(row.id, &row.state)?;
        let mut event = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            IdempotencyKey::new(row.idempotency_key),
            Timestamp::from_millis(row.received_at),
            row.body,
        );
        event.event_type = row.event_type;
        event.session_id = row.session_id.map(SessionId::new);
        event.fqn = Fqn::new(row.fqn);
        event.occurred_at = Timestamp::from_millis(row.occurred_at);
        event.state = state;
        event.failures = count(row.failures);
        event.crashes = count(row.crashes);
        event.interruptions = count(row.interruptions);
        event.completed = names(&row.completed);
        event.due_at = Timestamp::from_millis(row.due_at);
        event.settled_at = row.settled_at.map(Timestamp::from_millis);
        event.note = row.note;
        event.worker = row.worker;
        event.erased_at = row.erased_at.map(Timestamp::from_millis);
        event.trace = trace(row.trace_context.as_deref());
        Ok(event)
    }
}

/// An event whose lease has expired.
#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct CrashedRow {
    pub(crate) id: i64,
    idempotency_key: String,
    event_type: String,
    failures: i32,
    pub(crate) crashes: i32,
    interruptions: i32,
}

impl CrashedRow {
    /// The report that the event became a dead letter after this many crashes.
    pub(crate) fn dead_letters(self, crashes: u32) -> DeadLettered {
        let attempts = crashes.saturating_add(count(self.failures)).saturating_add(count(self.interruptions));
        let key = IdempotencyKey::new(self.idempotency_key);
        DeadLettered::new(RowId::new(self.id), key, self.event_type, crashes, attempts)
    }
}

/// The state with this stored name.
pub(crate) fn state(id: i64, name: &str) -> Result<EventState, StoreError> {
    EventState::from_name(name).ok_or_else(|| unknown("event", id, name))
}
