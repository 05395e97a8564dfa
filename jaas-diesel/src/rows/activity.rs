//! A sample of what has happened in the inbox.

use diesel::prelude::*;
use jaas_core::store::tools::ActivitySample;

use crate::schema::jaas_activity;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = jaas_activity)]
pub(crate) struct ActivityRow {
    pub(crate) minute: i64,
    pub(crate) taken_at: i64,
    pub(crate) accepted: i64,
    pub(crate) settled: i64,
    pub(crate) failed: i64,
    pub(crate) dead: i64,
    pub(crate) waiting: i64,
}

impl From<ActivityRow> for ActivitySample {
    fn from(row: ActivityRow) -> Self {
        let ActivityRow { taken_at, accepted, settled, failed, dead, waiting, .. } = row;
        Self { at: taken_at, accepted, settled, failed, dead, waiting }
    }
}
