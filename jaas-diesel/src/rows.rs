//! Rows of the tables, and how they become what a store tells.

use diesel::prelude::*;
use jaas_core::store::{
    Claim, Conflict, EventState, Lease, Quarantined, RowId, StoreError, StoreErrorKind, StoredEvent,
};
use jaas_core::{Delivery, Fqn, IdempotencyKey, SessionId, Timestamp, Unreadable};

use crate::schema::{jaas_conflicts, jaas_events, jaas_quarantine};

/// A new event, owning what the writer needs after the request is gone.
#[derive(Insertable)]
#[diesel(table_name = jaas_events, treat_none_as_default_value = false)]
pub(crate) struct NewEvent {
    pub(crate) endpoint: String,
    pub(crate) idempotency_key: String,
    event_type: String,
    session_id: Option<String>,
    fqn: String,
    occurred_at: i64,
    pub(crate) received_at: i64,
    pub(crate) body: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
    state: &'static str,
    due_at: i64,
}

impl From<Delivery> for NewEvent {
    fn from(delivery: Delivery) -> Self {
        Self {
            endpoint: delivery.endpoint.to_string(),
            occurred_at: delivery.occurred_at().as_millis(),
            received_at: delivery.received_at.as_millis(),
            body: delivery.body().to_vec(),
            body_hash: delivery.body_hash().to_vec(),
            state: EventState::Waiting.as_str(),
            due_at: delivery.received_at.as_millis(),
            idempotency_key: delivery.envelope.idempotency_key.into_string(),
            event_type: delivery.envelope.event_type,
            session_id: delivery.envelope.session_id.map(SessionId::into_string),
            fqn: delivery.envelope.fqn.into_string(),
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = jaas_conflicts)]
pub(crate) struct NewConflict<'a> {
    endpoint: &'a str,
    idempotency_key: &'a str,
    body: &'a [u8],
    body_hash: &'a [u8],
    first_received_at: i64,
    last_received_at: i64,
}

impl<'a> From<&'a NewEvent> for NewConflict<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self {
            endpoint: &event.endpoint,
            idempotency_key: &event.idempotency_key,
            body: &event.body,
            body_hash: &event.body_hash,
            first_received_at: event.received_at,
            last_received_at: event.received_at,
        }
    }
}

#[derive(Insertable)]
#[diesel(table_name = jaas_quarantine)]
pub(crate) struct NewQuarantined {
    endpoint: String,
    body: Vec<u8>,
    body_hash: Vec<u8>,
    reason: String,
    first_received_at: i64,
    pub(crate) last_received_at: i64,
}

impl From<Unreadable> for NewQuarantined {
    fn from(unreadable: Unreadable) -> Self {
        Self {
            endpoint: unreadable.endpoint.to_string(),
            body: unreadable.body().to_vec(),
            body_hash: unreadable.body_hash().to_vec(),
            reason: unreadable.reason.to_string(),
            first_received_at: unreadable.received_at.as_millis(),
            last_received_at: unreadable.received_at.as_millis(),
        }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct EventRow {
    pub(crate) id: i64,
    endpoint: String,
    idempotency_key: String,
    event_type: String,
    session_id: Option<String>,
    fqn: String,
    occurred_at: i64,
    received_at: i64,
    state: String,
    failures: i32,
    crashes: i32,
    interruptions: i32,
    completed: String,
    due_at: i64,
    settled_at: Option<i64>,
    note: Option<String>,
    body: Vec<u8>,
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
        Ok(event)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct ClaimRow {
    id: i64,
    fence: i64,
    endpoint: String,
    received_at: i64,
    body: Vec<u8>,
    failures: i32,
    crashes: i32,
    interruptions: i32,
    completed: String,
}

impl From<ClaimRow> for Claim {
    fn from(row: ClaimRow) -> Self {
        let lease = Lease { event: RowId::new(row.id), fence: row.fence };
        let mut claim =
            Self::new(lease, row.endpoint.into(), Timestamp::from_millis(row.received_at), row.body);
        claim.failures = count(row.failures);
        claim.crashes = count(row.crashes);
        claim.interruptions = count(row.interruptions);
        claim.completed = names(&row.completed);
        claim
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_conflicts)]
pub(crate) struct ConflictRow {
    id: i64,
    endpoint: String,
    idempotency_key: String,
    body: Vec<u8>,
    first_received_at: i64,
    last_received_at: i64,
    seen: i32,
}

impl From<ConflictRow> for Conflict {
    fn from(row: ConflictRow) -> Self {
        let mut conflict = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            IdempotencyKey::new(row.idempotency_key),
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        conflict.last_received_at = Timestamp::from_millis(row.last_received_at);
        conflict.seen = count(row.seen);
        conflict
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_quarantine)]
pub(crate) struct QuarantineRow {
    id: i64,
    endpoint: String,
    body: Vec<u8>,
    reason: String,
    first_received_at: i64,
    last_received_at: i64,
    seen: i32,
}

impl From<QuarantineRow> for Quarantined {
    fn from(row: QuarantineRow) -> Self {
        let mut quarantined = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            row.reason,
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        quarantined.last_received_at = Timestamp::from_millis(row.last_received_at);
        quarantined.seen = count(row.seen);
        quarantined
    }
}

/// The state of this stored name.
pub(crate) fn state(id: i64, name: &str) -> Result<EventState, StoreError> {
    EventState::ALL.into_iter().find(|state| state.as_str() == name).ok_or_else(|| {
        StoreError::new(
            StoreErrorKind::Corrupt,
            format!(
                "event {id} is in state {name:?}, which this version of jaas-diesel does not know; update it"
            ),
        )
    })
}

/// The names in a `completed` column.
pub(crate) fn names(completed: &str) -> Vec<String> {
    completed.lines().map(str::to_owned).collect()
}

fn count(column: i32) -> u32 {
    u32::try_from(column).unwrap_or(0)
}
