//! What operators do to events: replay, discard, reveal and erase them. Each action has an entry in the audit.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `accept`,
//! `counts` and `dialect` are the backend's modules of these names.

use diesel::dsl::{case_when, sql};
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _,
    OptionalExtension as _, QueryDsl as _, QueryResult, SelectableHelper as _,
};
use diesel::sql_types::Bool;
use jaas_core::SessionId;
use jaas_core::store::{AuditAction, AuditNote, EventQuery, EventState, RowId, StoreError};

use super::super::accept::arrive;
use super::super::counts::add_to_counts;
use super::super::dialect::{Connection, RunQueryDsl as _, atomically, locked};
use super::super::meetings::DeleteSession;
use super::advance::{Freed, advance_queues};
use super::matching::{self, matching};
use super::watch::erase_watched;
use super::{DEAD, DISCARDED, DONE, IGNORED, WAITING, also_in_state};
use crate::now::Now;
use crate::rows::{Arrival, NewAudit, QueueRow, earliest, ordering_key_of, slot, state, text};
use crate::schema::{
    self, jaas_artifacts, jaas_attempts, jaas_audit, jaas_conflicts, jaas_events, jaas_queues,
};

/// The length of a `traceparent` of version 00, with which a stored trace context begins.
const TRACEPARENT_LENGTH: i32 = 55;

/// Replays a settled event.
pub(in super::super) async fn replay(
    connection: &mut Connection,
    event: RowId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let row = dsl::jaas_events.find(event.get()).select((dsl::state, dsl::erased_at));
        let row: Option<(String, Option<i64>)> = locked!(row).get_result(connection).await.optional()?;
        let Some((was, erased_at)) = row else {
            return Ok(Err(StoreError::not_found(event)));
        };
        match state(event.get(), &was) {
            Ok(state) if !state.is_settled() => return Ok(Err(StoreError::not_settled(event, state))),
            Ok(_) if erased_at.is_some() => return Ok(Err(StoreError::erased(event))),
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
        replay_all(connection, &[event.get()], audit, now).await?;
        Ok(Ok(()))
    })
}

/// Replays the settled events of a page; returns every row of the page, and whether it was replayed. And the last row that
/// was looked at, if more candidates follow it.
pub(in super::super) async fn replay_matching(
    connection: &mut Connection,
    query: &EventQuery,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<(Vec<(RowId, bool)>, Option<i64>)> {
    use jaas_events::dsl;
    atomically!(connection, {
        let plan = matching::plan(connection, query).await?;
        let ids: Vec<i64> = matching!(query, plan, jaas_events::id).load(connection).await?;
        // The row that was read beyond the page is not replayed.
        let page = ids.get(..query.page.clamped_limit()).unwrap_or(&ids);
        let settled = dsl::jaas_events
            .filter(dsl::id.eq_any(page).and(dsl::settled_at.is_not_null()).and(dsl::erased_at.is_null()))
            .order(dsl::id)
            .select(dsl::id);
        let settled: Vec<i64> = locked!(settled).load(connection).await?;
        replay_all(connection, &settled, audit, now).await?;
        let replayed = ids.into_iter().map(|id| (RowId::new(id), settled.contains(&id))).collect();
        Ok((replayed, plan.bound))
    })
}

/// Makes these settled and locked events wait again.
async fn replay_all(
    connection: &mut Connection,
    events: &[i64],
    audit: &AuditNote,
    now: Now,
) -> QueryResult<()> {
    use diesel::IntoSql as _;
    use diesel::sql_types::Text;
    use jaas_events::dsl;
    let Some(first) = events.first() else { return Ok(()) };
    let now_ms: i64 = diesel::select(now).get_result(connection).await?;
    let of_events = || dsl::jaas_events.filter(dsl::id.eq_any(events));
    let rows: Vec<(String, i64, String)> =
        of_events().select((dsl::ordering_key, dsl::occurred_at, dsl::state)).load(connection).await?;
    let arrivals =
        rows.iter().map(|(key, place, _)| Arrival { key, due_at: now_ms, place: *place, lone: true });
    arrive(connection, &earliest(arrivals)).await?;
    let nothing = "".into_sql::<Text>();
    diesel::update(of_events())
        .set((
            // Before the state: MySQL evaluates the assignments in their order.
            dsl::completed.eq(case_when(dsl::state.eq(DONE), nothing).otherwise(dsl::completed)),
            dsl::state.eq(WAITING),
            (dsl::failures.eq(0), dsl::crashes.eq(0), dsl::interruptions.eq(0)),
            (dsl::due_at.eq(now_ms), dsl::passable.eq(0), dsl::place.eq(dsl::occurred_at)),
            dsl::settled_at.eq(None::<i64>),
            dsl::note.eq(None::<String>),
        ))
        .execute(connection)
        .await?;
    record_audit(connection, events, AuditAction::Replayed, audit, now).await?;
    let left = rows.iter().filter_map(|(_, _, was)| Some((known(was)?, -1)));
    let changes: Vec<_> = left.chain([(WAITING, events.len() as i64)]).collect();
    add_to_counts(connection, slot(*first), &changes).await
}

/// The state's name as a constant, if there is such a state.
fn known(name: &str) -> Option<&'static str> {
    EventState::from_name(name).map(EventState::as_str)
}

/// Adds an entry to the audit for each of these events; returns how many of them exist.
pub(super) async fn record_audit(
    connection: &mut Connection,
    events: &[i64],
    action: AuditAction,
    note: &AuditNote,
    now: Now,
) -> QueryResult<usize> {
    use jaas_events::dsl;
    let keys: Vec<(i64, String, String)> = dsl::jaas_events
        .filter(dsl::id.eq_any(events))
        .order(dsl::id)
        .select((dsl::id, dsl::endpoint, dsl::idempotency_key))
        .load(connection)
        .await?;
    let acted_at: i64 = diesel::select(now).get_result(connection).await?;
    let entries: Vec<NewAudit> = keys
        .into_iter()
        .map(|(event_id, endpoint, idempotency_key)| NewAudit {
            event_id,
            endpoint,
            idempotency_key,
            action: action.as_str(),
            actor: text(&note.by),
            reason: text(&note.reason),
            acted_at,
        })
        .collect();
    let found = entries.len();
    diesel::insert_into(jaas_audit::table).values(entries).execute(connection).await?;
    Ok(found)
}

/// Discards an event that is waiting, ignored or dead.
pub(in super::super) async fn discard(
    connection: &mut Connection,
    event: RowId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    atomically!(connection, {
        let mut discarded = discard_all(connection, &[event.get()], audit, now).await?;
        Ok(match discarded.pop() {
            None => Err(StoreError::not_found(event)),
            Some((_, None)) => Ok(()),
            Some((_, Some(was))) => match state(event.get(), &was) {
                Ok(state) => Err(StoreError::not_discardable(event, state)),
                Err(error) => Err(error),
            },
        })
    })
}

/// Discards the events of a page that can be discarded. Returns every row of the page, and whether it was discarded. And the
/// last row that was looked at, if more candidates follow it.
pub(in super::super) async fn discard_matching(
    connection: &mut Connection,
    query: &EventQuery,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<(Vec<(RowId, bool)>, Option<i64>)> {
    atomically!(connection, {
        let plan = matching::plan(connection, query).await?;
        let ids: Vec<i64> = matching!(query, plan, jaas_events::id).load(connection).await?;
        let page = ids.get(..query.page.clamped_limit()).unwrap_or(&ids);
        let discarded = discard_all(connection, page, audit, now).await?;
        let is_discarded = |id: i64| discarded.iter().any(|(of, state)| *of == id && state.is_none());
        let discarded = ids.iter().map(|id| (RowId::new(*id), is_discarded(*id))).collect();
        Ok((discarded, plan.bound))
    })
}

/// Discards those of these events that can be discarded. Returns every event that exists, with the state that prevented it.
async fn discard_all(
    connection: &mut Connection,
    events: &[i64],
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Vec<(i64, Option<String>)>> {
    use jaas_events::dsl;
    let of_events = || dsl::jaas_events.filter(dsl::id.eq_any(events)).order(dsl::id);
    let keys: Vec<String> =
        of_events().filter(also_in_state!("waiting")).select(dsl::ordering_key).load(connection).await?;
    // Queues are locked before events everywhere. An event that is being replayed may have no queue yet; it stays.
    let queues = lock_queues(connection, keys).await?;
    let runs = |id: i64| queues.iter().any(|queue| queue.event_id == Some(id));
    let rows: Vec<(i64, String, String)> =
        locked!(of_events().select((dsl::id, dsl::state, dsl::ordering_key))).load(connection).await?;
    let (mut discarded, mut changes, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for (id, was, key) in rows {
        let waits = was == WAITING && queues.iter().any(|queue| queue.ordering_key == key) && !runs(id);
        if waits || was == IGNORED || was == DEAD {
            discarded.push(id);
            changes.extend(known(&was).map(|was| (was, -1)));
            found.push((id, None));
        } else {
            let state = if was == WAITING { EventState::Running.as_str().to_owned() } else { was };
            found.push((id, Some(state)));
        }
    }
    let Some(first) = discarded.as_slice().first().copied() else { return Ok(found) };
    diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(&discarded)))
        .set((
            dsl::state.eq(DISCARDED),
            dsl::settled_at.eq(now.nullable()),
            dsl::note.eq(text(&audit.reason)),
        ))
        .execute(connection)
        .await?;
    wait_for_rest(connection, queues, now).await?;
    record_audit(connection, &discarded, AuditAction::Discarded, audit, now).await?;
    changes.push((DISCARDED, discarded.len() as i64));
    add_to_counts(connection, slot(first), &changes).await?;
    Ok(found)
}

/// Locks these queues, in the order of their keys.
async fn lock_queues(connection: &mut Connection, mut keys: Vec<String>) -> QueryResult<Vec<QueueRow>> {
    use jaas_queues::dsl;
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let queues = dsl::jaas_queues.filter(dsl::ordering_key.eq_any(keys)).order(dsl::ordering_key);
    locked!(queues.select(QueueRow::as_select())).load(connection).await
}

/// Makes queues from which events were removed wait for their remaining events. Queues in which an event runs stay as they
/// are.
async fn wait_for_rest(connection: &mut Connection, queues: Vec<QueueRow>, now: Now) -> QueryResult<()> {
    let now: i64 = diesel::select(now).get_result(connection).await?;
    let free = queues.into_iter().filter(|queue| queue.event_id.is_none());
    let freed = free.map(|queue| Freed { queue, next: None, suspects_turn: false, is_over: false }).collect();
    advance_queues(connection, freed, now).await.map(drop)
}

/// Records in the audit what an operator did to an event without changing it.
pub(in super::super) async fn looked_at(
    connection: &mut Connection,
    event: RowId,
    action: AuditAction,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    atomically!(connection, {
        let found = record_audit(connection, &[event.get()], action, audit, now).await?;
        Ok(if found == 0 { Err(StoreError::not_found(event)) } else { Ok(()) })
    })
}

/// Erases the bodies of a session's events, and what else of them may be personal.
pub(in super::super) async fn erase_session(
    connection: &mut Connection,
    session: &SessionId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<u64, StoreError>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let queues = lock_queues(connection, vec![ordering_key_of(session)]).await?;
        let events = dsl::jaas_events
            .filter(dsl::session_id.eq(text(session.as_str())))
            .order(dsl::id)
            .select((dsl::id, dsl::state, dsl::erased_at));
        let mut events: Vec<(i64, String, Option<i64>)> = locked!(events).load(connection).await?;
        if queues.iter().any(|queue| queue.event_id.is_some()) {
            return Ok(Err(StoreError::some_are_running(1)));
        }
        erase_meeting(connection, session).await?;
        erase_watched(connection, &text(session.as_str())).await?;
        // Also the conflicts that arrived after their event was erased.
        let all: Vec<i64> = events.iter().map(|(id, ..)| *id).collect();
        let conflicts = conflicts_of(connection, &all).await?;
        diesel::update(jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts)))
            .set(jaas_conflicts::body.eq(Vec::<u8>::new()))
            .execute(connection)
            .await?;
        events.retain(|(_, _, erased_at)| erased_at.is_none());
        let ids: Vec<i64> = events.iter().map(|(id, ..)| *id).collect();
        let Some(first) = ids.as_slice().first().copied() else { return Ok(Ok(0)) };
        let waiting = dsl::jaas_events.filter(dsl::id.eq_any(&ids)).filter(also_in_state!("waiting"));
        diesel::update(waiting)
            .set((dsl::state.eq(DISCARDED), dsl::settled_at.eq(now.nullable())))
            .execute(connection)
            .await?;
        diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(&ids)))
            .set((
                dsl::body.eq(Vec::<u8>::new()),
                dsl::note.eq(None::<String>),
                // The `tracestate` behind it may name persons: its content is up to the vendors.
                dsl::trace_context.eq(schema::substr(dsl::trace_context, 1, TRACEPARENT_LENGTH)),
                dsl::erased_at.eq(now.nullable()),
            ))
            .execute(connection)
            .await?;
        diesel::update(jaas_attempts::table.filter(jaas_attempts::event_id.eq_any(&ids)))
            .set(jaas_attempts::error.eq(None::<String>))
            .execute(connection)
            .await?;
        let open = jaas_artifacts::event_id.eq_any(&ids).and(jaas_artifacts::outcome.is_null());
        diesel::update(jaas_artifacts::table.filter(open))
            .set((
                jaas_artifacts::phase.eq(3), // settled
                jaas_artifacts::outcome.eq("ended"),
                jaas_artifacts::settled_at.eq(now.nullable()),
                jaas_artifacts::risk_at.eq(None::<i64>),
                jaas_artifacts::why.eq(None::<String>),
                jaas_artifacts::error.eq(None::<String>),
            ))
            .execute(connection)
            .await?;
        record_audit(connection, &ids, AuditAction::Erased, audit, now).await?;
        wait_for_rest(connection, queues, now).await?;
        let waited = events.iter().filter(|(_, state, _)| state == WAITING).count() as i64;
        add_to_counts(connection, slot(first), &[(WAITING, -waited), (DISCARDED, waited)]).await?;
        Ok(Ok(ids.len() as u64))
    })
}

/// Deletes what the tables of meetings hold of a session.
async fn erase_meeting(connection: &mut Connection, session: &SessionId) -> QueryResult<()> {
    let session = crate::meetings::rows::indexed(session.as_str());
    for table in crate::meetings::schema::TABLES {
        DeleteSession { table, session: &session }.execute(connection).await?;
    }
    Ok(())
}

/// The ids of the conflicts with the keys of these events.
pub(super) async fn conflicts_of(connection: &mut Connection, events: &[i64]) -> QueryResult<Vec<i64>> {
    // The key of an event as the result of a function: all conflicts would be read to find their events.
    let same_key = sql::<Bool>(
        "jaas_conflicts.endpoint = concat(jaas_events.endpoint, '') \
         AND jaas_conflicts.idempotency_key = concat(jaas_events.idempotency_key, '')",
    );
    jaas_conflicts::table
        .inner_join(jaas_events::table.on(same_key))
        .filter(jaas_events::id.eq_any(events))
        .select(jaas_conflicts::id)
        .load(connection)
        .await
}
