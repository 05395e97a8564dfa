//! Recording how the run of an event ended, and continuing with the next event of its session.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `accept`, `counts`, `dialect` and `queues` are the backend's modules of these names.

use std::collections::HashMap;

use diesel::QueryResult;
use diesel::dsl::case_when;
use diesel::prelude::QueryDsl as _;
use diesel::prelude::{ExpressionMethods as _, TextExpressionMethods as _};
use jaas_core::store::{AttemptOutcome, Claim, Failure, Lease, StoreError};
use jaas_core::{Handled, Timestamp};

use super::super::accept::arrive;
use super::super::counts::{FAILED, add_to_counts};
use super::super::dialect::{Connection, RunQueryDsl as _, atomically};
use super::super::queues;
use super::advance::{Freed, advance_queues};
use super::{DEAD, WAITING};
use crate::now::Now;
use crate::rows::{Arrival, QueueRow, Settled, Success, SuccessOf, line, slot, text};
use crate::schema::{jaas_attempts, jaas_events};

/// Locks the queues whose leases are held. Returns them by their running events, and the current time.
async fn held(
    connection: &mut Connection,
    leases: &[Lease],
    now: Now,
) -> QueryResult<(HashMap<i64, QueueRow>, i64)> {
    let events = leases.iter().map(|lease| lease.event.get()).collect();
    let queues = queues::lock_running(connection, events, now).await?;
    // Without a queue nothing needs the time.
    let now = queues.as_slice().first().map_or(0, |(_, now)| *now);
    let queues = queues.into_iter().map(|(queue, _)| queue);
    let is_held = |queue: &QueueRow| {
        leases.iter().any(|lease| (Some(lease.event.get()), lease.fence) == (queue.event_id, queue.fence))
    };
    let held = queues.filter(is_held).filter_map(|queue| Some((queue.event_id?, queue)));
    Ok((held.collect(), now))
}

/// Removes the queue of a lease from `held`, if the lease is held.
fn take(held: &mut HashMap<i64, QueueRow>, lease: Lease) -> Option<QueueRow> {
    let event = lease.event.get();
    held.get(&event).is_some_and(|queue| queue.fence == lease.fence).then(|| held.remove(&event)).flatten()
}

/// Records successful runs together, in the open transaction.
pub(in super::super) async fn complete_all(
    connection: &mut Connection,
    successes: &[&Success],
    now: Now,
) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
    let leases: Vec<Lease> = successes.iter().map(|success| success.lease).collect();
    let (mut held, now_ms) = held(connection, &leases, now).await?;
    let (mut settled, mut freed) = (Vec::new(), Vec::new());
    // For each success, the key of its queue if the queue moves on.
    let mut outcomes: Vec<Result<Option<String>, StoreError>> = Vec::with_capacity(successes.len());
    for success in successes {
        let Success { lease, of, next } = success;
        let Some(queue) = held.get(&lease.event.get()).filter(|queue| queue.fence == lease.fence) else {
            outcomes.push(Err(StoreError::stale("complete", *lease)));
            continue;
        };
        let events = match of {
            SuccessOf::Handler(handler, handled) => {
                if *handled == Handled::Done {
                    use jaas_events::dsl;
                    let completed = dsl::completed.concat(line(handler));
                    let event = dsl::jaas_events.find(lease.event.get());
                    diesel::update(event).set(dsl::completed.eq(completed)).execute(connection).await?;
                }
                outcomes.push(Ok(None));
                continue;
            }
            SuccessOf::Events(events) => events,
        };
        settled.extend(events.iter().map(|event| Settled::new(event, *lease, queue)));
        let queue = if success.ends() { take(&mut held, *lease) } else { None };
        outcomes.push(Ok(queue.map(|queue| {
            let key = queue.ordering_key.clone();
            freed.push(Freed::after(queue, *next, true));
            key
        })));
    }
    // In the order in which the rows are stored.
    settled.sort_by_key(|event: &Settled| event.id);
    let changes = queues::settle(connection, &settled, now_ms).await?;
    let mut claims = advance_queues(connection, freed, now_ms).await?;
    if let Some(first) = settled.as_slice().first() {
        add_to_counts(connection, slot(first.id), &changes).await?;
    }
    Ok(outcomes.into_iter().map(|key| key.map(|key| key.and_then(|key| claims.remove(&key)))).collect())
}

/// Records a successful run, in the open transaction.
pub(in super::super) async fn complete(
    connection: &mut Connection,
    success: &Success,
    now: Now,
) -> QueryResult<Result<Option<Claim>, StoreError>> {
    let mut outcomes = complete_all(connection, &[success], now).await?;
    Ok(outcomes.pop().unwrap_or_else(|| Err(StoreError::stale("complete", success.lease))))
}

/// Records a failed run, and claims the session's next event if the failure asks for it.
pub(in super::super) async fn fail(
    connection: &mut Connection,
    lease: Lease,
    failure: &Failure,
    now: Now,
) -> QueryResult<Result<Option<Claim>, StoreError>> {
    use jaas_events::dsl;
    let error = text(&failure.error);
    atomically!(connection, {
        let (mut held, now) = held(connection, &[lease], now).await?;
        let Some(mut queue) = take(&mut held, lease) else {
            return Ok(Err(StoreError::stale("record the failure", lease)));
        };
        let event = lease.event.get();
        if failure.retry_in.is_some() && !failure.passable {
            hold_again(connection, event, &mut queue).await?;
        }
        let update = diesel::update(dsl::jaas_events.find(event));
        let failed = (
            dsl::failures.eq(dsl::failures + 1),
            dsl::note.eq(&error),
            dsl::fence.eq(lease.fence),
            dsl::worker.eq(&queue.worker),
        );
        match failure.retry_in {
            Some(wait) => {
                let due_at = Timestamp::from_millis(now).saturating_add(wait).as_millis();
                let waits = (failed, dsl::due_at.eq(due_at));
                if failure.passable {
                    let passable = (dsl::passable.eq(1), dsl::place.eq(due_at));
                    update.set((waits, passable)).execute(connection).await?
                } else {
                    let holds = (dsl::passable.eq(0), dsl::place.eq(dsl::occurred_at));
                    update.set((waits, holds)).execute(connection).await?
                }
            }
            None => {
                let dead = (failed, dsl::state.eq(DEAD), dsl::settled_at.eq(Some(now)));
                update.set(dead).execute(connection).await?
            }
        };
        record_attempt(connection, &queue, AttemptOutcome::Failed, Some(&error), now).await?;
        let key = queue.ordering_key.clone();
        let freed = Freed::after(queue, failure.next, failure.retry_in.is_none());
        let mut claims = advance_queues(connection, vec![freed], now).await?;
        let changes = [(FAILED, 1), (WAITING, -1), (DEAD, 1)];
        let changes = if failure.retry_in.is_none() { &changes[..] } else { &changes[..1] };
        add_to_counts(connection, slot(event), changes).await?;
        Ok(Ok(claims.remove(&key)))
    })
}

/// Makes an event that others may pass hold them back again. If the event happened before the beginning of its queue,
/// the beginning moves back to it: queries do not look before the beginning.
async fn hold_again(connection: &mut Connection, event: i64, queue: &mut QueueRow) -> QueryResult<()> {
    use jaas_events::dsl;
    let place = dsl::jaas_events.find(event).select((dsl::passable, dsl::occurred_at));
    let (passable, place): (i16, i64) = place.get_result(connection).await?;
    if passable == 1 && place < queue.head_place {
        let arrival = Arrival { key: &queue.ordering_key, due_at: queue.due_at, place, lone: false };
        arrive(connection, &[arrival]).await?;
        queue.head_place = place;
    }
    Ok(())
}

/// Records how the event that ran in a queue ended.
pub(super) async fn record_attempt(
    connection: &mut Connection,
    queue: &QueueRow,
    outcome: AttemptOutcome,
    error: Option<&str>,
    now: i64,
) -> QueryResult<()> {
    use jaas_attempts::dsl;
    let Some(event) = queue.event_id else { return Ok(()) };
    let ended = (
        dsl::event_id.eq(event),
        dsl::fence.eq(queue.fence),
        dsl::worker.eq(&queue.worker),
        dsl::outcome.eq(outcome.as_str()),
        dsl::error.eq(error),
        dsl::ended_at.eq(now),
    );
    diesel::insert_into(dsl::jaas_attempts).values(ended).execute(connection).await?;
    Ok(())
}

/// Releases claims whose handlers were interrupted: their events wait again, and the interruption is recorded.
pub(in super::super) async fn release(
    connection: &mut Connection,
    leases: &[Lease],
    now: Now,
) -> QueryResult<()> {
    use diesel::IntoSql as _;
    use diesel::sql_types::BigInt;
    use jaas_events::dsl;
    atomically!(connection, {
        let (held, now) = held(connection, leases, now).await?;
        for (event, queue) in &held {
            diesel::update(dsl::jaas_events.find(*event))
                .set((
                    dsl::place
                        .eq(case_when(dsl::passable.eq(1), now.into_sql::<BigInt>()).otherwise(dsl::place)),
                    dsl::due_at.eq(now),
                    dsl::interruptions.eq(dsl::interruptions + 1),
                    dsl::fence.eq(queue.fence),
                    dsl::worker.eq(&queue.worker),
                ))
                .execute(connection)
                .await?;
            record_attempt(connection, queue, AttemptOutcome::Interrupted, None, now).await?;
        }
        unclaim(connection, held, now).await
    })
}

/// Gives back claims that never ran: their events wait again as if they had not been claimed. Only their fences stay
/// raised.
pub(in super::super) async fn give_back(
    connection: &mut Connection,
    leases: &[Lease],
    now: Now,
) -> QueryResult<()> {
    use jaas_events::dsl;
    atomically!(connection, {
        let (held, now) = held(connection, leases, now).await?;
        for (event, queue) in &held {
            let event = dsl::jaas_events.find(*event);
            diesel::update(event).set(dsl::fence.eq(queue.fence)).execute(connection).await?;
        }
        unclaim(connection, held, now).await
    })
}

/// Makes these queues wait, with their events due now.
async fn unclaim(connection: &mut Connection, held: HashMap<i64, QueueRow>, now: i64) -> QueryResult<()> {
    let waiting = held.into_values().map(|queue| {
        let suspect = queue.suspect_turn.is_some();
        queue.waiting(now, suspect)
    });
    queues::write_queues(connection, waiting.collect(), Vec::new()).await
}
