//! What happened, minute by minute: a row for each minute, made of the counts.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `counts` and
//! `dialect` are the backend's modules of these names.

use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _};
use jaas_core::Timestamp;
use jaas_core::store::Activity;
use jaas_core::store::tools::ActivitySample;

use super::super::counts::{DEAD_LEFT, FAILED, PURGED, SETTLED_LEFT};
use super::super::dialect::{Connection, RunQueryDsl as _, atomically};
use super::{DEAD, DISCARDED, DONE, IGNORED, WAITING};
use crate::now::Now;
use crate::rows::ActivityRow;
use crate::schema::{jaas_activity, jaas_counts};

/// Adds the row of this minute, if it is missing, and deletes old rows.
pub(in super::super) async fn record(connection: &mut Connection, now: Now) -> QueryResult<()> {
    use jaas_activity::dsl;
    atomically!(connection, {
        let now: i64 = diesel::select(now).get_result(connection).await?;
        let row = counted(connection, now).await?;
        diesel::insert_into(dsl::jaas_activity)
            .values(&row)
            .on_conflict_do_nothing()
            .execute(connection)
            .await?;
        let oldest = Timestamp::from_millis(now).saturating_sub(Activity::KEPT);
        let old = dsl::jaas_activity.filter(dsl::minute.lt(ActivitySample::minute(oldest)));
        diesel::delete(old).execute(connection).await?;
        QueryResult::Ok(())
    })
}

/// What was counted until now. Apart from `waiting`, the sums never decrease: an event that leaves a state is still counted
/// there.
async fn counted(connection: &mut Connection, now: i64) -> QueryResult<ActivityRow> {
    let amounts: Vec<(String, i64)> =
        jaas_counts::table.select((jaas_counts::name, jaas_counts::amount)).load(connection).await?;
    let sum = |names: &[&str]| {
        let amounts = amounts.iter().filter(|(name, _)| names.contains(&&**name));
        amounts.map(|(_, amount)| amount).sum::<i64>()
    };
    Ok(ActivityRow {
        minute: ActivitySample::minute(Timestamp::from_millis(now)),
        taken_at: now,
        accepted: sum(&[WAITING, DONE, IGNORED, DEAD, DISCARDED, PURGED]),
        settled: sum(&[DONE, IGNORED, SETTLED_LEFT]),
        failed: sum(&[FAILED]),
        dead: sum(&[DEAD, DEAD_LEFT]),
        waiting: sum(&[WAITING]),
    })
}

/// The rows of this time, the newest first: one more than a day has minutes.
pub(in super::super) async fn rows(
    connection: &mut Connection,
    since: Timestamp,
    until: Timestamp,
) -> QueryResult<Vec<ActivityRow>> {
    use jaas_activity::dsl;
    let [first, last] = [since, until].map(ActivitySample::minute);
    // By minute, which is the key; then exactly, because the first and the last minute lie partly within the time.
    dsl::jaas_activity
        .filter(dsl::minute.between(first, last))
        .filter(dsl::taken_at.between(since.as_millis(), until.as_millis()))
        .order(dsl::minute.desc())
        .limit(Activity::MAX_ROWS as i64 + 1)
        .select(ActivityRow::as_select())
        .load(connection)
        .await
}
