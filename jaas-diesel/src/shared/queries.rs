//! The SQL that the three databases have in common, as functions over a connection.
//!
//! This file is a module of each backend, so that one text is compiled for each connection type. What differs
//! comes from the backend's `dialect`.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use diesel::dsl::{case_when, count_star, exists, max, min, not};
use diesel::prelude::{
    BoolExpressionMethods as _, ExpressionMethods as _, JoinOnDsl as _, NullableExpressionMethods as _,
    OptionalExtension as _, QueryDsl as _, QueryResult, SelectableHelper as _, TextExpressionMethods as _,
};
use jaas_core::store::{
    Accepted, AttemptOutcome, AttemptQuery, AuditAction, AuditNote, Burial, ClaimRequest, DeadLetterGroup,
    EventQuery, EventState, Failure, Keep, Lease, NextDue, PageRequest, Purged, Retention, RowId,
    SessionOrder, StateStats, Step, StoreError, StoreStats, crash_note,
};
use jaas_core::{Handled, SessionId, Timestamp};

use super::dialect::{self, Connection, RunQueryDsl as _, atomically, conflict_target, locked, skip_locked};
use crate::now::Now;
use crate::rows::{
    AttemptRow, AuditRow, ClaimRow, ConflictRow, CrashedRow, EventRow, NewAudit, NewConflict, NewEvent,
    NewQuarantined, QuarantineRow, endpoints_and_keys, indexed, since, state, text,
};
use crate::schema::{self, jaas_attempts, jaas_audit, jaas_conflicts, jaas_events, jaas_quarantine};

/// The beginning of a trace context as it is stored: its `traceparent`, of version 00.
const TRACEPARENT_LENGTH: i32 = 55;

const WAITING: &str = EventState::Waiting.as_str();
const RUNNING: &str = EventState::Running.as_str();
const DONE: &str = EventState::Done.as_str();
const IGNORED: &str = EventState::Ignored.as_str();
const DEAD: &str = EventState::Dead.as_str();
const DISCARDED: &str = EventState::Discarded.as_str();
const SETTLED: [&str; 4] = [DONE, IGNORED, DEAD, DISCARDED];

/// The rows of [`events`] with this selection.
macro_rules! matching {
    ($query:expr, $select:expr) => {{
        use jaas_events::dsl;
        let query: &EventQuery = $query;
        let mut rows = dsl::jaas_events
            .filter(dsl::id.gt(after(query.page)))
            .order(dsl::id)
            .limit(one_more(query.page))
            .select($select)
            .into_boxed();
        if let Some(state) = query.state {
            rows = rows.filter(dsl::state.eq(state.as_str()));
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
        rows
    }};
}
/// Rows that are beyond the age or the count to keep, the oldest first.
macro_rules! expired {
    ($connection:expr, $table:ident, $keep:expr, $now:expr, $limit:expr) => {{
        use crate::schema::$table::dsl;
        let (keep, now, limit): (Keep, Timestamp, i64) = ($keep, $now, $limit);
        let mut ids: Vec<i64> = match keep.age {
            None => Vec::new(),
            Some(age) => {
                dsl::$table
                    .filter(dsl::last_received_at.lt(now.saturating_sub(age).as_millis()))
                    .order((dsl::last_received_at, dsl::id))
                    .limit(limit)
                    .select(dsl::id)
                    .load($connection)
                    .await?
            }
        };
        if let Some(surplus) = surplus(keep, dsl::$table.count().get_result($connection).await?) {
            let oldest: Vec<i64> = dsl::$table
                .order((dsl::last_received_at, dsl::id))
                .limit(surplus.min(limit))
                .select(dsl::id)
                .load($connection)
                .await?;
            ids.extend(oldest);
        }
        ids.sort_unstable();
        ids.dedup();
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        ids
    }};
}
/// What became of one event of a group.
pub(super) struct Outcome {
    pub(super) accepted: Accepted,
    /// Its claim, when it was asked for with the insert and given.
    #[allow(dead_code)] // where there is no hand-over
    pub(super) lease: Option<Lease>,
}

/// Stores events; answers what became of each, in their order.
pub(super) async fn accept(
    connection: &mut Connection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Outcome>> {
    // The first of each key is inserted. Whether the key was free is told by the insert itself, never by an
    // earlier select.
    let mut seen = HashSet::with_capacity(events.len());
    let mut firsts: Vec<&NewEvent> =
        events.iter().copied().filter(|event| seen.insert(event.key())).collect();
    // Everybody in the same order, or two groups with the same sessions or keys would wait for each other.
    firsts.sort_by_key(|event| (event.session_id.as_deref(), event.occurred_at, event.key()));
    let place: HashMap<(&str, &str), usize> =
        firsts.iter().enumerate().map(|(place, event)| (event.key(), place)).collect();
    let mut inserted = dialect::insert_new(connection, &firsts, callers_time).await?;
    let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(events.len());
    for event in events {
        // Taken, because the next one with the same key is not new.
        let new = place.get(&event.key()).and_then(|place| inserted.get_mut(*place)).and_then(Option::take);
        outcomes.push(new.map(|inserted| Outcome { accepted: Accepted::New, lease: inserted.lease }));
    }
    if outcomes.iter().all(Option::is_some) {
        return Ok(outcomes.into_iter().flatten().collect());
    }
    let known = outcomes.iter().zip(events).filter(|(outcome, _)| outcome.is_none());
    let (endpoints, keys) = endpoints_and_keys(known.map(|(_, event)| *event));
    let stored: Vec<(String, String, Vec<u8>)> = jaas_events::table
        .filter(jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys)))
        .select((jaas_events::endpoint, jaas_events::idempotency_key, jaas_events::body_hash))
        .load(connection)
        .await?;
    let hashes: HashMap<(&str, &str), &[u8]> =
        stored.iter().map(|(endpoint, key, hash)| ((&**endpoint, &**key), &**hash)).collect();
    let mut answers = Vec::with_capacity(events.len());
    for (outcome, event) in outcomes.into_iter().zip(events) {
        let accepted = match outcome {
            Some(outcome) => {
                answers.push(outcome);
                continue;
            }
            None if *hashes.get(&event.key()).ok_or(diesel::NotFound)? == event.body_hash => {
                Accepted::Duplicate
            }
            None => {
                count_conflict(connection, &NewConflict::from(*event)).await?;
                Accepted::Conflict
            }
        };
        answers.push(Outcome { accepted, lease: None });
    }
    Ok(answers)
}

/// Keeps a body whose key was taken by another, once.
async fn count_conflict(connection: &mut Connection, conflict: &NewConflict<'_>) -> QueryResult<()> {
    use jaas_conflicts::dsl;
    diesel::insert_into(dsl::jaas_conflicts)
        .values(conflict)
        .on_conflict(conflict_target!(dsl::endpoint, dsl::idempotency_key, dsl::body_hash))
        .do_update()
        .set((dsl::seen.eq(dsl::seen + 1), dsl::last_received_at.eq(conflict.last_received_at)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps a body that cannot be read, once.
pub(super) async fn quarantine(connection: &mut Connection, body: &NewQuarantined) -> QueryResult<()> {
    use jaas_quarantine::dsl;
    diesel::insert_into(dsl::jaas_quarantine)
        .values(body)
        .on_conflict(conflict_target!(dsl::endpoint, dsl::body_hash))
        .do_update()
        .set((dsl::seen.eq(dsl::seen + 1), dsl::last_received_at.eq(body.last_received_at)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Claims events for one run each. What was given up for its crashes is added to `buried`, to be reported once it is
/// committed: on the servers it is, also when claiming fails after it.
pub(super) async fn claim(
    connection: &mut Connection,
    request: &ClaimRequest,
    now: Now,
    buried: &mut Vec<Burial>,
) -> QueryResult<Vec<ClaimRow>> {
    use jaas_events::dsl;
    let crashed = dsl::jaas_events.filter(dsl::state.eq(RUNNING).and(dsl::leased_until.le(now)));
    let suspects = dsl::jaas_events.filter(dsl::state.eq(WAITING).and(dsl::crashes.gt(0)));
    let (some_crashed, mut suspects): (bool, bool) =
        diesel::select((exists(crashed), exists(suspects))).get_result(connection).await?;
    if some_crashed {
        buried.extend(free_crashed(connection, request, now).await?);
        suspects = true;
    }
    let mut claims = Vec::new();
    if suspects {
        let one_runs = dsl::jaas_events.filter(dsl::state.eq(RUNNING).and(dsl::crashes.gt(0)));
        if !diesel::select(exists(one_runs)).get_result::<bool>(connection).await? {
            claims = first_in_session(connection, request, now, true, request.limit.min(1)).await?;
        }
    }
    match first_in_session(connection, request, now, false, request.limit - claims.len()).await {
        Ok(others) => claims.extend(others),
        // What is claimed already must not be forgotten.
        Err(error) if claims.is_empty() => return Err(error),
        Err(_) => {}
    }
    Ok(claims)
}

/// Events whose lease ran out wait again, or are dead if that has happened too often.
async fn free_crashed(
    connection: &mut Connection,
    request: &ClaimRequest,
    now: Now,
) -> QueryResult<Vec<Burial>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let crashed = dsl::jaas_events.filter(dsl::state.eq(RUNNING).and(dsl::leased_until.le(now)));
        let crashed: Vec<CrashedRow> =
            skip_locked!(crashed.select(CrashedRow::as_select())).load(connection).await?;
        let mut buried = Vec::new();
        for crashed in crashed {
            record_attempt(connection, crashed.id, AttemptOutcome::Crashed, None, now).await?;
            let (id, crashes) = (crashed.id, crashed.crashes.saturating_add(1));
            let row = dsl::jaas_events.find(id);
            let so_often = u32::try_from(crashes).unwrap_or(u32::MAX);
            if so_often >= request.max_crashes {
                diesel::update(row)
                    .set((
                        dsl::state.eq(DEAD),
                        dsl::crashes.eq(crashes),
                        dsl::note.eq(crash_note(so_often)),
                        dsl::settled_at.eq(now.nullable()),
                    ))
                    .execute(connection)
                    .await?;
                buried.push(crashed.buried(so_often));
            } else {
                diesel::update(row)
                    .set((dsl::state.eq(WAITING), dsl::crashes.eq(crashes)))
                    .execute(connection)
                    .await?;
            }
        }
        Ok(buried)
    })
}

/// Claims events that are due, settled in, and first in their session: those that crashed before, or the others.
async fn first_in_session(
    connection: &mut Connection,
    request: &ClaimRequest,
    now: Now,
    crashed: bool,
    limit: usize,
) -> QueryResult<Vec<ClaimRow>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    use jaas_events::dsl;
    let other = diesel::alias!(jaas_events as other);
    let settled_in = settled_in(now, request.order);
    let hold = i32::try_from(request.order.hold_failures).unwrap_or(i32::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);

    let is_earlier = other
        .field(dsl::occurred_at)
        .lt(dsl::occurred_at)
        .or(other.field(dsl::occurred_at).eq(dsl::occurred_at).and(other.field(dsl::id).lt(dsl::id)));
    let is_due = other.field(dsl::due_at).le(now).and(other.field(dsl::received_at).le(settled_in));
    let holds_back = other.field(dsl::failures).lt(hold).or(is_due);
    let goes_first = other
        .filter(other.field(dsl::session_id).eq(dsl::session_id))
        .filter(other.field(dsl::id).ne(dsl::id))
        // Said again below; here it narrows down what is read of the index.
        .filter(other.field(dsl::state).eq_any([WAITING, RUNNING]))
        .filter(
            other.field(dsl::state).eq(RUNNING).or(other
                .field(dsl::state)
                .eq(WAITING)
                .and(is_earlier)
                .and(holds_back)),
        );
    let first = dsl::jaas_events
        .filter(dsl::state.eq(WAITING))
        .filter(dsl::due_at.le(now))
        .filter(dsl::received_at.le(settled_in))
        .filter(dsl::crashes.gt(0).eq(crashed))
        .filter(not(exists(goes_first)))
        .order((dsl::due_at, dsl::id))
        .limit(limit)
        .select(dsl::id);
    let worker: String = text(&request.worker).chars().take(MAX_WORKER_CHARS).collect();
    dialect::claim_first!(connection, skip_locked!(first), worker, now.plus(request.lease))
}

/// How much of a worker's name is kept.
const MAX_WORKER_CHARS: usize = 255;

/// Until when events were received that need not wait for others any more. Without a window it does not matter by whose
/// clock they were received.
fn settled_in(now: Now, order: SessionOrder) -> Now {
    if order.settle_window.is_zero() { now.plus(Duration::MAX) } else { now.minus(order.settle_window) }
}

/// Extends the leases that are held; answers the others.
pub(super) async fn renew(
    connection: &mut Connection,
    leases: &[Lease],
    now: Now,
    lease: Duration,
) -> QueryResult<Vec<Lease>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let running = dsl::jaas_events
            .filter(dsl::id.eq_any(leases.iter().map(|lease| lease.event.get())))
            .filter(runs())
            .order(dsl::id)
            .select((dsl::id, dsl::fence));
        let mut running: Vec<(i64, i64)> = locked!(running).load(connection).await?;
        running.retain(|(id, fence)| leases.contains(&Lease { event: RowId::new(*id), fence: *fence }));
        let ids: Vec<i64> = running.iter().map(|(id, _)| *id).collect();
        if !ids.is_empty() {
            diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(ids)))
                .set(dsl::leased_until.eq(now.plus(lease)))
                .execute(connection)
                .await?;
        }
        let lost = leases.iter().filter(|lease| !running.contains(&(lease.event.get(), lease.fence)));
        Ok(lost.copied().collect())
    })
}

#[diesel::dsl::auto_type]
fn held(lease: Lease) -> _ {
    let event: i64 = lease.event.get();
    let fence: i64 = lease.fence;
    jaas_events::table.filter(jaas_events::id.eq(event)).filter(jaas_events::fence.eq(fence)).filter(runs())
}

/// Whether an event runs that is found by its id. An expression, so that no index can be used for it: MariaDB would prefer
/// one to the primary key while it believes that hardly any event runs, and lock all those that do.
#[diesel::dsl::auto_type]
fn runs() -> _ {
    let (running, nothing): (&'static str, &'static str) = (RUNNING, "");
    jaas_events::state.concat(nothing).eq(running)
}

/// Records that a handler has run well.
pub(super) async fn complete(
    connection: &mut Connection,
    lease: Lease,
    step: &Step,
    handled: &Handled,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    use diesel::IntoSql as _;
    use diesel::sql_types::Text;
    use jaas_events::dsl;
    let completed = dsl::completed.concat(format!("{}\n", text(&step.handler)));
    let held = held(lease);
    let found = match (handled, step.last) {
        (Handled::Ignored(reason), true) => {
            let nobody = || dsl::completed.eq("");
            let (ignored, done) = (IGNORED.into_sql::<Text>(), DONE.into_sql::<Text>());
            let state = case_when(nobody(), ignored).otherwise(done);
            // An error of an earlier attempt stays to be seen when another handler did something.
            let reason = text(reason).into_sql::<Text>().nullable();
            let note = case_when(nobody(), reason).otherwise(dsl::note);
            let settled = (dsl::state.eq(state), dsl::note.eq(note), dsl::settled_at.eq(now.nullable()));
            diesel::update(held).set(settled).execute(connection).await?
        }
        (Handled::Ignored(_), false) => held.select(dsl::id).load::<i64>(connection).await?.len(),
        (_, true) => {
            let settled =
                (dsl::state.eq(DONE), dsl::settled_at.eq(now.nullable()), dsl::completed.eq(completed));
            diesel::update(held).set(settled).execute(connection).await?
        }
        (_, false) => diesel::update(held).set(dsl::completed.eq(completed)).execute(connection).await?,
    };
    Ok(if found == 1 { Ok(()) } else { Err(StoreError::stale("complete", lease)) })
}

/// Records a failed run.
pub(super) async fn fail(
    connection: &mut Connection,
    lease: Lease,
    failure: &Failure,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    let error = text(&failure.error);
    atomically!(connection, {
        let failed = (dsl::failures.eq(dsl::failures + 1), dsl::note.eq(&error));
        let update = diesel::update(held(lease));
        let found = match failure.retry_in {
            Some(wait) => {
                let waits = (failed, dsl::state.eq(WAITING), dsl::due_at.eq(now.plus(wait)));
                update.set(waits).execute(connection).await?
            }
            None => {
                let dead = (failed, dsl::state.eq(DEAD), dsl::settled_at.eq(now.nullable()));
                update.set(dead).execute(connection).await?
            }
        };
        if found == 0 {
            return Ok(Err(StoreError::stale("record the failure", lease)));
        }
        record_attempt(connection, lease.event.get(), AttemptOutcome::Failed, Some(&error), now).await?;
        Ok(Ok(()))
    })
}

/// Notes how the running attempt of an event ended.
async fn record_attempt(
    connection: &mut Connection,
    event: i64,
    outcome: AttemptOutcome,
    error: Option<&str>,
    now: Now,
) -> QueryResult<()> {
    use jaas_attempts::dsl;
    let (fence, worker): (i64, Option<String>) = jaas_events::table
        .find(event)
        .select((jaas_events::fence, jaas_events::worker))
        .get_result(connection)
        .await?;
    let ended = (
        dsl::event_id.eq(event),
        dsl::fence.eq(fence),
        dsl::worker.eq(worker),
        dsl::outcome.eq(outcome.as_str()),
        dsl::error.eq(error),
        dsl::ended_at.eq(now),
    );
    diesel::insert_into(dsl::jaas_attempts).values(ended).execute(connection).await?;
    Ok(())
}

/// Gives claims back unfinished.
pub(super) async fn release(connection: &mut Connection, leases: &[Lease], now: Now) -> QueryResult<()> {
    use jaas_events::dsl;
    atomically!(connection, {
        for lease in leases {
            let released = diesel::update(held(*lease))
                .set((
                    dsl::state.eq(WAITING),
                    dsl::due_at.eq(now),
                    dsl::interruptions.eq(dsl::interruptions + 1),
                ))
                .execute(connection)
                .await?;
            if released == 1 {
                let event = lease.event.get();
                record_attempt(connection, event, AttemptOutcome::Interrupted, None, now).await?;
            }
        }
        Ok(())
    })
}

/// Makes claimed events wait again as if they had not been claimed; only their fence stays raised.
pub(super) async fn unclaim(connection: &mut Connection, leases: &[Lease]) -> QueryResult<()> {
    for lease in leases {
        diesel::update(held(*lease)).set(jaas_events::state.eq(WAITING)).execute(connection).await?;
    }
    Ok(())
}

/// Makes events wait that were claimed with their insert, when nobody has got that claim.
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[allow(dead_code)] // in the backend that has no such claims
pub(super) async fn unclaim_new(connection: &mut Connection, events: &[&NewEvent]) -> QueryResult<()> {
    for event in events {
        let Some(claimant) = &event.claimant else { continue };
        let (endpoint, key) = event.key();
        let claimed = jaas_events::table
            .filter(jaas_events::endpoint.eq(endpoint).and(jaas_events::idempotency_key.eq(key)))
            .filter(jaas_events::state.eq(RUNNING).and(jaas_events::fence.eq(claimant.fence)));
        diesel::update(claimed).set(jaas_events::state.eq(WAITING)).execute(connection).await?;
    }
    Ok(())
}

/// How long it is until there is something to do.
pub(super) async fn next_due(
    connection: &mut Connection,
    now: Now,
    order: SessionOrder,
) -> QueryResult<NextDue> {
    use jaas_events::dsl;
    let settled_in = settled_in(now, order);
    let waiting = || dsl::jaas_events.filter(dsl::state.eq(WAITING));
    let due = waiting().filter(dsl::due_at.gt(now)).select(min(dsl::due_at));
    let settling = waiting().filter(dsl::received_at.gt(settled_in)).select(min(dsl::received_at));
    let lease_end = dsl::jaas_events
        .filter(dsl::state.eq(RUNNING).and(dsl::leased_until.gt(now)))
        .select(min(dsl::leased_until));
    let held_back = waiting().filter(dsl::due_at.le(now).and(dsl::received_at.le(settled_in)));
    type Times = (i64, bool, Option<i64>, Option<i64>);
    let (now, held_back, due, lease_end): Times =
        diesel::select((now, exists(held_back), due.single_value(), lease_end.single_value()))
            .get_result(connection)
            .await?;
    let settling: Option<i64> =
        if order.settle_window.is_zero() { None } else { settling.get_result(connection).await? };
    let settling =
        settling.map(|at| Timestamp::from_millis(at).saturating_add(order.settle_window).as_millis());
    let next = [due, lease_end, settling].into_iter().flatten().min();
    Ok(NextDue::new(next.map(|at| since(at, now)), held_back))
}

/// Writes a row as it was: a database that can only be read refuses that, and so does a full disk.
pub(super) async fn ping(connection: &mut Connection) -> QueryResult<()> {
    use crate::schema::jaas_migrations::dsl;
    diesel::update(dsl::jaas_migrations).set(dsl::version.eq(dsl::version)).execute(connection).await?;
    Ok(())
}

/// One row more than the page holds, to tell whether there is another page.
pub(super) async fn events(connection: &mut Connection, query: &EventQuery) -> QueryResult<Vec<EventRow>> {
    matching!(query, EventRow::as_select()).load(connection).await
}

pub(super) async fn conflicts(
    connection: &mut Connection,
    page: PageRequest,
) -> QueryResult<Vec<ConflictRow>> {
    use jaas_conflicts::dsl;
    dsl::jaas_conflicts
        .filter(dsl::id.gt(after(page)))
        .order(dsl::id)
        .limit(one_more(page))
        .select(ConflictRow::as_select())
        .load(connection)
        .await
}

pub(super) async fn quarantined(
    connection: &mut Connection,
    page: PageRequest,
) -> QueryResult<Vec<QuarantineRow>> {
    use jaas_quarantine::dsl;
    dsl::jaas_quarantine
        .filter(dsl::id.gt(after(page)))
        .order(dsl::id)
        .limit(one_more(page))
        .select(QuarantineRow::as_select())
        .load(connection)
        .await
}

pub(super) async fn attempts(
    connection: &mut Connection,
    query: &AttemptQuery,
) -> QueryResult<Vec<AttemptRow>> {
    use jaas_attempts::dsl;
    let mut rows = dsl::jaas_attempts
        .filter(dsl::id.gt(after(query.page)))
        .order(dsl::id)
        .limit(one_more(query.page))
        .select(AttemptRow::as_select())
        .into_boxed();
    if let Some(event) = query.event {
        rows = rows.filter(dsl::event_id.eq(event.get()));
    }
    if let Some(outcome) = query.outcome {
        rows = rows.filter(dsl::outcome.eq(outcome.as_str()));
    }
    rows.load(connection).await
}

pub(super) async fn audit(connection: &mut Connection, page: PageRequest) -> QueryResult<Vec<AuditRow>> {
    use jaas_audit::dsl;
    dsl::jaas_audit
        .filter(dsl::id.gt(after(page)))
        .order(dsl::id)
        .limit(one_more(page))
        .select(AuditRow::as_select())
        .load(connection)
        .await
}

pub(super) async fn dead_letters(connection: &mut Connection) -> QueryResult<Vec<DeadLetterGroup>> {
    use jaas_events::dsl;
    type Group = (String, Option<String>, i64, Option<i64>, Option<i64>);
    let groups: Vec<Group> = dsl::jaas_events
        .filter(dsl::state.eq(DEAD))
        .group_by((dsl::event_type, dsl::note))
        .select((dsl::event_type, dsl::note, count_star(), min(dsl::settled_at), max(dsl::settled_at)))
        .order((count_star().desc(), dsl::event_type.asc()))
        .limit(DeadLetterGroup::MAX_GROUPS as i64)
        .load(connection)
        .await?;
    let at = |millis: Option<i64>| Timestamp::from_millis(millis.unwrap_or_default());
    let group = |(event_type, note, count, first, last): Group| {
        DeadLetterGroup::new(event_type, note, count.unsigned_abs(), at(first), at(last))
    };
    Ok(groups.into_iter().map(group).collect())
}

pub(super) async fn stats(connection: &mut Connection) -> QueryResult<StoreStats> {
    use jaas_events::dsl;
    let mut stats = StoreStats::default();
    let states: Vec<(String, i64, Option<i64>)> = dsl::jaas_events
        .group_by(dsl::state)
        .select((dsl::state, count_star(), min(dsl::received_at)))
        .load(connection)
        .await?;
    for state in EventState::ALL {
        if let Some((_, count, oldest)) = states.iter().find(|(name, ..)| name == state.as_str()) {
            let oldest = oldest.map(Timestamp::from_millis);
            stats.set(state, StateStats::new(count.unsigned_abs(), oldest));
        }
    }
    let conflicts: i64 = jaas_conflicts::table.count().get_result(connection).await?;
    let quarantined: i64 = jaas_quarantine::table.count().get_result(connection).await?;
    (stats.conflicts, stats.quarantined) = (conflicts.unsigned_abs(), quarantined.unsigned_abs());
    Ok(stats)
}

pub(super) async fn replay(
    connection: &mut Connection,
    event: RowId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let row = dsl::jaas_events.find(event.get()).select((dsl::state, dsl::erased_at));
        let Some((was, erased_at)) =
            locked!(row).get_result::<(String, Option<i64>)>(connection).await.optional()?
        else {
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

/// Replays the settled events of a page; answers every row of the page, and whether it was replayed.
pub(super) async fn replay_matching(
    connection: &mut Connection,
    query: &EventQuery,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Vec<(RowId, bool)>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let ids: Vec<i64> = matching!(query, dsl::id).load(connection).await?;
        // One more than the page was read, and is left alone.
        let page = ids.get(..query.page.clamped_limit()).unwrap_or(&ids);
        let settled = dsl::jaas_events
            .filter(dsl::id.eq_any(page).and(dsl::state.eq_any(SETTLED)).and(dsl::erased_at.is_null()))
            .order(dsl::id)
            .select(dsl::id);
        let settled: Vec<i64> = locked!(settled).load(connection).await?;
        replay_all(connection, &settled, audit, now).await?;
        Ok(ids.into_iter().map(|id| (RowId::new(id), settled.contains(&id))).collect())
    })
}

async fn replay_all(
    connection: &mut Connection,
    events: &[i64],
    audit: &AuditNote,
    now: Now,
) -> QueryResult<()> {
    use diesel::IntoSql as _;
    use diesel::sql_types::Text;
    use jaas_events::dsl;
    if events.is_empty() {
        return Ok(());
    }
    let nothing = "".into_sql::<Text>();
    diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(events)))
        .set((
            // Before the state, because MySQL assigns one after the other.
            dsl::completed.eq(case_when(dsl::state.eq(DONE), nothing).otherwise(dsl::completed)),
            dsl::state.eq(WAITING),
            (dsl::failures.eq(0), dsl::crashes.eq(0), dsl::interruptions.eq(0)),
            dsl::due_at.eq(now),
            dsl::settled_at.eq(None::<i64>),
            dsl::note.eq(None::<String>),
        ))
        .execute(connection)
        .await?;
    record_audit(connection, events, AuditAction::Replayed, audit, now).await
}

async fn record_audit(
    connection: &mut Connection,
    events: &[i64],
    action: AuditAction,
    note: &AuditNote,
    now: Now,
) -> QueryResult<()> {
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
    diesel::insert_into(jaas_audit::table).values(entries).execute(connection).await?;
    Ok(())
}

pub(super) async fn discard(
    connection: &mut Connection,
    event: RowId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let row = dsl::jaas_events.find(event.get()).select(dsl::state);
        let Some(was) = locked!(row).get_result::<String>(connection).await.optional()? else {
            return Ok(Err(StoreError::not_found(event)));
        };
        match state(event.get(), &was) {
            Ok(EventState::Waiting | EventState::Ignored | EventState::Dead) => {}
            Ok(state) => return Ok(Err(StoreError::not_discardable(event, state))),
            Err(error) => return Ok(Err(error)),
        }
        diesel::update(dsl::jaas_events.find(event.get()))
            .set((
                dsl::state.eq(DISCARDED),
                dsl::settled_at.eq(now.nullable()),
                dsl::note.eq(text(&audit.reason)),
            ))
            .execute(connection)
            .await?;
        record_audit(connection, &[event.get()], AuditAction::Discarded, audit, now).await?;
        Ok(Ok(()))
    })
}

pub(super) async fn erase_session(
    connection: &mut Connection,
    session: &SessionId,
    audit: &AuditNote,
    now: Now,
) -> QueryResult<Result<u64, StoreError>> {
    use jaas_events::dsl;
    atomically!(connection, {
        let events = dsl::jaas_events
            .filter(dsl::session_id.eq(text(session.as_str())))
            .order(dsl::id)
            .select((dsl::id, dsl::state, dsl::erased_at));
        let mut events: Vec<(i64, String, Option<i64>)> = locked!(events).load(connection).await?;
        let running = events.iter().filter(|(_, state, _)| state == RUNNING).count();
        if running > 0 {
            return Ok(Err(StoreError::some_are_running(running as u64)));
        }
        // Also those that came after their event was erased.
        let all: Vec<i64> = events.iter().map(|(id, ..)| *id).collect();
        let conflicts = conflicts_of(connection, &all).await?;
        diesel::update(jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts)))
            .set(jaas_conflicts::body.eq(Vec::<u8>::new()))
            .execute(connection)
            .await?;
        events.retain(|(_, _, erased_at)| erased_at.is_none());
        let ids: Vec<i64> = events.into_iter().map(|(id, ..)| id).collect();
        if ids.is_empty() {
            return Ok(Ok(0));
        }
        let waiting = dsl::jaas_events.filter(dsl::id.eq_any(&ids).and(dsl::state.eq(WAITING)));
        diesel::update(waiting)
            .set((dsl::state.eq(DISCARDED), dsl::settled_at.eq(now.nullable())))
            .execute(connection)
            .await?;
        diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(&ids)))
            .set((
                dsl::body.eq(Vec::<u8>::new()),
                dsl::note.eq(None::<String>),
                // What vendors have added to it is not known to be free of persons.
                dsl::trace_context.eq(schema::substr(dsl::trace_context, 1, TRACEPARENT_LENGTH)),
                dsl::erased_at.eq(now.nullable()),
            ))
            .execute(connection)
            .await?;
        diesel::update(jaas_attempts::table.filter(jaas_attempts::event_id.eq_any(&ids)))
            .set(jaas_attempts::error.eq(None::<String>))
            .execute(connection)
            .await?;
        record_audit(connection, &ids, AuditAction::Erased, audit, now).await?;
        Ok(Ok(ids.len() as u64))
    })
}

async fn conflicts_of(connection: &mut Connection, events: &[i64]) -> QueryResult<Vec<i64>> {
    let same_key = jaas_events::endpoint
        .eq(jaas_conflicts::endpoint)
        .and(jaas_events::idempotency_key.eq(jaas_conflicts::idempotency_key));
    jaas_conflicts::table
        .inner_join(jaas_events::table.on(same_key))
        .filter(jaas_events::id.eq_any(events))
        .select(jaas_conflicts::id)
        .load(connection)
        .await
}

/// Deletes at most `limit` rows of each kind that need not be kept.
pub(super) async fn purge(
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
            // Some may have been replayed meanwhile.
            let settled = jaas_events::table
                .filter(jaas_events::id.eq_any(&expired).and(jaas_events::state.eq_any(SETTLED)))
                .order(jaas_events::id)
                .select(jaas_events::id);
            let expired: Vec<i64> = locked!(settled).load(connection).await?;
            let conflicts = conflicts_of(connection, &expired).await?;
            let conflicts = jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts));
            diesel::delete(conflicts).execute(connection).await?;
            let attempts = jaas_attempts::table.filter(jaas_attempts::event_id.eq_any(&expired));
            diesel::delete(attempts).execute(connection).await?;
            let events = jaas_events::table.filter(jaas_events::id.eq_any(&expired));
            diesel::delete(events).execute(connection).await?;
            QueryResult::Ok(expired)
        })?;
    }
    let conflicts = expired!(connection, jaas_conflicts, retention.conflicts(), now, limit);
    let conflicts_deleted =
        diesel::delete(jaas_conflicts::table.filter(jaas_conflicts::id.eq_any(conflicts)))
            .execute(connection)
            .await?;
    let quarantined = expired!(connection, jaas_quarantine, retention.quarantined(), now, limit);
    let quarantined_deleted =
        diesel::delete(jaas_quarantine::table.filter(jaas_quarantine::id.eq_any(quarantined)))
            .execute(connection)
            .await?;
    let deleted = [expired.len(), conflicts_deleted, quarantined_deleted];
    let more = deleted.iter().any(|deleted| *deleted as i64 >= limit);
    let [events, conflicts, quarantined] = deleted.map(|deleted| deleted as u64);
    Ok(Purged::new(events, conflicts, quarantined, more))
}

const SETTLED_STATES: [EventState; 4] =
    [EventState::Done, EventState::Ignored, EventState::Dead, EventState::Discarded];

/// How many rows are more than are kept, if the count matters.
pub(super) fn surplus(keep: Keep, rows: i64) -> Option<i64> {
    let kept = i64::try_from(keep.count?).unwrap_or(i64::MAX);
    Some(rows.saturating_sub(kept)).filter(|surplus| *surplus > 0)
}

/// At most `limit` events of this state that need not be kept, the oldest first.
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
            .order((dsl::settled_at, dsl::id))
            .limit(limit)
            .select(dsl::id)
            .load(connection)
            .await?;
    }
    let left = limit - ids.len() as i64;
    if keep.count.is_some() && left > 0 {
        let in_state = dsl::jaas_events.filter(dsl::state.eq(state.as_str()));
        let expired = ids.len() as i64;
        if let Some(surplus) = surplus(keep, in_state.count().get_result::<i64>(connection).await?) {
            let oldest: Vec<(i64, i64)> = in_state
                .order((dsl::settled_at, dsl::id))
                .limit(surplus.min(left.saturating_add(expired)))
                .select((dsl::id, dsl::received_at))
                .load(connection)
                .await?;
            let oldest = oldest.into_iter().filter(|(_, received)| *received < forgettable);
            ids.extend(oldest.map(|(id, _)| id));
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
    }
    Ok(ids)
}

pub(super) fn after(page: PageRequest) -> i64 {
    page.after.map_or(i64::MIN, RowId::get)
}

pub(super) fn one_more(page: PageRequest) -> i64 {
    page.clamped_limit() as i64 + 1
}
