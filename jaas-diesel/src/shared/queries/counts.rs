//! How many rows there are, kept with each change, so that nothing has to be counted. `Connection` and `dialect` are those
//! of the backend that compiles this file.

use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, QueryResult};
use jaas_core::Timestamp;
use jaas_core::store::{EventState, StateStats, StoreStats};

use super::super::dialect::{self, Connection, RunQueryDsl as _, atomically};
use super::WAITING;
use super::claim::queues;
use crate::rows::NewEvent;
use crate::schema::{jaas_counts, jaas_events, jaas_queues};

pub(in super::super) const CONFLICT: &str = "conflict";
pub(in super::super) const QUARANTINED: &str = "quarantined";

/// Writers spread over this many rows of each count, so that they seldom wait for each other.
const SLOTS: i64 = 16;

/// The row of a count for a writer that has to do with this row.
pub(in super::super) fn slot(row: i64) -> i16 {
    i16::try_from(row.rem_euclid(SLOTS)).unwrap_or(0)
}

/// A row that no other writer changes: what is tried and taken back holds up no writer there.
const SLOT_OF_PROBES: i16 = SLOTS as i16;

/// The row of a count for a group of new events.
#[allow(dead_code)] // SQLite has one writer and one slot
pub(in super::super) fn slot_of(events: &[&NewEvent]) -> i16 {
    match events.first() {
        Some(event) if event.is_probe() => SLOT_OF_PROBES,
        Some(event) => slot(event.received_at),
        None => 0,
    }
}

/// Adds to counts. It is the last thing that a transaction does, so that the rows are not locked for long.
pub(in super::super) async fn count(
    connection: &mut Connection,
    slot: i16,
    changes: &[(&'static str, i64)],
) -> QueryResult<()> {
    let mut sums: Vec<(&'static str, i64)> = Vec::new();
    for (name, change) in changes {
        match sums.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += change,
            None => sums.push((name, *change)),
        }
    }
    sums.retain(|(_, sum)| *sum != 0);
    // All in the same order, or two transactions would wait for each other.
    sums.sort_unstable();
    if sums.is_empty() {
        return Ok(());
    }
    dialect::add_to_counts(connection, slot, &sums).await
}

/// How many rows are of this kind.
pub(in super::super) async fn rows_of(connection: &mut Connection, name: &str) -> QueryResult<i64> {
    use jaas_counts::dsl;
    let amounts: Vec<i64> =
        dsl::jaas_counts.filter(dsl::name.eq(name)).select(dsl::amount).load(connection).await?;
    Ok(amounts.into_iter().sum::<i64>().max(0))
}

/// In a transaction, because PostgreSQL plans for queues in that.
pub(in super::super) async fn stats(connection: &mut Connection) -> QueryResult<StoreStats> {
    atomically!(connection, {
        let amounts: Vec<(String, i64)> =
            jaas_counts::table.select((jaas_counts::name, jaas_counts::amount)).load(connection).await?;
        let amount =
            |name: &str| amounts.iter().filter(|(of, _)| of == name).map(|(_, n)| n).sum::<i64>().max(0);
        // As many as workers hold at most.
        let running: Vec<Option<i64>> = queues!("2").select(jaas_queues::event_id).load(connection).await?;
        let mut stats = StoreStats::default();
        for state in EventState::ALL {
            let count = match state {
                EventState::Running => running.len() as i64,
                EventState::Waiting => (amount(state.as_str()) - running.len() as i64).max(0),
                state => amount(state.as_str()),
            };
            let oldest = oldest(connection, state, &running).await?;
            stats.set(state, StateStats::new(count.unsigned_abs(), oldest.map(Timestamp::from_millis)));
        }
        stats.conflicts = amount(CONFLICT).unsigned_abs();
        stats.quarantined = amount(QUARANTINED).unsigned_abs();
        QueryResult::Ok(stats)
    })
}

/// When the event of this state was received that was stored first.
async fn oldest(
    connection: &mut Connection,
    state: EventState,
    running: &[Option<i64>],
) -> QueryResult<Option<i64>> {
    use jaas_events::dsl;
    let (stored_as, limit) = match state {
        EventState::Running => {
            let Some(first) = running.iter().copied().flatten().min() else { return Ok(None) };
            let event = dsl::jaas_events.find(first).select(dsl::received_at);
            return event.load::<i64>(connection).await.map(|received| received.into_iter().next());
        }
        // Those that run are stored as waiting too.
        EventState::Waiting => (WAITING, running.len() + 1),
        state => (state.as_str(), 1),
    };
    let of_state = dialect::of_state(stored_as);
    let first = diesel::sql_query(format!(
        "SELECT id, received_at FROM jaas_events {of_state} ORDER BY state, id LIMIT {limit}"
    ));
    let first: Vec<Oldest> = first.load(connection).await?;
    Ok(first.into_iter().find(|event| !running.contains(&Some(event.id))).map(|event| event.received_at))
}

#[derive(diesel::QueryableByName)]
#[diesel(table_name = jaas_events)]
struct Oldest {
    id: i64,
    received_at: i64,
}
