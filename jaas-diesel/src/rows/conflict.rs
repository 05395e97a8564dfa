//! A conflict: a body that arrived with the key of another body.

use diesel::prelude::*;
use jaas_core::store::{Conflict, RowId, StoreError};
use jaas_core::{IdempotencyKey, Timestamp};

use super::column::count;
use super::new_event::NewEvent;
use crate::schema::jaas_conflicts;

#[derive(Insertable)]
#[diesel(table_name = jaas_conflicts)]
pub(crate) struct NewConflict<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) idempotency_key: &'a str,
    body: &'a [u8],
    pub(crate) body_hash: &'a [u8],
    first_received_at: i64,
    pub(crate) last_received_at: i64,
}

impl<'a> From<&'a NewEvent> for NewConflict<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self {
            endpoint: &event.endpoint,
            idempotency_key: &event.idempotency_key,
            body: &event.body.0,
            body_hash: &event.body_hash,
            first_received_at: event.received_at,
            last_received_at: event.received_at,
        }
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

impl TryFrom<ConflictRow> for Conflict {
    type Error = StoreError;

    fn try_from(row: ConflictRow) -> Result<Self, StoreError> {
        let mut conflict = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            IdempotencyKey::new(row.idempotency_key),
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        conflict.last_received_at = Timestamp::from_millis(row.last_received_at);
        conflict.seen = count(row.seen);
        Ok(conflict)
    }
}
