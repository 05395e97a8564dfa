//! Rows of `jaas_drift`, and the values that they become.

use std::sync::Arc;

use diesel::prelude::*;
use jaas_core::Timestamp;
use jaas_core::drift::{Drift, DriftKind, DriftRecord, DriftSighting};
use jaas_core::store::{RowId, StoreError};

use crate::rows::{indexed, text, unknown};
use crate::schema::jaas_drift;

/// The longest word that fits the column.
const MAX_DETAIL: usize = 64;

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = jaas_drift, treat_none_as_default_value = false)]
pub(crate) struct NewDrift {
    pub(crate) kind: &'static str,
    pub(crate) event_type: String,
    pub(crate) field: String,
    pub(crate) detail: String,
    pub(crate) seen: i64,
    first_seen: i64,
    pub(crate) last_seen: i64,
    pub(crate) example: Option<i64>,
    fixture: Option<String>,
}

/// A sighting as it is written, and the key of its example.
#[derive(Debug, Clone)]
pub(crate) struct Sighting {
    pub(crate) row: NewDrift,
    pub(crate) endpoint: Arc<str>,
    pub(crate) key: String,
}

impl From<&DriftSighting> for Sighting {
    fn from(sighting: &DriftSighting) -> Self {
        let Drift { kind, event_type, field, detail, .. } = &sighting.drift;
        let mut detail = text(detail);
        while detail.len() > MAX_DETAIL {
            detail.pop();
        }
        let row = NewDrift {
            kind: kind.as_str(),
            event_type: indexed(text(event_type)),
            field: indexed(text(field)),
            detail,
            seen: i64::try_from(sighting.count).unwrap_or(i64::MAX),
            first_seen: sighting.first_seen.as_millis(),
            last_seen: sighting.last_seen.as_millis(),
            example: None,
            fixture: sighting.fixture.as_ref().map(|fixture| fixture.replace('\0', "\u{fffd}")),
        };
        Self { row, endpoint: sighting.endpoint.clone(), key: sighting.idempotency_key.to_string() }
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jaas_drift)]
pub(crate) struct Row {
    id: i64,
    kind: String,
    event_type: String,
    field: String,
    detail: String,
    seen: i64,
    first_seen: i64,
    last_seen: i64,
    example: Option<i64>,
    fixture: Option<String>,
}

impl TryFrom<Row> for DriftRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let kind = DriftKind::from_name(&row.kind).ok_or_else(|| unknown("drift", row.id, &row.kind))?;
        let drift = Drift::new(kind, row.event_type, row.field, row.detail);
        // The key of the example is not kept, only its row.
        let seen = Timestamp::from_millis(row.first_seen);
        let mut sighting = DriftSighting::new(drift, seen, "", "".into());
        sighting.count = u64::try_from(row.seen).unwrap_or(0);
        sighting.last_seen = Timestamp::from_millis(row.last_seen);
        sighting.fixture = row.fixture;
        Ok(Self::new(RowId::new(row.id), sighting, row.example.map(RowId::new)))
    }
}
