//! How many rows there are of each kind. The numbers change with each write, so that no call has to count rows.
//!
//! Compiled once per backend, as its module `counts`. `Connection` is `SqliteConnection`, `AsyncPgConnection` or
//! `AsyncMysqlConnection`; `dialect` and `queues` are the backend's modules of these names.

use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::store::EventState;

use super::dialect::{Connection, RunQueryDsl as _};
use super::queues;
use crate::schema::jaas_counts;

pub(super) const CONFLICT: &str = "conflict";
pub(super) const QUARANTINED: &str = "quarantined";

// These never decrease.
/// Runs that failed.
pub(super) const FAILED: &str = "failed";
/// Events that were purged.
pub(super) const PURGED: &str = "purged";
/// How often an event was done or ignored, and then purged, replayed or discarded.
pub(super) const SETTLED_LEFT: &str = "settled_left";
/// How often an event was a dead letter, and then purged, replayed or discarded.
pub(super) const DEAD_LEFT: &str = "dead_left";

/// The count of those that leave this state. Accepting and settling leave none of these states, so they do not pay for it.
fn left_of(state: &str) -> Option<&'static str> {
    match EventState::from_name(state)? {
        EventState::Done | EventState::Ignored => Some(SETTLED_LEFT),
        EventState::Dead => Some(DEAD_LEFT),
        _ => None,
    }
}

/// Adds to counts. A transaction calls this last, so that it locks the rows only briefly.
pub(super) async fn add_to_counts(
    connection: &mut Connection,
    slot: i16,
    changes: &[(&'static str, i64)],
) -> QueryResult<()> {
    let mut sums: Vec<(&'static str, i64)> = Vec::new();
    let left = changes.iter().filter(|(_, change)| *change < 0);
    let left = left.filter_map(|(name, change)| Some((left_of(name)?, -change)));
    for (name, change) in changes.iter().copied().chain(left) {
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += change,
            None => sums.push((name, change)),
        }
    }
    sums.retain(|(_, sum)| *sum != 0);
    // Every transaction locks the rows in this order; otherwise two of them would wait for each other.
    sums.sort_unstable();
    if sums.is_empty() {
        return Ok(());
    }
    queues::add_to_counts(connection, slot, &sums).await
}

/// How many rows there are of this kind.
pub(super) async fn rows_of(connection: &mut Connection, name: &str) -> QueryResult<i64> {
    use jaas_counts::dsl;
    let amounts: Vec<i64> =
        dsl::jaas_counts.filter(dsl::name.eq(name)).select(dsl::amount).load(connection).await?;
    Ok(amounts.into_iter().sum::<i64>().max(0))
}
