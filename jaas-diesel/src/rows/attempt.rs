//! An attempt: how one run of an event ended.

use diesel::prelude::*;
use jaas_core::Timestamp;
use jaas_core::store::{Attempt, AttemptOutcome, RowId, StoreError};

use super::column::unknown;
use crate::schema::jaas_attempts;

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_attempts)]
pub(crate) struct AttemptRow {
    id: i64,
    event_id: i64,
    fence: i64,
    worker: Option<String>,
    outcome: String,
    error: Option<String>,
    ended_at: i64,
}

impl TryFrom<AttemptRow> for Attempt {
    type Error = StoreError;

    fn try_from(row: AttemptRow) -> Result<Self, StoreError> {
        let outcome = AttemptOutcome::from_name(&row.outcome)
            .ok_or_else(|| unknown("attempt", row.id, &row.outcome))?;
        let ended_at = Timestamp::from_millis(row.ended_at);
        let mut attempt =
            Self::new(RowId::new(row.id), RowId::new(row.event_id), row.fence, outcome, ended_at);
        attempt.worker = row.worker;
        attempt.error = row.error;
        Ok(attempt)
    }
}
