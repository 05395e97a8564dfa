//! Listing what is stored.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`, and
//! `dialect` the backend's module of this name.

use diesel::dsl::{count_star, exists, max, min, not, sql};
use diesel::prelude::{
    ExpressionMethods as _, NullableExpressionMethods as _, QueryDsl as _, QueryResult, SelectableHelper as _,
};
use diesel::sql_types::Bool;
use jaas_core::Timestamp;
use jaas_core::store::{
    AttemptQuery, DeadLetterGroup, DeadLetterKey, EventQuery, EventState, PageRequest, RowId,
};

use super::super::dialect::{Connection, RunQueryDsl as _};
use super::{WAITING, after, one_more, state_is};
use crate::rows::{AttemptRow, AuditRow, ConflictRow, EventRow, QuarantineRow, indexed, text};
use crate::schema::{jaas_attempts, jaas_events, jaas_queues};

/// The statement for the events that match a query: one row more than the page holds, with the selected columns.
///
/// If the query names a column with an index, the rows are ordered by that column first. Otherwise the planner would read
/// the whole table in the order of its ids until enough rows match, even when few do.
macro_rules! matching {
    ($query:expr, $select:expr, $connection:expr) => {{
        use crate::schema::{jaas_events::dsl, jaas_queues};
        let query: &EventQuery = $query;
        let mut rows = dsl::jaas_events.limit(one_more(query.page)).select($select).into_boxed();
        rows = if query.page.newest_first {
            rows.filter(dsl::id.lt(after(query.page)))
        } else {
            rows.filter(dsl::id.gt(after(query.page)))
        };
        let runs = || jaas_queues::table.filter(jaas_queues::event_id.eq(dsl::id.nullable()));
        rows = match (&query.dead_letter, query.state) {
            (Some(_), None | Some(EventState::Dead)) => rows.filter(state_is!("dead")),
            (Some(_), Some(_)) => rows.filter(sql::<Bool>("1 = 0")),
            (None, None) => rows,
            (None, Some(EventState::Running)) => rows.filter(state_is!("waiting")).filter(exists(runs())),
            (None, Some(EventState::Waiting)) => {
                rows.filter(state_is!("waiting")).filter(not(exists(runs())))
            }
            (None, Some(EventState::Done)) => rows.filter(state_is!("done")),
            (None, Some(EventState::Ignored)) => rows.filter(state_is!("ignored")),
            (None, Some(EventState::Dead)) => rows.filter(state_is!("dead")),
            (None, Some(_)) => rows.filter(state_is!("discarded")),
        };
        if let Some(group) = &query.dead_letter {
            rows = rows.filter(dsl::event_type.eq(text(&group.event_type)));
            rows = match &group.error {
                Some(error) => rows.filter(dsl::note.eq(text(error))),
                None => rows.filter(dsl::note.is_null()),
            };
        }
        if let Some(event_type) = &query.event_type {
            rows = rows.filter(dsl::event_type.eq(text(event_type)));
        }
        if let Some(session) = &query.session_id {
            rows = rows.filter(dsl::session_id.eq(text(session.as_str())));
        }
        if let Some(fqn) = &query.fqn {
            rows = rows.filter(dsl::fqn.eq(indexed(text(fqn.as_str()))));
        }
        if let Some(key) = &query.idempotency_key {
            rows = rows.filter(dsl::idempotency_key.eq(text(key.as_str())));
            if query.endpoint.is_none() {
                // The index of keys begins with the endpoint.
                rows = rows.filter(dsl::endpoint.eq_any(super::lookup::endpoints($connection).await?));
            }
        }
        if let Some(endpoint) = &query.endpoint {
            rows = rows.filter(dsl::endpoint.eq(text(endpoint)));
        }
        if let Some(from) = query.from {
            rows = rows.filter(dsl::occurred_at.ge(from.as_millis()));
        }
        if let Some(until) = query.until {
            rows = rows.filter(dsl::occurred_at.lt(until.as_millis()));
        }
        let by_state = query.state.is_some() || query.dead_letter.is_some();
        if query.idempotency_key.is_some() {
            // They are few. An index that has them in this order would be read to its end.
            let id = diesel::dsl::sql::<diesel::sql_types::BigInt>("jaas_events.id + 0");
            rows = if query.page.newest_first { rows.order(id.desc()) } else { rows.order(id) };
            rows
        } else {
            match (query.session_id.is_some(), query.fqn.is_some(), by_state, query.page.newest_first) {
                (true, _, _, false) => rows.order((dsl::session_id, dsl::id)),
                (true, _, _, true) => rows.order((dsl::session_id.desc(), dsl::id.desc())),
                (_, true, _, false) => rows.order((dsl::fqn, dsl::id)),
                (_, true, _, true) => rows.order((dsl::fqn.desc(), dsl::id.desc())),
                (_, _, true, false) => rows.order((dsl::state, dsl::id)),
                (_, _, true, true) => rows.order((dsl::state.desc(), dsl::id.desc())),
                (_, _, _, false) => rows.order(dsl::id),
                (_, _, _, true) => rows.order(dsl::id.desc()),
            }
        }
    }};
}
pub(super) use matching;

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

/// The events that match a query: one row more than the page holds, which shows whether another page follows.
pub(in super::super) async fn events(
    connection: &mut Connection,
    query: &EventQuery,
) -> QueryResult<Vec<EventRow>> {
    let rows = matching!(query, EventRow::as_select(), connection).load(connection).await?;
    mark_running(connection, rows).await
}

/// The endpoints that events have, found one by one in the index of keys.
pub(super) async fn endpoints(connection: &mut Connection) -> QueryResult<Vec<String>> {
    use jaas_events::dsl;
    let mut endpoints: Vec<String> = Vec::new();
    loop {
        let mut next = dsl::jaas_events.order(dsl::endpoint).limit(1).select(dsl::endpoint).into_boxed();
        if let Some(known) = endpoints.last() {
            next = next.filter(dsl::endpoint.gt(known.clone()));
        }
        match next.load(connection).await?.pop() {
            Some(next) => endpoints.push(next),
            None => return Ok(endpoints),
        }
    }
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
    let waiting: Vec<i64> = rows.iter().filter(|row| row.state == WAITING).map(|row| row.id).collect();
    if waiting.is_empty() {
        return Ok(rows);
    }
    let running: Vec<(Option<i64>, Option<String>)> = dsl::jaas_queues
        .filter(dsl::event_id.eq_any(waiting))
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
    let mut rows =
        dsl::jaas_attempts.limit(one_more(query.page)).select(AttemptRow::as_select()).into_boxed();
    let newest_first = query.page.newest_first;
    rows = if newest_first {
        rows.filter(dsl::id.lt(after(query.page)))
    } else {
        rows.filter(dsl::id.gt(after(query.page)))
    };
    // By the index that has the rows of the query in their order.
    rows = match (query.event.is_some(), query.outcome.is_some(), newest_first) {
        (true, _, false) => rows.order((dsl::event_id, dsl::id)),
        (true, _, true) => rows.order((dsl::event_id.desc(), dsl::id.desc())),
        (_, true, false) => rows.order((dsl::outcome, dsl::id)),
        (_, true, true) => rows.order((dsl::outcome.desc(), dsl::id.desc())),
        (_, _, false) => rows.order(dsl::id),
        (_, _, true) => rows.order(dsl::id.desc()),
    };
    if let Some(event) = query.event {
        rows = rows.filter(dsl::event_id.eq(event.get()));
    }
    if let Some(outcome) = query.outcome {
        rows = rows.filter(dsl::outcome.eq(outcome.as_str()));
    }
    rows.load(connection).await
}

pub(in super::super) async fn dead_letters(connection: &mut Connection) -> QueryResult<Vec<DeadLetterGroup>> {
    use jaas_events::dsl;
    type Group = (String, Option<String>, i64, Option<i64>, Option<i64>);
    let groups: Vec<Group> = dsl::jaas_events
        .filter(state_is!("dead"))
        .group_by((dsl::event_type, dsl::note))
        .select((dsl::event_type, dsl::note, count_star(), min(dsl::settled_at), max(dsl::settled_at)))
        .order((count_star().desc(), dsl::event_type.asc()))
        .limit(DeadLetterGroup::MAX_GROUPS as i64)
        .load(connection)
        .await?;
    let at = |millis: Option<i64>| Timestamp::from_millis(millis.unwrap_or_default());
    let group = |(event_type, note, count, first, last): Group| {
        let key = DeadLetterKey { event_type, error: note };
        DeadLetterGroup::new(key, count.unsigned_abs(), at(first), at(last))
    };
    Ok(groups.into_iter().map(group).collect())
}
