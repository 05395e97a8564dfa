//! A body in quarantine, because it could not be parsed.

use diesel::prelude::*;
use jaas_core::store::{Quarantined, RowId, StoreError};
use jaas_core::{Timestamp, Unreadable};

use super::column::count;
use crate::schema::jaas_quarantine;

#[derive(Insertable)]
#[diesel(table_name = jaas_quarantine)]
pub(crate) struct NewQuarantined {
    pub(crate) endpoint: String,
    body: Vec<u8>,
    pub(crate) body_hash: Vec<u8>,
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

impl TryFrom<QuarantineRow> for Quarantined {
    type Error = StoreError;

    fn try_from(row: QuarantineRow) -> Result<Self, StoreError> {
        let mut quarantined = Self::new(
            RowId::new(row.id),
            row.endpoint.into(),
            row.reason,
            Timestamp::from_millis(row.first_received_at),
            row.body,
        );
        quarantined.last_received_at = Timestamp::from_millis(row.last_received_at);
        quarantined.seen = count(row.seen);
        Ok(quarantined)
    }
}
