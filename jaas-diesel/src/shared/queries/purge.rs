//! Deleting what the application no longer keeps.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect`
//! and `counts` are the backend's modules of these names.

use diesel::prelude::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::Timestamp;
use jaas_core::store::{EventState, Keep, Purged, Retention};

use super::super::counts::{CONFLICT, PURGED, QUARANTINED, add_to_counts, rows_of};
use super::super::dialect::{Connection, RunQueryDsl as _, atomically, locked};
use super::repair::conflicts_of;
use super::watch::purge_watched;
use crate::rows::slot;
use crate::schema::{
    jaas_artifacts, jaas_attempts, jaas_conflicts, jaas_events, jaas_quarantine, jaas_settings_records,
};

/// The rows of a table, at most `limit`, that are older than the age to keep, or the oldest beyond the count to keep. `$time`
/// is the column with their age, `$rows` how many there are.
macro_rules! expired {
    ($connection:expr, $table:ident, $time:ident, $rows:expr, $keep:expr, $now:expr, $limit:expr) => {{
        use crate::schema::$table::dsl;
        let (keep, now, limit): (Keep, Timestamp, i64) = ($keep, $now, $limit);
        let mut ids: Vec<i64> = Vec::new();
        if let Some(age) = keep.age {
            ids = dsl::$table
                .filter(dsl::$time.lt(now.saturating_sub(age).as_millis()))
                .order((dsl::$time, dsl::id))
                .limit(limit)
                .select(dsl::id)
                .load($connection)
                .await?;
        }
        if let Some(kept) = keep.count {
            let surplus = surplus(kept, $rows);
            if surplus > 0 {
                let oldest: Vec<i64> = dsl::$table
                    .order((dsl::$time, dsl::id))
                    .limit(surplus.min(limit))
                    .select(dsl::id)
                    .load($connection)
                    .await?;
                ids.extend(oldest);
            }
        }
        each_once(ids, limit)
    }};
}

/// Whether no artifact of an event waits to be fetched, or is being fetched: its link is in the event's body. As a number,
/// because the planner would read all artifacts to find the events that none exists for.
macro_rules! has_no_open_artifact {
    () => {
        jaas_artifacts::table
            .filter(jaas_artifacts::event_id.eq(jaas_events::id))
            .filter(jaas_artifacts::outcome.is_null())
            .count()
            .single_value()
            .eq(0)
    };
}

/// Deletes at most `limit` rows of each kind that the retention does not keep.
pub(in super::super) async fn purge(
    connection: &mut Connection,
    retention: &Retention,
    now: Timestamp,
    limit: u32,
) -> QueryResult<Purged> {
    let limit = i64::from(limit.max(1));
    let mut expired = Vec::new();
    for state in SETTLED_STATES {
        let left = limit - expired.len() as i64;
        expired.extend(expired_events(connection, state, retention, now, left).await?);
    }
    if !expired.is_empty() {
        expired = atomically!(connection, {
            // An operator may have replayed some of them meanwhile.
            let settled = jaas_events::table
                .filter(jaas_events::id.eq_any(&expired).and(jaas_events::settled_at.is_not_null()))
                .order(jaas_events::id)
                .select((jaas_events::id, jaas_events::state));
            let settled: Vec<(i64, String)> = locked!(settled).load(connection).await?;
            let expired: Vec<i64> = settled.iter().map(|(id, _)| *id).collect();
            let conflicts = conflicts_of(connection, &expired).await?;
            let conflicts = jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts));
            let conflicts_gone = diesel::delete(conflicts).execute(connection).await? as i64;
            let attempts = jaas_attempts::table.filter(jaas_attempts::event_id.eq_any(&expired));
            diesel::delete(attempts).execute(connection).await?;
            let artifacts = jaas_artifacts::table.filter(jaas_artifacts::event_id.eq_any(&expired));
            diesel::delete(artifacts).execute(connection).await?;
            let events = jaas_events::table.filter(jaas_events::id.eq_any(&expired));
            diesel::delete(events).execute(connection).await?;
            let mut gone = SETTLED_STATES
                .map(|state| {
                    let name = state.as_str();
                    (name, -(settled.iter().filter(|(_, of)| of == name).count() as i64))
                })
                .to_vec();
            gone.extend([(CONFLICT, -conflicts_gone), (PURGED, settled.len() as i64)]);
            add_to_counts(connection, slot(expired.as_slice().first().copied().unwrap_or_default()), &gone)
                .await?;
            QueryResult::Ok(expired)
        })?;
    }
    let conflicts = expired!(
        connection,
        jaas_conflicts,
        last_received_at,
        rows_of(connection, CONFLICT).await?,
        retention.conflicts(),
        now,
        limit
    );
    let conflicts_deleted =
        diesel::delete(jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts)))
            .execute(connection)
            .await?;
    let quarantined = expired!(
        connection,
        jaas_quarantine,
        last_received_at,
        rows_of(connection, QUARANTINED).await?,
        retention.quarantined(),
        now,
        limit
    );
    let quarantined_deleted =
        diesel::delete(jaas_quarantine::table.filter(jaas_quarantine::id.eq_any(quarantined)))
            .execute(connection)
            .await?;
    let gone = [(CONFLICT, -(conflicts_deleted as i64)), (QUARANTINED, -(quarantined_deleted as i64))];
    add_to_counts(connection, slot(0), &gone).await?;
    let deleted = [expired.len(), conflicts_deleted, quarantined_deleted];
    let watched = purge_watched(connection, retention, now, limit).await?;
    let more = watched || deleted.iter().any(|deleted| *deleted as i64 >= limit);
    let [events, conflicts, quarantined] = deleted.map(|deleted| deleted as u64);
    Ok(Purged::new(events, conflicts, quarantined, more))
}

const SETTLED_STATES: [EventState; 4] =
    [EventState::Done, EventState::Ignored, EventState::Dead, EventState::Discarded];

/// Deletes at most `limit` settings records that `keep` does not keep; returns how many.
pub(in super::super) async fn purge_settings_records(
    connection: &mut Connection,
    keep: Keep,
    now: Timestamp,
    limit: u32,
) -> QueryResult<u64> {
    use jaas_settings_records::dsl;
    let limit = i64::from(limit.max(1));
    let rows = dsl::jaas_settings_records.count();
    let expired = expired!(
        connection,
        jaas_settings_records,
        received_at,
        rows.get_result(connection).await?,
        keep,
        now,
        limit
    );
    if expired.is_empty() {
        return Ok(0);
    }
    let expired = dsl::jaas_settings_records.filter(dsl::id.eq_any(expired));
    Ok(diesel::delete(expired).execute(connection).await? as u64)
}

/// How many rows there are beyond those that are kept.
fn surplus(kept: u64, rows: i64) -> i64 {
    rows.saturating_sub(i64::try_from(kept).unwrap_or(i64::MAX))
}

/// Each row once, and `limit` of them at most.
fn each_once(mut ids: Vec<i64>, limit: i64) -> Vec<i64> {
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    ids
}

/// At most `limit` events of this state that the retention does not keep, the oldest first. Events whose keys must be known
/// for a while yet are kept.
async fn expired_events(
    connection: &mut Connection,
    state: EventState,
    retention: &Retention,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<i64>> {
    use jaas_events::dsl;
    let keep = retention.events(state);
    let forgettable = retention.keys_before(now).as_millis();
    let mut ids: Vec<i64> = Vec::new();
    if let Some(age) = keep.age.filter(|_| limit > 0) {
        ids = dsl::jaas_events
            .filter(dsl::state.eq(state.as_str()))
            .filter(dsl::settled_at.lt(now.saturating_sub(age).as_millis()))
            .filter(dsl::received_at.lt(forgettable))
            .filter(has_no_open_artifact!())
            .order((dsl::state, dsl::settled_at, dsl::id))
            .limit(limit)
            .select(dsl::id)
            .load(connection)
            .await?;
    }
    let left = limit - ids.len() as i64;
    if let Some(kept) = keep.count.filter(|_| left > 0) {
        let expired = ids.len() as i64;
        let surplus = surplus(kept, rows_of(connection, state.as_str()).await?);
        if surplus > 0 {
            let oldest: Vec<(i64, i64)> = dsl::jaas_events
                .filter(dsl::state.eq(state.as_str()).and(dsl::settled_at.is_not_null()))
                .filter(has_no_open_artifact!())
                .order((dsl::state, dsl::settled_at, dsl::id))
                .limit(surplus.min(left.saturating_add(expired)))
                .select((dsl::id, dsl::received_at))
                .load(connection)
                .await?;
            let oldest = oldest.into_iter().filter(|(_, received)| *received < forgettable);
            ids.extend(oldest.map(|(id, _)| id));
            ids = each_once(ids, limit);
        }
    }
    Ok(ids)
}
