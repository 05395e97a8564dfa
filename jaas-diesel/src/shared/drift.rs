//! [`DriftStore`] for the store: what JaaS sends and this version does not know.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`; `Connection` is
//! `SqliteConnection`, which blocks, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect` and `queries` are the
//! backend's modules.

use async_trait::async_trait;
use diesel::OptionalExtension as _;
use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _};
use diesel::result::{DatabaseErrorKind, Error};
use jaas_core::Timestamp;
use jaas_core::drift::{Drift, DriftRecord, DriftSighting, DriftStore};
use jaas_core::store::{Page, PageRequest, StoreError};

use super::dialect::{Connection, RunQueryDsl as _};
use super::queries::{after, one_more};
use super::{Store, asked};
use crate::drift::{NewDrift, Row, Sighting};
use crate::rows::page_of;
use crate::schema::{jaas_drift, jaas_events};

/// Adds the sightings, and returns the places of those that are new.
async fn record(connection: &mut Connection, sightings: &[Sighting]) -> QueryResult<Vec<usize>> {
    let mut new = Vec::new();
    for (place, sighting) in sightings.iter().enumerate() {
        if !count(connection, &sighting.row).await? {
            if insert(connection, sighting).await? {
                new.push(place);
            } else {
                // Another process was faster.
                count(connection, &sighting.row).await?;
            }
        }
    }
    Ok(new)
}

/// Adds to the row of this thing; returns `false` if it does not exist.
async fn count(connection: &mut Connection, row: &NewDrift) -> QueryResult<bool> {
    use jaas_drift::dsl;
    let of_thing = dsl::jaas_drift
        .filter(dsl::kind.eq(row.kind))
        .filter(dsl::event_type.eq(&row.event_type))
        .filter(dsl::field.eq(&row.field))
        .filter(dsl::detail.eq(&row.detail));
    let changes = (dsl::seen.eq(dsl::seen + row.seen), dsl::last_seen.eq(row.last_seen));
    Ok(diesel::update(of_thing).set(changes).execute(connection).await? > 0)
}

/// Inserts the row of this thing; returns `false` if it exists.
async fn insert(connection: &mut Connection, sighting: &Sighting) -> QueryResult<bool> {
    use jaas_events::dsl;
    let example = dsl::jaas_events
        .filter(dsl::endpoint.eq(&*sighting.endpoint))
        .filter(dsl::idempotency_key.eq(&sighting.key))
        .select(dsl::id)
        .get_result(connection)
        .await
        .optional()?;
    let mut row = sighting.row.clone();
    row.example = example;
    match diesel::insert_into(jaas_drift::table).values(row).execute(connection).await {
        Ok(_) => Ok(true),
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn list(connection: &mut Connection, page: PageRequest) -> QueryResult<Vec<Row>> {
    use jaas_drift::dsl;
    let mut rows = dsl::jaas_drift.limit(one_more(page)).select(Row::as_select()).into_boxed();
    rows = if page.newest_first {
        rows.filter(dsl::id.lt(after(page))).order(dsl::id.desc())
    } else {
        rows.filter(dsl::id.gt(after(page))).order(dsl::id)
    };
    rows.load(connection).await
}

async fn forget(connection: &mut Connection, before: Timestamp, limit: u32) -> QueryResult<u64> {
    use jaas_drift::dsl;
    // In two steps, because MySQL does not delete by a query of the same table.
    let old: Vec<i64> = dsl::jaas_drift
        .filter(dsl::last_seen.lt(before.as_millis()))
        .order((dsl::last_seen, dsl::id))
        .limit(i64::from(limit))
        .select(dsl::id)
        .load(connection)
        .await?;
    Ok(diesel::delete(dsl::jaas_drift.filter(dsl::id.eq_any(old))).execute(connection).await? as u64)
}

#[async_trait]
impl DriftStore for Store {
    async fn record_drift(&self, sightings: &[DriftSighting]) -> Result<Vec<Drift>, StoreError> {
        if sightings.is_empty() {
            return Ok(Vec::new());
        }
        let rows: std::sync::Arc<[Sighting]> = sightings.iter().map(Sighting::from).collect();
        let new = asked!(write, self, "record drift", [rows] connection => record(connection, &rows))?;
        Ok(new.into_iter().filter_map(|place| sightings.get(place)).map(|new| new.drift.clone()).collect())
    }

    async fn drift_records(&self, page: PageRequest) -> Result<Page<DriftRecord>, StoreError> {
        let rows = asked!(read, self, "list drift", [] connection => list(connection, page))?;
        page_of(rows, page, |record: &DriftRecord| record.id)
    }

    async fn forget_drift(&self, last_seen_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        asked!(write, self, "forget drift", [] connection => forget(connection, last_seen_before, limit))
    }
}
