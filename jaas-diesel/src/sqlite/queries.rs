//! All SQL, as functions over a connection.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::upsert::excluded;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, EventQuery, EventState, Failure, Lease, PageRequest, RowId, SessionOrder,
    Step, StoreError, StoreErrorKind, StoreStats, crash_note,
};
use jaas_core::{Handled, Timestamp};

use crate::rows::{
    ClaimRow, ConflictRow, EventRow, NewConflict, NewEvent, NewQuarantined, QuarantineRow, names, state,
};
use crate::schema::{jaas_conflicts, jaas_events, jaas_quarantine};

type Connection = SqliteConnection;

const WAITING: &str = EventState::Waiting.as_str();
const RUNNING: &str = EventState::Running.as_str();
const DONE: &str = EventState::Done.as_str();
const DEAD: &str = EventState::Dead.as_str();

pub(super) fn accept(connection: &mut Connection, event: &NewEvent) -> QueryResult<Accepted> {
    use jaas_events::dsl;
    // Insert first: whether the key was free is told by the insert itself, never by an earlier select.
    let inserted = diesel::insert_into(dsl::jaas_events)
        .values(event)
        .on_conflict((dsl::endpoint, dsl::idempotency_key))
        .do_nothing()
        .execute(connection)?;
    if inserted == 1 {
        return Ok(Accepted::New);
    }
    let first: Vec<u8> = dsl::jaas_events
        .filter(dsl::endpoint.eq(&event.endpoint).and(dsl::idempotency_key.eq(&event.idempotency_key)))
        .select(dsl::body_hash)
        .first(connection)?;
    if first == event.body_hash {
        return Ok(Accepted::Duplicate);
    }
    diesel::insert_into(jaas_conflicts::table)
        .values(NewConflict::from(event))
        .on_conflict((jaas_conflicts::endpoint, jaas_conflicts::idempotency_key, jaas_conflicts::body_hash))
        .do_update()
        .set((
            jaas_conflicts::seen.eq(jaas_conflicts::seen + 1),
            jaas_conflicts::last_received_at.eq(excluded(jaas_conflicts::last_received_at)),
        ))
        .execute(connection)?;
    Ok(Accepted::Conflict)
}

pub(super) fn quarantine(connection: &mut Connection, body: &NewQuarantined) -> QueryResult<()> {
    use jaas_quarantine::dsl;
    diesel::insert_into(dsl::jaas_quarantine)
        .values(body)
        .on_conflict((dsl::endpoint, dsl::body_hash))
        .do_update()
        .set((dsl::seen.eq(dsl::seen + 1), dsl::last_received_at.eq(body.last_received_at)))
        .execute(connection)?;
    Ok(())
}

pub(super) fn claim(connection: &mut Connection, request: &ClaimRequest) -> QueryResult<Vec<Claim>> {
    free_crashed(connection, request)?;
    let ids = claimable(connection, request)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    use jaas_events::dsl;
    let rows = diesel::update(dsl::jaas_events.filter(dsl::id.eq_any(ids)))
        .set((
            dsl::state.eq(RUNNING),
            dsl::fence.eq(dsl::fence + 1),
            dsl::worker.eq(&*request.worker),
            dsl::leased_until.eq(request.now.saturating_add(request.lease).as_millis()),
        ))
        .returning(ClaimRow::as_returning())
        .get_results(connection)?;
    Ok(rows.into_iter().map(Claim::from).collect())
}

/// Events whose lease ran out wait again, or are dead if that has happened too often.
fn free_crashed(connection: &mut Connection, request: &ClaimRequest) -> QueryResult<()> {
    use jaas_events::dsl;
    let now = request.now.as_millis();
    let crashed: Vec<(i64, i32)> = dsl::jaas_events
        .filter(dsl::state.eq(RUNNING).and(dsl::leased_until.le(now)))
        .select((dsl::id, dsl::crashes))
        .load(connection)?;
    for (id, crashes) in crashed {
        let crashes = crashes.saturating_add(1);
        let row = dsl::jaas_events.find(id);
        let so_often = u32::try_from(crashes).unwrap_or(u32::MAX);
        if so_often >= request.max_crashes {
            diesel::update(row)
                .set((
                    dsl::state.eq(DEAD),
                    dsl::crashes.eq(crashes),
                    dsl::note.eq(crash_note(so_often)),
                    dsl::settled_at.eq(now),
                ))
                .execute(connection)?;
        } else {
            diesel::update(row)
                .set((dsl::state.eq(WAITING), dsl::crashes.eq(crashes)))
                .execute(connection)?;
        }
    }
    Ok(())
}

/// The events that may be run now. Of those that crashed before, one at a time.
fn claimable(connection: &mut Connection, request: &ClaimRequest) -> QueryResult<Vec<i64>> {
    use jaas_events::dsl;
    let suspect_runs = dsl::jaas_events.filter(dsl::state.eq(RUNNING)).filter(dsl::crashes.gt(0));
    let suspects = if diesel::select(exists(suspect_runs)).get_result(connection)? { 0 } else { 1 };
    let mut ids = first_in_session(connection, request, true, request.limit.min(suspects))?;
    ids.extend(first_in_session(connection, request, false, request.limit - ids.len())?);
    Ok(ids)
}

/// The events that are due, settled in, and first in their session: those that crashed before, or the others.
fn first_in_session(
    connection: &mut Connection,
    request: &ClaimRequest,
    crashed: bool,
    limit: usize,
) -> QueryResult<Vec<i64>> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    use jaas_events::dsl;
    let other = diesel::alias!(jaas_events as other);
    let now = request.now.as_millis();
    let settled_in = request.now.saturating_sub(request.order.settle_window).as_millis();
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
        .filter(
            other.field(dsl::state).eq(RUNNING).or(other
                .field(dsl::state)
                .eq(WAITING)
                .and(is_earlier)
                .and(holds_back)),
        );
    dsl::jaas_events
        .filter(dsl::state.eq(WAITING))
        .filter(dsl::due_at.le(now))
        .filter(dsl::received_at.le(settled_in))
        .filter(dsl::crashes.gt(0).eq(crashed))
        .filter(not(exists(goes_first)))
        .order((dsl::due_at, dsl::id))
        .limit(limit)
        .select(dsl::id)
        .load(connection)
}

pub(super) fn renew(
    connection: &mut Connection,
    leases: &[Lease],
    until: Timestamp,
) -> QueryResult<Vec<Lease>> {
    let mut lost = Vec::new();
    for lease in leases {
        let renewed = diesel::update(held(*lease))
            .set(jaas_events::leased_until.eq(until.as_millis()))
            .execute(connection)?;
        if renewed == 0 {
            lost.push(*lease);
        }
    }
    Ok(lost)
}

#[diesel::dsl::auto_type]
fn held(lease: Lease) -> _ {
    let event: i64 = lease.event.get();
    let fence: i64 = lease.fence;
    let running: &'static str = RUNNING;
    jaas_events::table
        .filter(jaas_events::id.eq(event))
        .filter(jaas_events::fence.eq(fence))
        .filter(jaas_events::state.eq(running))
}

pub(super) fn complete(
    connection: &mut Connection,
    lease: Lease,
    step: &Step,
    handled: &Handled,
    now: Timestamp,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    let Some(completed) = held(lease).select(dsl::completed).first::<String>(connection).optional()? else {
        return Ok(Err(stale("complete", lease)));
    };
    let mut completed = names(&completed);
    if *handled == Handled::Done {
        completed.push(step.handler.to_string());
    }
    let ignored = match handled {
        Handled::Ignored(reason) if completed.is_empty() => Some(&**reason),
        _ => None,
    };
    let completed = completed.join("\n");
    if step.last {
        let state = if ignored.is_some() { EventState::Ignored } else { EventState::Done };
        diesel::update(held(lease))
            .set((
                dsl::completed.eq(completed),
                dsl::state.eq(state.as_str()),
                dsl::settled_at.eq(now.as_millis()),
                // An error of an earlier attempt stays to be seen.
                ignored.map(|reason| dsl::note.eq(reason)),
            ))
            .execute(connection)?;
    } else {
        diesel::update(held(lease)).set(dsl::completed.eq(completed)).execute(connection)?;
    }
    Ok(Ok(()))
}

pub(super) fn fail(
    connection: &mut Connection,
    lease: Lease,
    failure: &Failure,
    now: Timestamp,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    let (state, due_at, settled_at) = match failure.next {
        Some(next) => (WAITING, Some(next.as_millis()), None),
        None => (DEAD, None, Some(now.as_millis())),
    };
    let failed = diesel::update(held(lease))
        .set((
            dsl::state.eq(state),
            dsl::failures.eq(dsl::failures + 1),
            dsl::note.eq(&failure.error),
            due_at.map(|due_at| dsl::due_at.eq(due_at)),
            settled_at.map(|settled_at| dsl::settled_at.eq(settled_at)),
        ))
        .execute(connection)?;
    Ok(if failed == 1 { Ok(()) } else { Err(stale("record the failure", lease)) })
}

pub(super) fn release(connection: &mut Connection, leases: &[Lease], now: Timestamp) -> QueryResult<()> {
    use jaas_events::dsl;
    for lease in leases {
        diesel::update(held(*lease))
            .set((
                dsl::state.eq(WAITING),
                dsl::due_at.eq(now.as_millis()),
                dsl::interruptions.eq(dsl::interruptions + 1),
            ))
            .execute(connection)?;
    }
    Ok(())
}

/// Makes claimed events wait again as if they had not been claimed; only their fence stays raised.
pub(super) fn unclaim(connection: &mut Connection, leases: &[Lease]) -> QueryResult<()> {
    for lease in leases {
        diesel::update(held(*lease)).set(jaas_events::state.eq(WAITING)).execute(connection)?;
    }
    Ok(())
}

pub(super) fn replay(
    connection: &mut Connection,
    event: RowId,
    now: Timestamp,
) -> QueryResult<Result<(), StoreError>> {
    use jaas_events::dsl;
    let row = dsl::jaas_events.find(event.get());
    let Some((was, completed)) =
        row.select((dsl::state, dsl::completed)).first::<(String, String)>(connection).optional()?
    else {
        return Ok(Err(StoreError::new(StoreErrorKind::NotFound, format!("there is no event {event}"))));
    };
    match state(event.get(), &was) {
        Ok(state) if state.is_settled() => {}
        Ok(state) => {
            let message =
                format!("event {event} is {state}, and only done, ignored and dead events can be replayed");
            return Ok(Err(StoreError::new(StoreErrorKind::NotSettled, message)));
        }
        Err(error) => return Ok(Err(error)),
    }
    diesel::update(row)
        .set((
            dsl::state.eq(WAITING),
            dsl::completed.eq(if was == DONE { String::new() } else { completed }),
            (dsl::failures.eq(0), dsl::crashes.eq(0), dsl::interruptions.eq(0)),
            dsl::due_at.eq(now.as_millis()),
            dsl::settled_at.eq(None::<i64>),
            dsl::note.eq(None::<String>),
        ))
        .execute(connection)?;
    Ok(Ok(()))
}

pub(super) fn next_due(
    connection: &mut Connection,
    now: Timestamp,
    order: SessionOrder,
) -> QueryResult<Option<Timestamp>> {
    use diesel::dsl::min;
    use jaas_events::dsl;
    let window = i64::try_from(order.settle_window.as_millis()).unwrap_or(i64::MAX);
    let (now, settled_in) = (now.as_millis(), now.as_millis().saturating_sub(window));
    let due: Option<i64> = dsl::jaas_events
        .filter(dsl::state.eq(WAITING).and(dsl::due_at.gt(now)))
        .select(min(dsl::due_at))
        .first(connection)?;
    let lease_end: Option<i64> = dsl::jaas_events
        .filter(dsl::state.eq(RUNNING).and(dsl::leased_until.gt(now)))
        .select(min(dsl::leased_until))
        .first(connection)?;
    let settling: Option<i64> = if window == 0 {
        None
    } else {
        dsl::jaas_events
            .filter(dsl::state.eq(WAITING).and(dsl::received_at.gt(settled_in)))
            .select(min(dsl::received_at))
            .first(connection)?
    };
    let settling = settling.map(|received| received.saturating_add(window));
    Ok([due, lease_end, settling].into_iter().flatten().min().map(Timestamp::from_millis))
}

/// Writes a row as it was: a file that can only be read and a full disk refuse that. (`BEGIN IMMEDIATE` alone does not
/// fail there, and an update that finds no row writes nothing.)
pub(super) fn ping(connection: &mut Connection) -> QueryResult<()> {
    use super::migrations::jaas_migrations::dsl;
    diesel::update(dsl::jaas_migrations).set(dsl::version.eq(dsl::version)).execute(connection)?;
    Ok(())
}

/// One row more than the page holds, to tell whether there is another page.
pub(super) fn events(connection: &mut Connection, query: &EventQuery) -> QueryResult<Vec<EventRow>> {
    use jaas_events::dsl;
    let mut rows = dsl::jaas_events
        .filter(dsl::id.gt(after(query.page)))
        .order(dsl::id)
        .limit(one_more(query.page))
        .select(EventRow::as_select())
        .into_boxed();
    if let Some(state) = query.state {
        rows = rows.filter(dsl::state.eq(state.as_str()));
    }
    if let Some(event_type) = &query.event_type {
        rows = rows.filter(dsl::event_type.eq(event_type));
    }
    if let Some(session) = &query.session_id {
        rows = rows.filter(dsl::session_id.eq(session.as_str()));
    }
    if let Some(key) = &query.idempotency_key {
        rows = rows.filter(dsl::idempotency_key.eq(key.as_str()));
    }
    rows.load(connection)
}

pub(super) fn conflicts(connection: &mut Connection, page: PageRequest) -> QueryResult<Vec<ConflictRow>> {
    use jaas_conflicts::dsl;
    dsl::jaas_conflicts
        .filter(dsl::id.gt(after(page)))
        .order(dsl::id)
        .limit(one_more(page))
        .select(ConflictRow::as_select())
        .load(connection)
}

pub(super) fn quarantined(connection: &mut Connection, page: PageRequest) -> QueryResult<Vec<QuarantineRow>> {
    use jaas_quarantine::dsl;
    dsl::jaas_quarantine
        .filter(dsl::id.gt(after(page)))
        .order(dsl::id)
        .limit(one_more(page))
        .select(QuarantineRow::as_select())
        .load(connection)
}

pub(super) fn stats(connection: &mut Connection) -> QueryResult<StoreStats> {
    use diesel::dsl::{count_star, min};
    use jaas_events::dsl;
    let mut stats = StoreStats::default();
    let counts: Vec<(String, i64)> =
        dsl::jaas_events.group_by(dsl::state).select((dsl::state, count_star())).load(connection)?;
    for state in EventState::ALL {
        let count = counts.iter().find(|(name, _)| name == state.as_str()).map_or(0, |(_, count)| *count);
        stats.set(state, count.unsigned_abs());
    }
    let conflicts: i64 = jaas_conflicts::table.count().get_result(connection)?;
    let quarantined: i64 = jaas_quarantine::table.count().get_result(connection)?;
    (stats.conflicts, stats.quarantined) = (conflicts.unsigned_abs(), quarantined.unsigned_abs());
    let oldest: Option<i64> =
        dsl::jaas_events.filter(dsl::state.eq(WAITING)).select(min(dsl::received_at)).first(connection)?;
    stats.oldest_waiting = oldest.map(Timestamp::from_millis);
    Ok(stats)
}

fn after(page: PageRequest) -> i64 {
    page.after.map_or(i64::MIN, RowId::get)
}

fn one_more(page: PageRequest) -> i64 {
    page.clamped_limit() as i64 + 1
}

fn stale(operation: &str, lease: Lease) -> StoreError {
    StoreError::new(
        StoreErrorKind::StaleLease,
        format!("cannot {operation}: claim {} of event {} is no longer held", lease.fence, lease.event),
    )
}
