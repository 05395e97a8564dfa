//! Storing what a sender delivered: events, conflicts and bodies in quarantine.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `accept`,
//! `counts` and `dialect` are the backend's modules of these names.

use std::collections::{HashMap, HashSet};

use diesel::prelude::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::store::{Accepted, Lease};

use super::super::accept::insert_new;
use super::super::counts::{CONFLICT, QUARANTINED, add_to_counts};
use super::super::dialect::{Connection, RunQueryDsl as _, atomically, conflict_target};
use crate::rows::{NewConflict, NewEvent, NewQuarantined, endpoints_and_keys, slot};
use crate::schema::{jaas_conflicts, jaas_events, jaas_quarantine};

/// Stores events. Returns what became of each, in their order, with its lease if it was claimed with the insert.
pub(in super::super) async fn accept(
    connection: &mut Connection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<(Accepted, Option<Lease>)>> {
    // Only the first event with each key is inserted. The insert itself shows whether the key was free; an earlier select
    // could not.
    let mut seen = HashSet::with_capacity(events.len());
    let mut firsts: Vec<&NewEvent> =
        events.iter().copied().filter(|event| seen.insert(event.key())).collect();
    // Every group inserts in this order; otherwise two groups with the same sessions or keys would wait for each other.
    firsts.sort_by_key(|event| (event.session_id.as_deref(), event.occurred_at, event.key()));
    let place: HashMap<(&str, &str), usize> =
        firsts.iter().enumerate().map(|(place, event)| (event.key(), place)).collect();
    let mut inserted = insert_new(connection, &firsts, callers_time).await?;
    let mut outcomes: Vec<Option<(Accepted, Option<Lease>)>> = Vec::with_capacity(events.len());
    for event in events {
        // `take`, because a second event with the same key is not new.
        let new = place.get(&event.key()).and_then(|place| inserted.get_mut(*place)).and_then(Option::take);
        outcomes.push(new.map(|inserted| (Accepted::New, inserted.lease)));
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
    let (mut all, mut conflicts) = (Vec::with_capacity(events.len()), 0);
    for (outcome, event) in outcomes.into_iter().zip(events) {
        let accepted = match outcome {
            Some(outcome) => {
                all.push(outcome);
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
        all.push((accepted, None));
    }
    add_to_counts(connection, slot(0), &[(CONFLICT, conflicts)]).await?;
    Ok(all)
}

/// Stores a body whose key another body has, or counts it if it is stored already. Returns whether it is new.
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

/// Stores a body that cannot be parsed, or counts it if it is stored already.
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
        add_to_counts(connection, slot(0), &[(QUARANTINED, i64::from(new))]).await
    })
}
