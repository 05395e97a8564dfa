//! The statements on the settings tables, and [`SettingsLog`] for the store.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`; `Connection` is `SqliteConnection`,
//! which blocks, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect` and `queries` are the backend's modules.

use async_trait::async_trait;
use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _};
use diesel::result::{DatabaseErrorKind, Error};
use jaas_core::Timestamp;
use jaas_core::settings::{SettingsLog, SettingsQuery, SettingsRecord};
use jaas_core::store::{Keep, Page, PageRequest, StoreError};

use super::dialect::{Connection, RunQueryDsl as _, conflict_target};
use super::queries::purge::purge_settings_records;
use super::queries::{after, one_more};
use super::{Store, asked};
use crate::rows::{indexed, page_of, text};
use crate::schema::{jaas_settings, jaas_settings_records};
use crate::settings::{Key, NewRecord, NewSettings, RecordRow, TableRow};

/// Inserts a row; returns `false` if a row with its key exists.
pub(super) async fn insert(connection: &mut Connection, row: &NewSettings) -> QueryResult<bool> {
    match diesel::insert_into(jaas_settings::table).values(row).execute(connection).await {
        Ok(_) => Ok(true),
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Changes a row; returns `false` if no row with its key exists.
pub(super) async fn update(connection: &mut Connection, row: &NewSettings) -> QueryResult<bool> {
    use jaas_settings::dsl;
    let rows = dsl::jaas_settings.filter(dsl::tenant.eq(&row.tenant)).filter(dsl::room.eq(&row.room));
    // Counted separately: MySQL does not count a row whose values stay the same.
    let found: i64 = rows.count().get_result(connection).await?;
    diesel::update(rows).set(dsl::settings.eq(&row.settings)).execute(connection).await?;
    Ok(found > 0)
}

/// Inserts a row, or changes the row with its key.
pub(super) async fn put(connection: &mut Connection, row: &NewSettings) -> QueryResult<()> {
    use jaas_settings::dsl;
    diesel::insert_into(dsl::jaas_settings)
        .values(row)
        .on_conflict(conflict_target!(dsl::room, dsl::tenant))
        .do_update()
        .set(dsl::settings.eq(&row.settings))
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a row; returns `false` if no row with this key exists.
pub(super) async fn delete(connection: &mut Connection, key: &Key) -> QueryResult<bool> {
    use jaas_settings::dsl;
    let rows = dsl::jaas_settings.filter(dsl::tenant.eq(&key.tenant)).filter(dsl::room.eq(&key.room));
    Ok(diesel::delete(rows).execute(connection).await? > 0)
}

/// The rows with one of these tenants and one of these rooms. Each pair has one row at most.
pub(super) async fn find(
    connection: &mut Connection,
    tenants: &[String],
    rooms: &[String],
) -> QueryResult<Vec<TableRow>> {
    use jaas_settings::dsl;
    dsl::jaas_settings
        .filter(dsl::tenant.eq_any(tenants))
        .filter(dsl::room.eq_any(rooms))
        .select(TableRow::as_select())
        .load(connection)
        .await
}

pub(super) async fn list(connection: &mut Connection, page: PageRequest) -> QueryResult<Vec<TableRow>> {
    use jaas_settings::dsl;
    let mut rows = dsl::jaas_settings.limit(one_more(page)).select(TableRow::as_select()).into_boxed();
    rows = if page.newest_first {
        rows.filter(dsl::id.lt(after(page))).order(dsl::id.desc())
    } else {
        rows.filter(dsl::id.gt(after(page))).order(dsl::id)
    };
    rows.load(connection).await
}

async fn record(connection: &mut Connection, records: &[NewRecord]) -> QueryResult<()> {
    diesel::insert_into(jaas_settings_records::table).values(records).execute(connection).await?;
    Ok(())
}

async fn records(connection: &mut Connection, query: &SettingsQuery) -> QueryResult<Vec<RecordRow>> {
    use jaas_settings_records::dsl;
    let mut rows =
        dsl::jaas_settings_records.limit(one_more(query.page)).select(RecordRow::as_select()).into_boxed();
    let newest_first = query.page.newest_first;
    rows = if newest_first {
        rows.filter(dsl::id.lt(after(query.page)))
    } else {
        rows.filter(dsl::id.gt(after(query.page)))
    };
    // By the index that has the records of the room in their order.
    rows = match (query.fqn.is_some(), newest_first) {
        (true, false) => rows.order((dsl::room, dsl::id)),
        (true, true) => rows.order((dsl::room.desc(), dsl::id.desc())),
        (false, false) => rows.order(dsl::id),
        (false, true) => rows.order(dsl::id.desc()),
    };
    if let Some(fqn) = &query.fqn {
        let Key { tenant, room } = Key::of(fqn);
        rows = rows.filter(dsl::room.eq(indexed(room)));
        if fqn.app_id().is_some() {
            rows = rows.filter(dsl::tenant.eq(indexed(tenant)));
        }
    }
    if let Some(endpoint) = &query.endpoint {
        rows = rows.filter(dsl::endpoint.eq(text(endpoint)));
    }
    if let Some(from) = query.from {
        rows = rows.filter(dsl::received_at.ge(from.as_millis()));
    }
    if let Some(until) = query.until {
        rows = rows.filter(dsl::received_at.lt(until.as_millis()));
    }
    if let Some(source) = query.source {
        rows = rows.filter(dsl::source.eq(source.as_str()));
    }
    if let Some(failure) = query.failure {
        rows = rows.filter(dsl::failure.eq(failure.as_str()));
    }
    rows.load(connection).await
}

#[async_trait]
impl SettingsLog for Store {
    async fn record_settings(&self, records: &[SettingsRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let rows: std::sync::Arc<[NewRecord]> = records.iter().map(NewRecord::from).collect();
        asked!(write, self, "record settings", [rows] connection => record(connection, &rows))
    }

    async fn settings_records(&self, query: &SettingsQuery) -> Result<Page<SettingsRecord>, StoreError> {
        let page = query.page;
        let rows =
            asked!(read, self, "list settings records", [query] connection => records(connection, &query))?;
        page_of(rows, page, |record: &SettingsRecord| record.id)
    }

    async fn purge_settings_records(
        &self,
        keep: Keep,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        asked!(write, self, "purge settings records", [] connection =>
            purge_settings_records(connection, keep, now, limit))
    }
}
