//! Taking responsibility for what was delivered. `Connection` and `dialect` are those of the backend that compiles this
//! file.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::prelude::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::store::{Accepted, Lease};

use super::super::dialect::{self, Connection, RunQueryDsl as _, atomically, conflict_target};
use super::counts::{CONFLICT, QUARANTINED, count, slot};
use crate::rows::{Arrival, NewConflict, NewEvent, NewQuarantined, Phase, endpoints_and_keys};
use crate::schema::{jaas_conflicts, jaas_events, jaas_quarantine, jaas_queues};

/// What became of one event of a group.
pub(in super::super) struct Outcome {
    pub(in super::super) accepted: Accepted,
    /// Its claim, when it was asked for with the insert and given.
    #[allow(dead_code)] // where there is no hand-over
    pub(in super::super) lease: Option<Lease>,
}

/// Stores events; returns what became of each, in their order.
pub(in super::super) async fn accept(
    connection: &mut Connection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Outcome>> {
    // The first of each key is inserted. The insert itself shows whether the key was free, never an earlier select.
    let mut seen = HashSet::with_capacity(events.len());
    let mut firsts: Vec<&NewEvent> =
        events.iter().copied().filter(|event| seen.insert(event.key())).collect();
    // All in the same order, or two groups with the same sessions or keys would wait for each other.
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
    let (mut answers, mut conflicts) = (Vec::with_capacity(events.len()), 0);
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
                conflicts += i64::from(count_conflict(connection, &NewConflict::from(*event)).await?);
                Accepted::Conflict
            }
        };
        answers.push(Outcome { accepted, lease: None });
    }
    count(connection, slot(0), &[(CONFLICT, conflicts)]).await?;
    Ok(answers)
}

/// Keeps a body whose key was taken by another, once; returns whether it is new.
async fn count_conflict(connection: &mut Connection, conflict: &NewConflict<'_>) -> QueryResult<bool> {
    use jaas_conflicts::dsl;
    diesel::insert_into(dsl::jaas_conflicts)
        .values(conflict)
        .on_conflict(conflict_target!(dsl::endpoint, dsl::idempotency_key, dsl::body_hash))
        .do_update()
        .set((dsl::seen.eq(dsl::seen + 1), dsl::last_received_at.eq(conflict.last_received_at)))
        .execute(connection)
        .await?;
    let seen = dsl::jaas_conflicts
        .filter(dsl::endpoint.eq(conflict.endpoint))
        .filter(dsl::idempotency_key.eq(conflict.idempotency_key))
        .filter(dsl::body_hash.eq(conflict.body_hash));
    Ok(seen.select(dsl::seen).get_result::<i32>(connection).await? == 1)
}

/// Keeps a body that cannot be parsed, once.
pub(in super::super) async fn quarantine(
    connection: &mut Connection,
    body: &NewQuarantined,
) -> QueryResult<()> {
    use jaas_quarantine::dsl;
    atomically!(connection, {
        diesel::insert_into(dsl::jaas_quarantine)
            .values(body)
            .on_conflict(conflict_target!(dsl::endpoint, dsl::body_hash))
            .do_update()
            .set((dsl::seen.eq(dsl::seen + 1), dsl::last_received_at.eq(body.last_received_at)))
            .execute(connection)
            .await?;
        let seen = dsl::jaas_quarantine
            .filter(dsl::endpoint.eq(&body.endpoint).and(dsl::body_hash.eq(&body.body_hash)))
            .select(dsl::seen);
        let new = seen.get_result::<i32>(connection).await? == 1;
        count(connection, slot(0), &[(QUARANTINED, i64::from(new))]).await
    })
}

/// Makes events wait that were claimed with their insert, when no worker has got that claim.
#[allow(dead_code)] // in the backends that have no such claims
pub(in super::super) async fn unclaim_new(
    connection: &mut Connection,
    events: &[&NewEvent],
) -> QueryResult<()> {
    use jaas_queues::dsl;
    for event in events {
        let Some(claimant) = &event.claimant else { continue };
        let claimed = dsl::jaas_queues.find(&event.ordering_key).filter(dsl::fence.eq(claimant.fence));
        let waits = (
            dsl::event_id.eq(None::<i64>),
            dsl::fence.eq(0),
            dsl::worker.eq(None::<String>),
            dsl::phase.eq(Phase::Waiting as i16),
            dsl::due_at.eq(event.due_at),
        );
        diesel::update(claimed).set(waits).execute(connection).await?;
    }
    Ok(())
}

/// One arrival for each queue, sorted by queue: the earliest time and place of its events.
pub(in super::super) fn earliest<'e>(arrivals: impl Iterator<Item = Arrival<'e>>) -> Vec<Arrival<'e>> {
    let mut by_queue: BTreeMap<&str, Arrival<'e>> = BTreeMap::new();
    for arrival in arrivals {
        by_queue
            .entry(arrival.key)
            .and_modify(|known| {
                known.due_at = known.due_at.min(arrival.due_at);
                known.place = known.place.min(arrival.place);
            })
            .or_insert(arrival);
    }
    by_queue.into_values().collect()
}
