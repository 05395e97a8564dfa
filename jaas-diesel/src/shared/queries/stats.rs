//! The numbers for [`StoreStats`].
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect`
//! and `counts` are the backend's modules of these names.

use diesel::prelude::{QueryDsl as _, QueryResult};
use jaas_core::Timestamp;
use jaas_core::store::{EventState, StateStats, StoreStats};

use super::super::counts::{CONFLICT, QUARANTINED};
use super::super::dialect::{self, Connection, RunQueryDsl as _, atomically};
use super::WAITING;
use super::claim::queues;
use crate::schema::{jaas_counts, jaas_events, jaas_queues};

/// The numbers, read in one transaction: PostgreSQL plans for queues only inside one.
pub(in super::super) async fn stats(connection: &mut Connection) -> QueryResult<StoreStats> {
    atomically!(connection, {
        let amounts: Vec<(String, i64)> =
            jaas_counts::table.select((jaas_counts::name, jaas_counts::amount)).load(connection).await?;
        let amount =
            |name: &str| amounts.iter().filter(|(of, _)| of == name).map(|(_, n)| n).sum::<i64>().max(0);
        // No more rows than the workers hold claims.
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

/// When the application received the event of this state that was stored first.
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
        // Running events are stored as waiting, too.
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
