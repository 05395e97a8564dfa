//! Storing new events in PostgreSQL.

use std::collections::HashMap;
use std::time::Duration;

use diesel::pg::Pg;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, SmallInt, Text};
use diesel::{QueryResult, Queryable};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use jaas_core::store::{Lease, RowId};

use crate::now::Now;
use crate::rows::{Arrival, Blob, Inserted, NewEvent, slot_of};
use crate::statement::statement;

statement! {
    /// Stores events, puts each into its queue, and counts them, in one statement. An event that has a worker is
    /// claimed for it if its queue is new, because then nothing of its session waits or runs.
    ///
    /// The insert itself shows whether a key was free. A queue that exists is locked even if nothing in it changes, so
    /// that this statement and the transaction that settles the queue's last event run one after the other. In a queue
    /// that exists, no event is claimed: `longest_lease` turns the end of a lease back into a time at which the queue
    /// is due. The count comes last, because nothing refers to it.
    InsertEvents on Pg {
        endpoints: Vec<String>,
        keys: Vec<String>,
        event_types: Vec<String>,
        sessions: Vec<Option<String>>,
        fqns: Vec<String>,
        queues: Vec<String>,
        occurred: Vec<i64>,
        received: Vec<i64>,
        bodies: Vec<Blob>,
        hashes: Vec<Vec<u8>>,
        traces: Vec<Option<String>>,
        workers: Vec<Option<String>>,
        leases: Vec<i64>,
        fences: Vec<i64>,
        longest_lease: i64,
        callers_time: bool,
        slot: i16,
        now: Now,
    } -> (BigInt, Text, Text, Nullable<BigInt>) =
        "WITH u AS (SELECT t.*, LEAST(t.received_at, t.now) AS due_at FROM (SELECT n.*, CASE WHEN "
        { callers_time: Bool } " THEN n.received_at ELSE " [now] " END AS now FROM UNNEST("
        { endpoints: Array<Text> } ", " { keys: Array<Text> } ", " { event_types: Array<Text> } ", "
        { sessions: Array<Nullable<Text>> } ", " { fqns: Array<Text> } ", " { queues: Array<Text> } ", "
        { occurred: Array<BigInt> } ", " { received: Array<BigInt> } ", " { bodies: Array<Binary> } ", "
        { hashes: Array<Binary> } ", " { traces: Array<Nullable<Text>> } ", " { workers: Array<Nullable<Text>> } ", "
        { leases: Array<BigInt> } ", " { fences: Array<BigInt> }
        ") AS n (endpoint, idempotency_key, event_type, session_id, fqn, ordering_key, occurred_at, received_at, body, \
         body_hash, trace_context, worker, lease, fence)) t), \
         new AS (INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, ordering_key, occurred_at, \
         received_at, body, body_hash, trace_context, state, completed, due_at, place) \
         SELECT u.endpoint, u.idempotency_key, u.event_type, u.session_id, u.fqn, u.ordering_key, u.occurred_at, \
         u.received_at, u.body, u.body_hash, u.trace_context, 'waiting', '', u.due_at, u.occurred_at FROM u \
         ON CONFLICT (endpoint, idempotency_key) DO NOTHING \
         RETURNING id, endpoint, idempotency_key, ordering_key, occurred_at, due_at), \
         first AS (SELECT DISTINCT ON (new.ordering_key) new.ordering_key, new.id, new.occurred_at, \
         MIN(new.due_at) OVER same AS due_at, \
         CASE WHEN COUNT(*) OVER same = 1 THEN 1 ELSE 0 END AS lone, u.worker, u.fence, u.now + u.lease AS leased_until \
         FROM new JOIN u USING (endpoint, idempotency_key) WINDOW same AS (PARTITION BY new.ordering_key) \
         ORDER BY new.ordering_key, new.occurred_at, new.id), \
         queued AS (INSERT INTO jaas_queues AS q (ordering_key, due_at, head_place, event_id, fence, worker, phase, lone) \
         SELECT f.ordering_key, CASE WHEN f.worker IS NULL THEN f.due_at ELSE f.leased_until END, f.occurred_at, \
         CASE WHEN f.worker IS NOT NULL THEN f.id END, f.fence, f.worker, \
         CASE WHEN f.worker IS NULL THEN 0 ELSE 2 END, f.lone FROM first f ORDER BY f.ordering_key \
         ON CONFLICT (ordering_key) DO UPDATE SET lone = 0, due_at = CASE WHEN q.event_id IS NULL THEN \
         LEAST(q.due_at, EXCLUDED.due_at - CASE WHEN EXCLUDED.event_id IS NULL THEN 0 ELSE "
        { longest_lease: BigInt }
        " END) ELSE q.due_at END, \
         phase = CASE WHEN q.event_id IS NULL AND EXCLUDED.head_place < q.head_place THEN 0 ELSE q.phase END, \
         head_place = LEAST(q.head_place, EXCLUDED.head_place) \
         WHERE q.lone = 1 OR q.head_place > EXCLUDED.head_place OR (q.event_id IS NULL AND q.due_at > EXCLUDED.due_at - "
        { longest_lease: BigInt }
        ") RETURNING q.event_id, q.fence), \
         counted AS (INSERT INTO jaas_counts AS c (name, slot, amount) SELECT 'waiting', " { slot: SmallInt }
        ", COUNT(*) FROM new HAVING COUNT(*) > 0 ON CONFLICT (name, slot) DO UPDATE SET amount = c.amount + EXCLUDED.amount) \
         SELECT new.id, new.endpoint, new.idempotency_key, queued.fence FROM new \
         LEFT JOIN queued ON queued.event_id = new.id"
}

/// A row that is new, and the fence of its claim if it was claimed.
#[derive(Queryable)]
struct InsertedRow {
    id: i64,
    endpoint: String,
    idempotency_key: String,
    fence: Option<i64>,
}

/// Inserts events. Returns for each, in their order, whether it was new, and its lease. An event is claimed with the
/// insert if it has a claimant and nothing else of its session waits or runs. With `callers_time`, the time of receipt
/// counts as the current time, instead of the database's time.
pub(in super::super) async fn insert_new(
    connection: &mut AsyncPgConnection,
    events: &[&NewEvent],
    callers_time: bool,
) -> QueryResult<Vec<Option<Inserted>>> {
    let rows: Vec<InsertedRow> = insert(events, callers_time).load(connection).await?;
    let mut inserted: HashMap<(&str, &str), Inserted> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let lease = row.fence.map(|fence| Lease { event: RowId::new(row.id), fence });
        inserted.insert((&row.endpoint, &row.idempotency_key), Inserted { lease });
    }
    Ok(events.iter().map(|event| inserted.remove(&event.key())).collect())
}

fn millis(duration: Duration) -> i64 {
    // Bounded, so that no sum of it with a time overflows in the database.
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

fn insert(events: &[&NewEvent], callers_time: bool) -> InsertEvents {
    // Only the earliest event of a session can be claimed.
    let mut first: HashMap<&str, (i64, usize)> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        let earliest = first.entry(&event.ordering_key).or_insert((event.occurred_at, place));
        *earliest = (*earliest).min((event.occurred_at, place));
    }
    let claimants: Vec<_> = events
        .iter()
        .enumerate()
        .map(|(place, event)| {
            let goes_first = first.get(&*event.ordering_key).is_some_and(|first| first.1 == place);
            event.claimant.as_ref().filter(|_| goes_first)
        })
        .collect();
    InsertEvents {
        endpoints: events.iter().map(|event| event.endpoint.clone()).collect(),
        keys: events.iter().map(|event| event.idempotency_key.clone()).collect(),
        event_types: events.iter().map(|event| event.event_type.clone()).collect(),
        sessions: events.iter().map(|event| event.session_id.clone()).collect(),
        fqns: events.iter().map(|event| event.fqn.clone()).collect(),
        queues: events.iter().map(|event| event.ordering_key.clone()).collect(),
        occurred: events.iter().map(|event| event.occurred_at).collect(),
        received: events.iter().map(|event| event.received_at).collect(),
        bodies: events.iter().map(|event| event.body.clone()).collect(),
        hashes: events.iter().map(|event| event.body_hash.clone()).collect(),
        traces: events.iter().map(|event| event.trace_context.clone()).collect(),
        workers: claimants.iter().map(|claimant| claimant.map(|c| c.worker.to_string())).collect(),
        leases: claimants.iter().map(|claimant| claimant.map_or(0, |c| millis(c.lease))).collect(),
        fences: claimants.iter().map(|claimant| claimant.map_or(0, |c| c.fence)).collect(),
        longest_lease: claimants.iter().flatten().map(|c| millis(c.lease)).max().unwrap_or(0),
        callers_time,
        slot: slot_of(events),
        now: Now::of_the_database(),
    }
}

statement! {
    /// Makes events wait in queues. Creates the queues that do not exist, and locks all of them.
    Arrive on Pg { keys: Vec<String>, due: Vec<i64>, places: Vec<i64>, lone: Vec<i16> } -> () =
        "INSERT INTO jaas_queues AS q (ordering_key, due_at, head_place, lone) SELECT n.* FROM UNNEST("
        { keys: Array<Text> } ", " { due: Array<BigInt> } ", " { places: Array<BigInt> } ", " { lone: Array<SmallInt> }
        ") AS n (ordering_key, due_at, head_place, lone) ORDER BY n.ordering_key ON CONFLICT (ordering_key) DO UPDATE SET \
         lone = 0, due_at = CASE WHEN q.event_id IS NULL THEN LEAST(q.due_at, EXCLUDED.due_at) ELSE q.due_at END, \
         phase = CASE WHEN q.event_id IS NULL AND EXCLUDED.head_place < q.head_place THEN 0 ELSE q.phase END, \
         head_place = LEAST(q.head_place, EXCLUDED.head_place)"
}

pub(in super::super) async fn arrive(
    connection: &mut AsyncPgConnection,
    arrivals: &[Arrival<'_>],
) -> QueryResult<()> {
    let arrive = Arrive {
        keys: arrivals.iter().map(|arrival| arrival.key.to_owned()).collect(),
        due: arrivals.iter().map(|arrival| arrival.due_at).collect(),
        places: arrivals.iter().map(|arrival| arrival.place).collect(),
        lone: arrivals.iter().map(|arrival| i16::from(arrival.lone)).collect(),
    };
    arrive.execute(connection).await.map(drop)
}
