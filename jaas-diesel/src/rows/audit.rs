//! An audit entry: what an operator did to an event.

use diesel::prelude::*;
use jaas_core::store::{AuditAction, AuditEntry, AuditNote, RowId, StoreError};
use jaas_core::{IdempotencyKey, Timestamp};

use super::column::unknown;
use crate::schema::jaas_audit;

#[derive(Insertable)]
#[diesel(table_name = jaas_audit)]
pub(crate) struct NewAudit {
    pub(crate) event_id: i64,
    pub(crate) endpoint: String,
    pub(crate) idempotency_key: String,
    pub(crate) action: &'static str,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) acted_at: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_audit)]
pub(crate) struct AuditRow {
    id: i64,
    event_id: i64,
    endpoint: String,
    idempotency_key: String,
    action: String,
    actor: String,
    reason: String,
    acted_at: i64,
}

impl TryFrom<AuditRow> for AuditEntry {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        Ok(Self::new(
            RowId::new(row.id),
            RowId::new(row.event_id),
            (row.endpoint.into(), IdempotencyKey::new(row.idempotency_key)),
            AuditAction::from_name(&row.action).ok_or_else(|| unknown("audit entry", row.id, &row.action))?,
            AuditNote::new(row.actor, row.reason),
            Timestamp::from_millis(row.acted_at),
        ))
    }
}
