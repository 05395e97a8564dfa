//! Storing new events in SQLite, row by row: statements are prepared once, and there is no network in between.

use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, SqliteConnection};
use jaas_core::store::EventState;

use super::counts::add_to_counts;
use super::dialect::RunQueryDsl as _;
use crate::rows::{Arrival, Inserted, NewEvent};
use crate::statement::statement;

/// Inserts events; returns for each whether it was new, in their order.
pub(in super::super) async fn insert_new(
    connection: &mut SqliteConnection,
    events: &[&NewEvent],
    _: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    let mut inserted = Vec::with_capacity(events.len());
    let mut new = 0;
    for event in events {
        let is_new = InsertEvent(event).execute(connection).await? == 1;
        if is_new {
            new += 1;
            let arrival =
                Arrival { key: &event.ordering_key, due_at: event.due_at, place: event.place, lone: true };
            arrive(connection, &[arrival]).await?;
        }
        inserted.push(is_new.then(Inserted::default));
    }
    add_to_counts(connection, 0, &[(EventState::Waiting.as_str(), new)]).await?;
    Ok(inserted)
}

/// An insert whose text is built once, not for each event.
struct InsertEvent<'a>(&'a NewEvent);

impl QueryId for InsertEvent<'_> {
    type QueryId = InsertEvent<'static>;

    const HAS_STATIC_QUERY_ID: bool = true;
}

impl QueryFragment<Sqlite> for InsertEvent<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Self(event) = self;
        out.push_sql(
            "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, fqn, ordering_key, occurred_at, received_at, \
             due_at, place, body, body_hash, session_id, trace_context, state, completed) VALUES (",
        );
        for text in
            [&event.endpoint, &event.idempotency_key, &event.event_type, &event.fqn, &event.ordering_key]
        {
            out.push_bind_param::<Text, _>(text)?;
            out.push_sql(", ");
        }
        for number in [&event.occurred_at, &event.received_at, &event.due_at, &event.place] {
            out.push_bind_param::<BigInt, _>(number)?;
            out.push_sql(", ");
        }
        out.push_bind_param::<Binary, _>(&event.body)?;
        out.push_sql(", ");
        out.push_bind_param::<Binary, _>(&event.body_hash)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&event.session_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Nullable<Text>, _>(&event.trace_context)?;
        out.push_sql(", 'waiting', '') ON CONFLICT (endpoint, idempotency_key) DO NOTHING");
        Ok(())
    }
}

impl<Conn> diesel::RunQueryDsl<Conn> for InsertEvent<'_> {}

statement! {
    /// Adds an event to a queue; creates the queue if it is missing.
    Arrive on Sqlite { key: String, due_at: i64, place: i64, lone: i16 } -> () =
        "INSERT INTO jaas_queues (ordering_key, due_at, head_place, lone) VALUES (" { key: Text } ", " { due_at: BigInt }
        ", " { place: BigInt } ", " { lone: SmallInt } ") ON CONFLICT (ordering_key) DO UPDATE SET lone = 0, \
         due_at = CASE WHEN event_id IS NULL THEN min(due_at, excluded.due_at) ELSE due_at END, \
         phase = CASE WHEN event_id IS NULL AND excluded.head_place < head_place THEN 0 ELSE phase END, \
         head_place = min(head_place, excluded.head_place)"
}

pub(in super::super) async fn arrive(
    connection: &mut SqliteConnection,
    arrivals: &[Arrival<'_>],
) -> QueryResult<()> {
    for Arrival { key, due_at, place, lone } in arrivals {
        let arrive =
            Arrive { key: (*key).to_owned(), due_at: *due_at, place: *place, lone: i16::from(*lone) };
        arrive.execute(connection).await?;
    }
    Ok(())
}
