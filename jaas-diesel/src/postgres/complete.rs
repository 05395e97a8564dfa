//! Recording successful runs in PostgreSQL: everything is sent without waiting for an answer in between, so that a group takes
//! one trip to the server.

use std::collections::HashMap;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::Handled;
use jaas_core::store::{Claim, StoreError};

use super::dialect::atomically;
use super::queries;
use super::queues::LockRunning;
use crate::now::Now;
use crate::rows::{Completion, HeadColumns, HeadRow, line, text};
use crate::statement::statement;

statement! {
    /// Settles the events whose leases are held, and counts them; returns those. Their queues are locked, so they wait. That is
    /// not asked again: the planner would look up all that waits.
    Settle on Pg {
        ids: Vec<i64>,
        fences: Vec<i64>,
        handlers: Vec<String>,
        reasons: Vec<Option<String>>,
        slot: i16,
        now: Now,
    } -> BigInt =
        "WITH settled AS (UPDATE jaas_events e SET completed = e.completed || n.handler, fence = n.fence, worker = q.worker, \
         settled_at = " [now]
        ", state = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN 'ignored' ELSE 'done' END, \
         note = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN n.reason ELSE e.note END FROM UNNEST("
        { ids: Array<BigInt> } ", " { fences: Array<BigInt> } ", " { handlers: Array<Text> } ", "
        { reasons: Array<Nullable<Text>> }
        ") AS n (id, fence, handler, reason) JOIN jaas_queues q ON q.event_id = n.id AND q.fence = n.fence \
         WHERE e.id = n.id RETURNING e.id, e.state), \
         counted AS (INSERT INTO jaas_counts AS c (name, slot, amount) SELECT x.name, " { slot: SmallInt }
        ", x.amount FROM (SELECT 'waiting' AS name, -COUNT(*) AS amount FROM settled UNION ALL \
         SELECT state, COUNT(*) FROM settled GROUP BY state) x WHERE x.amount <> 0 ORDER BY x.name \
         ON CONFLICT (name, slot) DO UPDATE SET amount = c.amount + EXCLUDED.amount) SELECT id FROM settled"
}

statement! {
    /// Lets each queue of the leases that are held do what is next in it, as `queries::settle::next` decides it; returns the
    /// events that are claimed now, each behind the one that has ended and its fence.
    GoOn on Pg {
        ids: Vec<i64>,
        fences: Vec<i64>,
        leases: Vec<Option<i64>>,
        windows: Vec<i64>,
        now: Now,
    } -> (BigInt, BigInt, HeadColumns) =
        "WITH held AS (SELECT q.ordering_key, q.head_place, q.worker, q.suspect_turn, n.id AS ended, n.lease, n.settle_window, "
        [now]
        " AS now FROM UNNEST(" { ids: Array<BigInt> } ", " { fences: Array<BigInt> } ", "
        { leases: Array<Nullable<BigInt>> } ", " { windows: Array<BigInt> }
        ") AS n (id, fence, lease, settle_window) JOIN jaas_queues q ON q.event_id = n.id AND q.fence = n.fence), \
         heads AS (SELECT held.*, f.id AS first_id, f.place AS first_place, \
         GREATEST(f.due_at, LEAST(f.received_at, f.due_at) + held.settle_window) AS ready_at, p.id AS passed_id, p.due_at AS passed_due, \
         f.id IS NULL OR (p.occurred_at, p.id) < (f.occurred_at, f.id) AS passed_is_earlier FROM held \
         LEFT JOIN LATERAL (SELECT e.* FROM jaas_events e WHERE e.ordering_key = held.ordering_key AND e.settled_at IS NULL \
         AND e.passable = 0 AND e.place >= held.head_place ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1) f ON TRUE \
         LEFT JOIN LATERAL (SELECT e.* FROM jaas_events e WHERE e.ordering_key = held.ordering_key AND e.settled_at IS NULL \
         AND e.passable = 1 ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1) p ON TRUE), \
         turns AS (SELECT h.*, CASE WHEN h.passed_id IS NOT NULL AND h.passed_is_earlier AND h.passed_due <= h.now \
         THEN h.passed_id WHEN h.ready_at <= h.now THEN h.first_id END AS next_id, \
         CASE WHEN h.first_id IS NULL THEN h.passed_due WHEN h.passed_id IS NOT NULL AND h.passed_is_earlier \
         THEN LEAST(h.ready_at, h.passed_due) ELSE h.ready_at END AS wait_until FROM heads h), \
         decided AS (SELECT t.*, e.crashes > 0 AS suspect, CASE WHEN e.fence = 9223372036854775807 THEN 1 ELSE e.fence + 1 END \
         AS next_fence, t.lease IS NOT NULL AND t.suspect_turn IS NULL AND e.crashes = 0 AS claimed \
         FROM turns t LEFT JOIN jaas_events e ON e.id = t.next_id), \
         ended AS (DELETE FROM jaas_queues q USING decided d WHERE q.ordering_key = d.ordering_key \
         AND d.first_id IS NULL AND d.passed_id IS NULL), \
         written AS (UPDATE jaas_queues q SET event_id = CASE WHEN d.claimed THEN d.next_id END, \
         fence = CASE WHEN d.claimed THEN d.next_fence ELSE 0 END, worker = CASE WHEN d.claimed THEN d.worker END, \
         due_at = CASE WHEN d.claimed THEN d.now + d.lease WHEN d.next_id IS NOT NULL THEN d.now ELSE d.wait_until END, \
         head_place = COALESCE(d.first_place, 9223372036854775807), suspect_turn = NULL, \
         phase = CASE WHEN d.claimed THEN 2 WHEN d.suspect THEN 1 ELSE 0 END FROM decided d \
         WHERE q.ordering_key = d.ordering_key AND (d.first_id IS NOT NULL OR d.passed_id IS NOT NULL)) \
         SELECT d.ended, d.next_fence, e.ordering_key, e.passable, e.place, e.id, e.occurred_at, e.due_at, e.fence, e.endpoint, \
         e.received_at, e.body, e.failures, e.crashes, e.interruptions, e.completed, e.trace_context \
         FROM decided d JOIN jaas_events e ON e.id = d.next_id WHERE d.claimed"
}

/// What is sent for a group whose completions all settle their events.
struct Trip {
    lock: LockRunning,
    settle: Settle,
    go_on: GoOn,
}

impl Trip {
    fn new(completions: &[&Completion], now: Now) -> Self {
        let ids: Vec<i64> = completions.iter().map(|completion| completion.lease.event.get()).collect();
        let fences: Vec<i64> = completions.iter().map(|completion| completion.lease.fence).collect();
        let millis = |duration: std::time::Duration| {
            // Bounded, so that no sum of it with a time overflows in the database.
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
        };
        let next = completions.iter().map(|completion| completion.step.next);
        let (handlers, reasons) = completions
            .iter()
            .map(|completion| match &completion.handled {
                Handled::Ignored(reason) => (String::new(), Some(text(reason))),
                _ => (line(&completion.step.handler), None),
            })
            .unzip();
        Self {
            lock: LockRunning { events: ids.clone(), now },
            settle: Settle {
                slot: queries::slot(ids.as_slice().first().copied().unwrap_or_default()),
                ids: ids.clone(),
                fences: fences.clone(),
                handlers,
                reasons,
                now,
            },
            go_on: GoOn {
                ids,
                fences,
                leases: next.clone().map(|next| next.map(|next| millis(next.lease))).collect(),
                windows: next.map(|next| next.map_or(0, |next| millis(next.order.settle_window))).collect(),
                now,
            },
        }
    }
}

/// Has the server prepare what [`complete_all`] sends. Until it has, what is sent together would not be done in its order.
pub(in super::super) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    let Trip { lock, settle, go_on } = Trip::new(&[], Now::of_the_database());
    lock.execute(connection).await?;
    settle.execute(connection).await?;
    go_on.execute(connection).await?;
    Ok(())
}

/// Records successful runs together.
pub(in super::super) async fn complete_all(
    connection: &mut AsyncPgConnection,
    completions: &[&Completion],
    now: Now,
) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
    if !completions.iter().all(|completion| completion.step.last) {
        return atomically!(connection, { queries::complete_all(connection, completions, now).await });
    }
    let Trip { lock, settle, go_on } = Trip::new(completions, now);
    let connection = &*connection;
    let (begun, locked, settled, next, committed) = {
        let [mut begins, mut locks, mut settles, mut goes_on, mut commits] = [connection; 5];
        tokio::join!(
            biased;
            begins.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
            lock.execute(&mut locks),
            settle.load::<i64>(&mut settles),
            go_on.load::<(i64, i64, HeadRow)>(&mut goes_on),
            commits.batch_execute("COMMIT"),
        )
    };
    // The first that failed is the cause; what follows it fails because of it, and the commit rolls back.
    begun?;
    locked?;
    let (settled, next) = (settled?, next?);
    committed?;
    let mut claims: HashMap<i64, Claim> =
        next.into_iter().map(|(ended, fence, head)| (ended, head.into_claim(fence))).collect();
    let answers = completions.iter().map(|completion| {
        let event = completion.lease.event.get();
        if settled.contains(&event) {
            Ok(claims.remove(&event))
        } else {
            Err(StoreError::stale("complete", completion.lease))
        }
    });
    Ok(answers.collect())
}
