//! The statements on queues for SQLite, row by row: statements are prepared once, and there is no network in between. With one
//! writer they need no locks. Each names its index, and fails rather than read the whole table.

use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use diesel::sqlite::Sqlite;
use diesel::{QueryResult, SqliteConnection};
use jaas_core::store::EventState;

use super::dialect::RunQueryDsl as _;
use crate::now::Now;
use crate::rows::{Behind, HeadColumns, HeadRow, Phase, QueueColumns, QueueRow, Settled, looked_at};
use crate::statement::statement;

statement! {
    /// The queues of a phase that are due from one time to another, the earliest first.
    Due on Sqlite { phase: i16, from: i64, now: i64, limit: i64 } -> QueueColumns =
        "SELECT ordering_key, due_at, head_place, event_id, fence, worker, phase, suspect_turn, lone \
         FROM jaas_queues INDEXED BY jaas_queues_due WHERE phase = " { phase: SmallInt } " AND due_at >= "
        { from: BigInt } " AND due_at <= " { now: BigInt } " ORDER BY due_at LIMIT " { limit: BigInt }
}

pub(in super::super) async fn lock_due(
    connection: &mut SqliteConnection,
    phase: Phase,
    from: i64,
    now: i64,
    limit: i64,
) -> QueryResult<Vec<QueueRow>> {
    Due { phase: phase as i16, from, now, limit }.load(connection).await
}

statement! {
    /// The queue in which this event runs, and the current time.
    Running on Sqlite { event: i64, now: Now } -> (QueueColumns, BigInt) =
        "SELECT ordering_key, due_at, head_place, event_id, fence, worker, phase, suspect_turn, lone, " [now]
        " FROM jaas_queues WHERE event_id = " { event: BigInt }
}

pub(in super::super) async fn lock_running(
    connection: &mut SqliteConnection,
    events: Vec<i64>,
    now: Now,
) -> QueryResult<Vec<(QueueRow, i64)>> {
    let mut queues: Vec<(QueueRow, i64)> = Vec::with_capacity(events.len());
    for event in events {
        queues.extend(Running { event, now }.load::<(QueueRow, i64)>(connection).await?);
    }
    Ok(queues)
}

statement! {
    /// The events at the head of a queue: the first that holds back others, and the first that others may pass.
    Heads on Sqlite { key: String, place: i64 } -> HeadColumns =
        "SELECT ordering_key, passable, place, id, occurred_at, due_at, fence, endpoint, received_at, body, failures, \
         crashes, interruptions, completed, trace_context FROM (SELECT * FROM jaas_events INDEXED BY jaas_events_waiting \
         WHERE ordering_key = " { key: Text } " AND state = 'waiting' AND passable = 0 AND place >= " { place: BigInt }
        " ORDER BY place, id LIMIT 1) UNION ALL \
         SELECT ordering_key, passable, place, id, occurred_at, due_at, fence, endpoint, received_at, body, failures, \
         crashes, interruptions, completed, trace_context FROM (SELECT * FROM jaas_events INDEXED BY jaas_events_waiting \
         WHERE ordering_key = " { key: Text } " AND state = 'waiting' AND passable = 1 ORDER BY place, id LIMIT 1)"
}

pub(in super::super) async fn heads(
    connection: &mut SqliteConnection,
    queues: &[&QueueRow],
) -> QueryResult<Vec<HeadRow>> {
    let mut heads = Vec::with_capacity(queues.len());
    for queue in queues {
        let of_queue = Heads { key: queue.ordering_key.clone(), place: queue.head_place };
        heads.extend(of_queue.load::<HeadRow>(connection).await?);
    }
    Ok(heads)
}

statement! {
    /// The first events of a queue that hold back others, in their order.
    Following on Sqlite { key: String, place: i64, limit: i64 } -> HeadColumns =
        "SELECT ordering_key, passable, place, id, occurred_at, due_at, fence, endpoint, received_at, body, failures, \
         crashes, interruptions, completed, trace_context FROM jaas_events INDEXED BY jaas_events_waiting \
         WHERE ordering_key = " { key: Text } " AND state = 'waiting' AND passable = 0 AND place >= " { place: BigInt }
        " ORDER BY place, id LIMIT " { limit: BigInt }
}

pub(in super::super) async fn following(
    connection: &mut SqliteConnection,
    behind: &[Behind],
) -> QueryResult<Vec<HeadRow>> {
    let mut rows = Vec::new();
    for queue in behind {
        let of_queue = Following {
            key: queue.ordering_key.clone(),
            place: queue.head_place,
            limit: looked_at(queue.next),
        };
        rows.extend(of_queue.load::<HeadRow>(connection).await?);
    }
    Ok(rows)
}

statement! {
    /// Writes the new values of a queue.
    Write on Sqlite { queue: String, due_at: i64, place: i64, event: Option<i64>, fence: i64, worker: Option<String>,
                      phase: i16, turn: Option<i16> } -> () =
        "UPDATE jaas_queues SET due_at = " { due_at: BigInt } ", head_place = " { place: BigInt } ", event_id = "
        { event: Nullable<BigInt> } ", fence = " { fence: BigInt } ", worker = " { worker: Nullable<Text> }
        ", phase = " { phase: SmallInt } ", suspect_turn = " { turn: Nullable<SmallInt> }
        " WHERE ordering_key = " { queue: Text }
}

statement! {
    /// Deletes a queue.
    Delete on Sqlite { queue: String } -> () = "DELETE FROM jaas_queues WHERE ordering_key = " { queue: Text }
}

pub(in super::super) async fn write_queues(
    connection: &mut SqliteConnection,
    changed: Vec<QueueRow>,
    ended: Vec<String>,
) -> QueryResult<()> {
    for queue in ended {
        Delete { queue }.execute(connection).await?;
    }
    for QueueRow { ordering_key, due_at, head_place, event_id, fence, worker, phase, suspect_turn, .. } in
        changed
    {
        let write = Write {
            queue: ordering_key,
            due_at,
            place: head_place,
            event: event_id,
            fence,
            worker,
            phase,
            turn: suspect_turn,
        };
        write.execute(connection).await?;
    }
    Ok(())
}

statement! {
    /// Settles an event; returns its state.
    Settle on Sqlite { id: i64, fence: i64, behind: Option<i64>, key: String, worker: Option<String>, handlers: String,
                       reason: Option<String>, now: i64 } -> Text =
        "UPDATE jaas_events SET completed = completed || " { handlers: Text } ", fence = " { fence: BigInt }
        ", worker = " { worker: Nullable<Text> } ", settled_at = " { now: BigInt }
        ", state = CASE WHEN " { reason: Nullable<Text> } " IS NOT NULL AND completed = '' THEN 'ignored' ELSE 'done' END, \
         note = CASE WHEN " { reason: Nullable<Text> } " IS NOT NULL AND completed = '' THEN " { reason: Nullable<Text> }
        " ELSE note END WHERE id = " { id: BigInt } " AND state = 'waiting' AND +ordering_key = " { key: Text }
        " AND fence = COALESCE(" { behind: Nullable<BigInt> } ", fence) RETURNING state"
}

pub(in super::super) async fn settle(
    connection: &mut SqliteConnection,
    settled: &[Settled],
    now: i64,
) -> QueryResult<Vec<(&'static str, i64)>> {
    let [waiting, done, ignored] =
        [EventState::Waiting, EventState::Done, EventState::Ignored].map(EventState::as_str);
    let mut changes = Vec::new();
    for Settled { id, fence, behind, ordering_key, worker, handlers, reason } in settled {
        let settle = Settle {
            id: *id,
            fence: *fence,
            behind: *behind,
            key: ordering_key.clone(),
            worker: worker.clone(),
            handlers: handlers.clone(),
            reason: reason.clone(),
            now,
        };
        for state in settle.load::<String>(connection).await? {
            changes.push((waiting, -1));
            changes.push((if state == done { done } else { ignored }, 1));
        }
    }
    Ok(changes)
}

statement! {
    /// Adds to a count.
    AddToCount on Sqlite { name: &'static str, slot: i16, amount: i64 } -> () =
        "INSERT INTO jaas_counts (name, slot, amount) VALUES (" { name: Text } ", " { slot: SmallInt } ", "
        { amount: BigInt } ") ON CONFLICT (name, slot) DO UPDATE SET amount = amount + excluded.amount"
}

pub(in super::super) async fn add_to_counts(
    connection: &mut SqliteConnection,
    slot: i16,
    sums: &[(&'static str, i64)],
) -> QueryResult<()> {
    for (name, amount) in sums.iter().copied() {
        AddToCount { name, slot, amount }.execute(connection).await?;
    }
    Ok(())
}
