//! Storing new events in MySQL and MariaDB.

use std::collections::HashSet;

use diesel::mysql::Mysql;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{BigInt, Binary, Nullable, SmallInt, Text};
use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, QueryResult};
use diesel_async::{AsyncConnection, AsyncMysqlConnection, RunQueryDsl as _, TransactionManager as _};
use jaas_core::store::EventState;

use super::counts::add_to_counts;
use super::dialect::{begin, end};
use crate::now::Now;
use crate::rows::{Arrival, Inserted, NewEvent, earliest, endpoints_and_keys, slot_of};
use crate::schema::jaas_events;
use crate::statement::known_by_text;

type Transactions = <AsyncMysqlConnection as AsyncConnection>::TransactionManager;

/// Inserts events; returns for each whether it was new, in their order.
pub(in super::super) async fn insert_new(
    connection: &mut AsyncMysqlConnection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    // If the receiver's clock is ahead of the database's, the events are due by the database's clock.
    let latest = if callers_time {
        i64::MAX
    } else {
        diesel::select(Now::of_the_database()).get_result(connection).await?
    };
    if all_at_once(connection, events, latest).await? {
        return Ok(vec![Some(Inserted::default()); events.len()]);
    }
    // An insert of several rows does not report which of them were new.
    let (endpoints, keys) = endpoints_and_keys(events.iter().copied());
    let known: Vec<(String, String)> = jaas_events::table
        .filter(jaas_events::endpoint.eq_any(endpoints).and(jaas_events::idempotency_key.eq_any(keys)))
        .select((jaas_events::endpoint, jaas_events::idempotency_key))
        .load(connection)
        .await?;
    let known: HashSet<(&str, &str)> = known.iter().map(|(endpoint, key)| (&**endpoint, &**key)).collect();
    let mut new: Vec<&NewEvent> = events.iter().copied().filter(|e| !known.contains(&e.key())).collect();
    if !new.is_empty() && !all_at_once(connection, &new, latest).await? {
        // Another process has stored one of them meanwhile.
        begin(connection).await?;
        let one_by_one = one_by_one(connection, &new, latest).await;
        new = end(connection, one_by_one).await?;
    }
    let new: HashSet<(&str, &str)> = new.into_iter().map(NewEvent::key).collect();
    Ok(events.iter().map(|event| new.contains(&event.key()).then(Inserted::default)).collect())
}

/// Inserts events if all of them are new. Otherwise it changes nothing, and returns false.
async fn all_at_once(
    connection: &mut AsyncMysqlConnection,
    events: &[&NewEvent],
    latest: i64,
) -> QueryResult<bool> {
    begin(connection).await?;
    match insert(connection, events, latest).await {
        Ok(inserted) if inserted == events.len() => {
            let queued = queue(connection, events, latest).await;
            end(connection, queued).await.map(|()| true)
        }
        result => {
            Transactions::rollback_transaction(connection).await?;
            result.map(|_| false)
        }
    }
}

/// Inserts those of these events whose keys are free; returns how many.
async fn insert(
    connection: &mut AsyncMysqlConnection,
    events: &[&NewEvent],
    latest: i64,
) -> QueryResult<usize> {
    let events: Vec<(&NewEvent, i64)> =
        events.iter().map(|event| (*event, event.due_at.min(latest))).collect();
    let mut inserted = 0;
    for events in events.chunks(MOST_ROWS) {
        inserted += InsertEvents(events).execute(connection).await?;
    }
    Ok(inserted)
}

/// Inserts those events that are new, and returns them.
async fn one_by_one<'e>(
    connection: &mut AsyncMysqlConnection,
    events: &[&'e NewEvent],
    latest: i64,
) -> QueryResult<Vec<&'e NewEvent>> {
    let mut new = Vec::new();
    for event in events {
        if insert(connection, &[event], latest).await? == 1 {
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
    let waiting = [(EventState::Waiting.as_str(), new.len() as i64)];
    add_to_counts(connection, slot_of(new), &waiting).await
}

/// How many rows one statement inserts. The server prepares a text for each number of rows up to this one: with rows of
/// padding, an insert would do more than it should.
const MOST_ROWS: usize = 64;

/// Inserts those of these events whose keys are free, with the times at which they are due.
struct InsertEvents<'a>(&'a [(&'a NewEvent, i64)]);

known_by_text!(InsertEvents<'_>);

impl QueryFragment<Mysql> for InsertEvents<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql(
            "INSERT IGNORE INTO jaas_events (state, completed, endpoint, idempotency_key, event_type, session_id, fqn, \
             occurred_at, received_at, body, body_hash, trace_context, ordering_key, place, due_at) VALUES ",
        );
        for (index, (event, due_at)) in self.0.iter().enumerate() {
            out.push_sql(if index > 0 { ", ('waiting', '', " } else { "('waiting', '', " });
            out.push_bind_param::<Text, _>(&event.endpoint)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&event.idempotency_key)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&event.event_type)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&event.session_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&event.fqn)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&event.occurred_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&event.received_at)?;
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(&event.body)?;
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(&event.body_hash)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&event.trace_context)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&event.ordering_key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&event.place)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(due_at)?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for InsertEvents<'_> {}

/// Adds events to queues, creates missing queues, and locks all of them.
struct Arrive<'a>(&'a [(Arrival<'a>, i16)]);

known_by_text!(Arrive<'_>);

impl QueryFragment<Mysql> for Arrive<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Mysql>) -> QueryResult<()> {
        out.push_sql("INSERT INTO jaas_queues (ordering_key, due_at, head_place, lone) VALUES ");
        for (index, (arrival, lone)) in self.0.iter().enumerate() {
            out.push_sql(if index > 0 { ", (" } else { "(" });
            out.push_bind_param::<Text, _>(arrival.key)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&arrival.due_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&arrival.place)?;
            out.push_sql(", ");
            out.push_bind_param::<SmallInt, _>(lone)?;
            out.push_sql(")");
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
    let arrivals: Vec<(Arrival<'_>, i16)> =
        arrivals.iter().map(|arrival| (*arrival, i16::from(arrival.lone))).collect();
    for arrivals in arrivals.chunks(MOST_ROWS) {
        Arrive(arrivals).execute(connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server prepares only so many texts, and each is kept as long as its connection.
    #[test]
    fn the_text_depends_on_the_number_of_queues_alone() {
        let text = |lone: [i16; 2]| {
            let arrivals =
                lone.map(|lone| (Arrival { key: "s1", due_at: 1, place: 1, lone: lone == 1 }, lone));
            let text = diesel::debug_query::<Mysql, _>(&Arrive(&arrivals)).to_string();
            text.split(" -- binds:").next().unwrap_or_default().to_owned()
        };
        for lone in [[0, 1], [1, 0], [1, 1]] {
            assert_eq!(text(lone), text([0, 0]));
        }
    }
}
