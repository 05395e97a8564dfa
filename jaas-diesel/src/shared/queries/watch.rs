//! Deleting what is watched of sessions.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `dialect` is the backend's module of this name.

use diesel::dsl::sql;
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, OptionalExtension as _, QueryDsl as _, QueryResult,
};
use diesel::sql_types::Bool;
use jaas_core::Timestamp;
use jaas_core::store::Retention;

use super::super::dialect::{Connection, RunQueryDsl as _, atomically, locked};
use crate::watch::schema::{jaas_gaps, jaas_sightings, jaas_watched};

/// Deletes what is watched of a session; returns how many rows that were.
pub(super) async fn erase_watched(connection: &mut Connection, session: &str) -> QueryResult<usize> {
    // First the row that an audit locks, so that a claim of it is stale.
    let watched = jaas_watched::table.filter(jaas_watched::session_id.eq(session));
    let mut deleted = diesel::delete(watched).execute(connection).await?;
    let gaps = jaas_gaps::table.filter(jaas_gaps::session_id.eq(session));
    deleted += diesel::delete(gaps).execute(connection).await?;
    let sightings = jaas_sightings::table.filter(jaas_sightings::session_id.eq(session));
    deleted += diesel::delete(sightings).execute(connection).await?;
    Ok(deleted)
}

/// Deletes sessions that are settled and that the retention does not keep, until `limit` rows are deleted; returns
/// whether there may be more. A session is deleted as a whole: a part of what was seen would look like a gap.
pub(super) async fn purge_watched(
    connection: &mut Connection,
    retention: &Retention,
    now: Timestamp,
    limit: i64,
) -> QueryResult<bool> {
    use jaas_watched::dsl;
    let Some(before) = retention.sessions_before(now).map(Timestamp::as_millis) else { return Ok(false) };
    // Nothing is due, said as a comparison: a planner without statistics believes that NULL is rare, and would sort all.
    let old: Vec<String> = dsl::jaas_watched
        .filter(dsl::last_seen_at.lt(before))
        .filter(sql::<Bool>("coalesce(jaas_watched.due_at, 0) < 1"))
        .order(dsl::last_seen_at)
        .limit(limit)
        .select(dsl::session_id)
        .load(connection)
        .await?;
    let mut deleted = 0;
    let all = old.len() as i64;
    for session in old {
        deleted += atomically!(connection, {
            // Something may have been recorded meanwhile.
            let still = dsl::jaas_watched
                .filter(dsl::session_id.eq(&session))
                .filter(dsl::due_at.is_null().and(dsl::last_seen_at.lt(before)))
                .select(dsl::session_id);
            let still: Option<String> = locked!(still).get_result(connection).await.optional()?;
            match still {
                Some(session) => erase_watched(connection, &session).await,
                None => QueryResult::Ok(0),
            }
        })?;
        if deleted as i64 >= limit {
            return Ok(true);
        }
    }
    Ok(all >= limit)
}
