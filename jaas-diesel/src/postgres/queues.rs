//! The statements on queues for PostgreSQL. Rows are passed as arrays, so each statement is prepared once for any number of
//! rows.

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use jaas_core::store::EventState;

use crate::now::Now;
use crate::rows::{Behind, HeadColumns, HeadRow, Phase, QueueColumns, QueueRow, Settled, looked_at};
use crate::statement::statement;

statement! {
    /// Locks the queues of a phase that are due from one time to another, and that no other transaction has locked, the
    /// earliest first.
    LockDue on Pg { phase: i16, from: i64, now: i64, limit: i64 } -> QueueColumns =
        "SELECT q.ordering_key, q.due_at, q.head_place, q.event_id, q.fence, q.worker, q.phase, q.suspect_turn, q.lone \
         FROM jaas_queues q WHERE q.phase = " { phase: SmallInt } " AND q.due_at >= " { from: BigInt }
        " AND q.due_at <= " { now: BigInt } " ORDER BY q.phase, q.due_at LIMIT " { limit: BigInt } " FOR UPDATE SKIP LOCKED"
}

pub(in super::super) async fn lock_due(
    connection: &mut AsyncPgConnection,
    phase: Phase,
    from: i64,
    now: i64,
    limit: i64,
) -> QueryResult<Vec<QueueRow>> {
    LockDue { phase: phase as i16, from, now, limit }.load(connection).await
}

statement! {
    /// Locks the queues in which these events run, and returns the current time with each.
    LockRunning on Pg { events: Vec<i64>, now: Now } -> (QueueColumns, BigInt) =
        "SELECT q.ordering_key, q.due_at, q.head_place, q.event_id, q.fence, q.worker, q.phase, q.suspect_turn, q.lone, "
        [now]
        " FROM jaas_queues q WHERE q.event_id = ANY(" { events: Array<BigInt> } ") ORDER BY q.ordering_key FOR UPDATE"
}

pub(in super::super) async fn lock_running(
    connection: &mut AsyncPgConnection,
    events: Vec<i64>,
    now: Now,
) -> QueryResult<Vec<(QueueRow, i64)>> {
    LockRunning { events, now }.load(connection).await
}

statement! {
    /// The events at the heads of queues: in each queue the first event that holds back others, and the first that others may
    /// pass.
    Heads on Pg { keys: Vec<String>, places: Vec<i64> } -> HeadColumns =
        "SELECT h.ordering_key, h.passable, h.place, h.id, h.occurred_at, h.due_at, h.fence, h.endpoint, h.received_at, \
         h.body, h.failures, h.crashes, h.interruptions, h.completed, h.trace_context FROM UNNEST("
        { keys: Array<Text> } ", " { places: Array<BigInt> }
        ") AS q (ordering_key, head_place) CROSS JOIN LATERAL (\
         (SELECT e.* FROM jaas_events e WHERE e.ordering_key = q.ordering_key AND e.settled_at IS NULL AND e.passable = 0 \
         AND e.place >= q.head_place ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1) UNION ALL \
         (SELECT e.* FROM jaas_events e WHERE e.ordering_key = q.ordering_key AND e.settled_at IS NULL AND e.passable = 1 \
         ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1)) h"
}

pub(in super::super) async fn heads(
    connection: &mut AsyncPgConnection,
    queues: &[&QueueRow],
) -> QueryResult<Vec<HeadRow>> {
    let keys = queues.iter().map(|queue| queue.ordering_key.clone()).collect();
    let places = queues.iter().map(|queue| queue.head_place).collect();
    Heads { keys, places }.load(connection).await
}

statement! {
    /// The first events of queues that hold back others, in their order.
    Following on Pg { keys: Vec<String>, places: Vec<i64>, limits: Vec<i64> } -> HeadColumns =
        "SELECT h.ordering_key, h.passable, h.place, h.id, h.occurred_at, h.due_at, h.fence, h.endpoint, h.received_at, \
         h.body, h.failures, h.crashes, h.interruptions, h.completed, h.trace_context FROM UNNEST("
        { keys: Array<Text> } ", " { places: Array<BigInt> } ", " { limits: Array<BigInt> }
        ") AS q (ordering_key, head_place, n) CROSS JOIN LATERAL (\
         SELECT e.* FROM jaas_events e WHERE e.ordering_key = q.ordering_key AND e.settled_at IS NULL AND e.passable = 0 \
         AND e.place >= q.head_place ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT q.n) h ORDER BY h.place, h.id"
}

pub(in super::super) async fn following(
    connection: &mut AsyncPgConnection,
    behind: &[Behind],
) -> QueryResult<Vec<HeadRow>> {
    let following = Following {
        keys: behind.iter().map(|queue| queue.ordering_key.clone()).collect(),
        places: behind.iter().map(|queue| queue.head_place).collect(),
        limits: behind.iter().map(|queue| looked_at(queue.next)).collect(),
    };
    following.load(connection).await
}

statement! {
    /// Writes the new values of queues, and deletes the queues that have ended. All of them are locked.
    WriteQueues on Pg {
        ended: Vec<String>,
        keys: Vec<String>,
        due: Vec<i64>,
        places: Vec<i64>,
        events: Vec<Option<i64>>,
        fences: Vec<i64>,
        workers: Vec<Option<String>>,
        phases: Vec<i16>,
        turns: Vec<Option<i16>>,
    } -> () =
        "WITH ended AS (DELETE FROM jaas_queues WHERE ordering_key = ANY(" { ended: Array<Text> }
        ")) UPDATE jaas_queues q SET due_at = n.due_at, head_place = n.head_place, event_id = n.event_id, \
         fence = n.fence, worker = n.worker, phase = n.phase, suspect_turn = n.suspect_turn FROM UNNEST("
        { keys: Array<Text> } ", " { due: Array<BigInt> } ", " { places: Array<BigInt> } ", "
        { events: Array<Nullable<BigInt>> } ", " { fences: Array<BigInt> } ", " { workers: Array<Nullable<Text>> } ", "
        { phases: Array<SmallInt> } ", " { turns: Array<Nullable<SmallInt>> }
        ") AS n (ordering_key, due_at, head_place, event_id, fence, worker, phase, suspect_turn) \
         WHERE q.ordering_key = n.ordering_key"
}

pub(in super::super) async fn write_queues(
    connection: &mut AsyncPgConnection,
    changed: Vec<QueueRow>,
    ended: Vec<String>,
) -> QueryResult<()> {
    if changed.is_empty() && ended.is_empty() {
        return Ok(());
    }
    let write = WriteQueues {
        ended,
        due: changed.iter().map(|queue| queue.due_at).collect(),
        places: changed.iter().map(|queue| queue.head_place).collect(),
        events: changed.iter().map(|queue| queue.event_id).collect(),
        fences: changed.iter().map(|queue| queue.fence).collect(),
        phases: changed.iter().map(|queue| queue.phase).collect(),
        turns: changed.iter().map(|queue| queue.suspect_turn).collect(),
        workers: changed.iter().map(|queue| queue.worker.clone()).collect(),
        keys: changed.into_iter().map(|queue| queue.ordering_key).collect(),
    };
    write.execute(connection).await.map(drop)
}

statement! {
    /// Settles events whose queues are locked; returns the state of each. The condition that they are unsettled is written so
    /// that no index can serve it: the planner would otherwise look up every waiting event.
    Settle on Pg {
        ids: Vec<i64>,
        fences: Vec<i64>,
        behind: Vec<Option<i64>>,
        queues: Vec<String>,
        workers: Vec<Option<String>>,
        handlers: Vec<String>,
        reasons: Vec<Option<String>>,
        now: i64,
    } -> Text =
        "UPDATE jaas_events e SET completed = e.completed || n.handlers, fence = n.fence, worker = n.worker, settled_at = "
        { now: BigInt }
        ", state = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN 'ignored' ELSE 'done' END, \
         note = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN n.reason ELSE e.note END FROM UNNEST("
        { ids: Array<BigInt> } ", " { fences: Array<BigInt> } ", " { behind: Array<Nullable<BigInt>> } ", "
        { queues: Array<Text> } ", " { workers: Array<Nullable<Text>> } ", "
        { handlers: Array<Text> } ", " { reasons: Array<Nullable<Text>> }
        ") AS n (id, fence, behind, queue, worker, handlers, reason) WHERE e.id = n.id AND e.ordering_key || '' = n.queue \
         AND COALESCE(e.settled_at, 0) = 0 AND e.fence = COALESCE(n.behind, e.fence) RETURNING e.state"
}

pub(in super::super) async fn settle(
    connection: &mut AsyncPgConnection,
    settled: &[Settled],
    now: i64,
) -> QueryResult<Vec<(&'static str, i64)>> {
    if settled.is_empty() {
        return Ok(Vec::new());
    }
    let settle = Settle {
        ids: settled.iter().map(|event| event.id).collect(),
        fences: settled.iter().map(|event| event.fence).collect(),
        behind: settled.iter().map(|event| event.behind).collect(),
        queues: settled.iter().map(|event| event.ordering_key.clone()).collect(),
        workers: settled.iter().map(|event| event.worker.clone()).collect(),
        handlers: settled.iter().map(|event| event.handlers.clone()).collect(),
        reasons: settled.iter().map(|event| event.reason.clone()).collect(),
        now,
    };
    let states: Vec<String> = settle.load(connection).await?;
    let [waiting, done, ignored] =
        [EventState::Waiting, EventState::Done, EventState::Ignored].map(EventState::as_str);
    let of_done = states.iter().filter(|state| *state == done).count() as i64;
    let all = states.len() as i64;
    Ok(vec![(waiting, -all), (done, of_done), (ignored, all - of_done)])
}

statement! {
    /// Adds to counts.
    AddToCounts on Pg { slot: i16, names: Vec<&'static str>, amounts: Vec<i64> } -> () =
        "INSERT INTO jaas_counts AS c (name, slot, amount) SELECT n.name, " { slot: SmallInt } ", n.amount FROM UNNEST("
        { names: Array<Text> } ", " { amounts: Array<BigInt> }
        ") AS n (name, amount) ORDER BY n.name ON CONFLICT (name, slot) DO UPDATE SET amount = c.amount + EXCLUDED.amount"
}

pub(in super::super) async fn add_to_counts(
    connection: &mut AsyncPgConnection,
    slot: i16,
    sums: &[(&'static str, i64)],
) -> QueryResult<()> {
    let (names, amounts) = sums.iter().copied().unzip();
    AddToCounts { slot, names, amounts }.execute(connection).await.map(drop)
}
