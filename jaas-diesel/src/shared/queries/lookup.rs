//! Listing what is stored.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`, and
//! `dialect` the backend's module of this name.

use diesel::dsl::sql;
use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _};
use diesel::sql_types::Text;
use jaas_core::Timestamp;
use jaas_core::store::tools::group_dead_letters;
use jaas_core::store::{
    AttemptOutcome, AttemptQuery, DeadLetterGroup, DeadLetterKey, EventQuery, PageRequest, RowId,
};

use super::super::dialect::{self, Connection, RunQueryDsl as _, atomically};
use super::matching::{self, matching};
use super::{WAITING, after, one_more, state_is};
use crate::rows::{AttemptRow, AuditRow, ConflictRow, EventRow, QuarantineRow, Span};
use crate::schema::{jaas_attempts, jaas_events, jaas_queues};

/// A page of the rows of a table.
macro_rules! paged {
    ($table:ident, $page:expr, $row:ty, $connection:expr) => {{
        use crate::schema::$table::dsl;
        let page: PageRequest = $page;
        let rows = dsl::$table.limit(one_more(page)).select(<$row>::as_select());
        if page.newest_first {
            rows.filter(dsl::id.lt(after(page))).order(dsl::id.desc()).load($connection).await
        } else {
            rows.filter(dsl::id.gt(after(page))).order(dsl::id).load($connection).await
        }
    }};
}

/// The events that match a query: one row more than the page holds, which shows whether another page follows. And the last
/// row that was looked at, if more candidates follow it.
pub(in super::super) async fn events(
    connection: &mut Connection,
    query: &EventQuery,
) -> QueryResult<(Vec<EventRow>, Option<i64>)> {
    atomically!(connection, {
        let plan = matching::plan(connection, query).await?;
        let rows = matching!(query, plan, EventRow::as_select()).load(connection).await?;
        QueryResult::Ok((mark_running(connection, rows).await?, plan.bound))
    })
}

/// The event with this id.
pub(in super::super) async fn event(
    connection: &mut Connection,
    event: RowId,
) -> QueryResult<Option<EventRow>> {
    let row = jaas_events::table.find(event.get()).select(EventRow::as_select()).load(connection).await?;
    Ok(mark_running(connection, row).await?.pop())
}

/// Marks the running events. They are stored as waiting; their queue shows that they run.
async fn mark_running(connection: &mut Connection, mut rows: Vec<EventRow>) -> QueryResult<Vec<EventRow>> {
    use jaas_queues::dsl;
    let waiting: Vec<&str> =
        rows.iter().filter(|row| row.state == WAITING).map(|row| &*row.ordering_key).collect();
    if waiting.is_empty() {
        return Ok(rows);
    }
    let running: Vec<(Option<i64>, Option<String>)> = dsl::jaas_queues
        .filter(dsl::ordering_key.eq_any(waiting))
        .select((dsl::event_id, dsl::worker))
        .load(connection)
        .await?;
    for row in &mut rows {
        if let Some((_, worker)) = running.iter().find(|(event, _)| *event == Some(row.id)) {
            row.running(worker.clone());
        }
    }
    Ok(rows)
}

pub(in super::super) async fn conflicts(
    connection: &mut Connection,
    page: PageRequest,
) -> QueryResult<Vec<ConflictRow>> {
    paged!(jaas_conflicts, page, ConflictRow, connection)
}

pub(in super::super) async fn quarantined(
    connection: &mut Connection,
    page: PageRequest,
) -> QueryResult<Vec<QuarantineRow>> {
    paged!(jaas_quarantine, page, QuarantineRow, connection)
}

pub(in super::super) async fn audit(
    connection: &mut Connection,
    page: PageRequest,
) -> QueryResult<Vec<AuditRow>> {
    paged!(jaas_audit, page, AuditRow, connection)
}

pub(in super::super) async fn attempts(
    connection: &mut Connection,
    query: &AttemptQuery,
) -> QueryResult<Vec<AttemptRow>> {
    use jaas_attempts::dsl;
    let rows = dsl::jaas_attempts.limit(one_more(query.page)).select(AttemptRow::as_select()).into_boxed();
    let span = Span::of(query.page, None);
    let (least, most) = span.ends();
    let outcome = query.outcome.map(AttemptOutcome::as_str);
    // Each condition lets the planner use the index that has the rows in the order of the page.
    let rows = match (query.event, outcome) {
        (Some(event), outcome) => {
            let rows = rows.filter(dsl::event_id.eq(event.get())).filter(dsl::id.between(least, most));
            match outcome {
                // The function hides the column from the planner, which would read the index of outcomes instead.
                Some(outcome) => rows.filter(sql::<Text>("concat(jaas_attempts.outcome, '')").eq(outcome)),
                None => rows,
            }
        }
        (None, Some(outcome)) => {
            rows.filter(dialect::in_index!(jaas_attempts, outcome, outcome.to_owned(), span))
        }
        // Only one bound: with two, the planner assumes that few rows match, and sorts them.
        (None, None) if query.page.newest_first => rows.filter(dsl::id.le(most)),
        (None, None) => rows.filter(dsl::id.ge(least)),
    };
    let rows = match (query.event.is_some(), outcome.is_some(), query.page.newest_first) {
        (true, _, false) => rows.order((dsl::event_id, dsl::id)),
        (true, _, true) => rows.order((dsl::event_id.desc(), dsl::id.desc())),
        (_, true, false) => rows.order((dsl::outcome, dsl::id)),
        (_, true, true) => rows.order((dsl::outcome.desc(), dsl::id.desc())),
        (_, _, false) => rows.order(dsl::id),
        (_, _, true) => rows.order(dsl::id.desc()),
    };
    rows.load(connection).await
}

pub(in super::super) async fn dead_letters(connection: &mut Connection) -> QueryResult<Vec<DeadLetterGroup>> {
    use jaas_events::dsl;
    let newest: Vec<(String, Option<String>, Option<i64>)> = dsl::jaas_events
        .filter(state_is!("dead"))
        // The order of the index on the state, so that nothing is sorted.
        .order((dsl::state.desc(), dsl::id.desc()))
        .limit(DeadLetterGroup::MAX_EVENTS as i64)
        .select((dsl::event_type, dsl::note, dsl::settled_at))
        .load(connection)
        .await?;
    Ok(group_dead_letters(newest.into_iter().map(|(event_type, error, settled_at)| {
        let at = Timestamp::from_millis(settled_at.unwrap_or_default());
        (DeadLetterKey { event_type, error }, at)
    })))
}
