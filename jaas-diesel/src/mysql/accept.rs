//! Storing new events in MySQL and MariaDB.

use std::collections::HashSet;

use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};
use diesel::{
    BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult, insert_or_ignore_into,
};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl as _, TransactionManager as _};
use jaas_core::store::EventState;

use super::counts::add_to_counts;
use super::dialect::{begin, end};
use crate::now::Now;
use crate::rows::{Arrival, Inserted, NewEvent, earliest, endpoints_and_keys, slot_of};
use crate::schema::jaas_events;

type Transactions = <AsyncMysqlConnection as AsyncConnection>::TransactionManager;

/// Inserts events; returns for each whether it was new, in their order.
pub(in super::super) async fn insert_new(
    connection: &mut AsyncMysqlConnection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    // A multi-row insert does not report which of its rows were new, unless all were. So the known events are left out first.
    // If another process stores one of the others meanwhile, they are inserted one by one.
    let (endpoints, keys) = endpoints_and_keys(events.iter().copied());
    let known: Vec<(String, String)> = jaas_events::table
        .filter(jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys)))
        .select((jaas_events::endpoint, jaas_events::idempotency_key))
        .load(connection)
        .await?;
    let known: HashSet<(&str, &str)> = known.iter().map(|(endpoint, key)| (&**endpoint, &**key)).collect();
    let unknown: Vec<&NewEvent> = events.iter().copied().filter(|e| !known.contains(&e.key())).collect();
    let mut new: HashSet<(&str, &str)> = HashSet::new();
    if !unknown.is_empty() {
        // If the receiver's clock is ahead of the database's, the events are due by the database's clock.
        let latest = if callers_time {
            i64::MAX
        } else {
            diesel::select(Now::of_the_database()).get_result(connection).await?
        };
        begin(connection).await?;
        let all = insert_or_ignore_into(jaas_events::table).values(unknown.clone()).execute(connection).await;
        if all.as_ref().is_ok_and(|inserted| *inserted == unknown.len()) {
            let queued = queue(connection, &unknown, latest).await;
            end(connection, queued).await?;
            new.extend(unknown.iter().map(|event| event.key()));
        } else {
            Transactions::rollback_transaction(connection).await?;
            all?;
            begin(connection).await?;
            let one_by_one = one_by_one(connection, &unknown, latest).await;
            new.extend(end(connection, one_by_one).await?.iter().map(|event| event.key()));
        }
    }
    Ok(events.iter().map(|event| new.contains(&event.key()).then(Inserted::default)).collect())
}

async fn one_by_one<'e>(
    connection: &mut AsyncMysqlConnection,
    events: &[&'e NewEvent],
    latest: i64,
) -> QueryResult<Vec<&'e NewEvent>> {
    let mut new = Vec::new();
    for event in events {
        let insert = insert_or_ignore_into(jaas_events::table).values(*event);
        if insert.execute(connection).await? == 1 {
            new.push(*event);
        }
    }
    queue(connection, &new, latest).await?;
    Ok(new)
}

/// Adds new events to their queues, and counts them.
async fn queue(connection: &mut AsyncMysqlConnection, new: &[&NewEvent], latest: i64) -> QueryResult<()> {
    if new.is_empty() {
        return Ok(());
    }
    let arrivals = new.iter().map(|event| Arrival {
        key: &event.ordering_key,
        due_at: event.due_at.min(latest),
        place: event.place,
        lone: true,
    });
    arrive(connection, &earliest(arrivals)).await?;
    let early: Vec<i64> = new.iter().map(|event| event.due_at).filter(|due_at| *due_at > latest).collect();
    if !early.is_empty() {
        let (endpoints, keys) = endpoints_and_keys(new.iter().copied());
        let of_new = jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys));
        let early = jaas_events::table.filter(of_new).filter(jaas_events::due_at.gt(latest));
        diesel::update(early.filter(jaas_events::fence.eq(0)))
            .set(jaas_events::due_at.eq(latest))
            .execute(connection)
            .await?;
    }
    let waiting = [(EventState::Waiting.as_str(), new.len() as i64)];
    add_to_counts(connection, slot_of(new), &waiting).await
}

/// Adds events to queues, creates missing queues, and locks all of them. The rows are padded with the last row to a power of
/// two, so that the server prepares few different texts.
struct Arrive<'a>(&'a [Arrival<'a>]);

impl QueryId for Arrive<'_> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Mysql> for Arrive<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("INSERT INTO jaas_queues (ordering_key, due_at, head_place, lone) VALUES ");
        for index in 0..self.0.len().next_power_of_two() {
            let Some(arrival) = self.0.get(index).or(self.0.last()) else { continue };
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(arrival.key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&arrival.due_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&arrival.place)?;
            out.push_sql(if arrival.lone { ", 1)" } else { ", 0)" });
        }
        // `head_place` is assigned last, because the other assignments read its old value.
        out.push_sql(
            " ON DUPLICATE KEY UPDATE lone = 0, due_at = IF(event_id IS NULL, LEAST(due_at, VALUES(due_at)), due_at), \
             phase = IF(event_id IS NULL AND VALUES(head_place) < head_place, 0, phase), \
             head_place = LEAST(head_place, VALUES(head_place))",
        );
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for Arrive<'_> {}

pub(in super::super) async fn arrive(
    connection: &mut AsyncMysqlConnection,
    arrivals: &[Arrival<'_>],
) -> QueryResult<()> {
    Arrive(arrivals).execute(connection).await.map(drop)
}
