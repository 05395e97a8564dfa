//! Recording successful runs in PostgreSQL. All statements of a group are sent before the first reply is read, so that a
//! group takes one round trip to the server.

use std::collections::HashMap;

use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::result::Error;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::store::{Claim, Completion, Lease, StoreError};

use super::dialect::atomically;
use super::queries::settle;
use super::queues::LockRunning;
use crate::now::Now;
use crate::rows::{HeadColumns, HeadRow, QueueRow, Success, follow, handlers_and_reason, looked_at, slot};
use crate::statement::statement;

statement! {
    /// Settles events of the locked queues whose leases are held, and counts them. The condition that they are unsettled is
    /// written so that no index can serve it: the planner would otherwise look up every waiting event.
    Settle on Pg {
        ids: Vec<i64>,
        fences: Vec<i64>,
        behind: Vec<Option<i64>>,
        held: Vec<i64>,
        held_fences: Vec<i64>,
        handlers: Vec<String>,
        reasons: Vec<Option<String>>,
        slot: i16,
        now: Now,
    } -> BigInt =
        "WITH settled AS (UPDATE jaas_events e SET completed = e.completed || n.handlers, fence = n.fence, worker = q.worker, \
         settled_at = " [now]
        ", state = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN 'ignored' ELSE 'done' END, \
         note = CASE WHEN n.reason IS NOT NULL AND e.completed = '' THEN n.reason ELSE e.note END FROM UNNEST("
        { ids: Array<BigInt> } ", " { fences: Array<BigInt> } ", " { behind: Array<Nullable<BigInt>> } ", "
        { held: Array<BigInt> } ", " { held_fences: Array<BigInt> } ", "
        { handlers: Array<Text> } ", " { reasons: Array<Nullable<Text>> }
        ") AS n (id, fence, behind, held, held_fence, handlers, reason) \
         JOIN jaas_queues q ON q.event_id = n.held AND q.fence = n.held_fence \
         WHERE e.id = n.id AND e.ordering_key || '' = q.ordering_key AND COALESCE(e.settled_at, 0) = 0 \
         AND e.fence = COALESCE(n.behind, e.fence) RETURNING e.id, e.state), \
         counted AS (INSERT INTO jaas_counts AS c (name, slot, amount) SELECT x.name, " { slot: SmallInt }
        ", x.amount FROM (SELECT 'waiting' AS name, -COUNT(*) AS amount FROM settled UNION ALL \
         SELECT state, COUNT(*) FROM settled GROUP BY state) x WHERE x.amount <> 0 ORDER BY x.name \
         ON CONFLICT (name, slot) DO UPDATE SET amount = c.amount + EXCLUDED.amount) SELECT id FROM settled"
}

statement! {
    /// Moves on each queue whose lease is held, as `queries::advance` does; the differential test keeps the two equal. Its
    /// event is settled, so a queue that was made for one event, and to which none has come since, is over.
    ///
    /// Returns the events that are claimed now, each with the event that has ended and the new fence in front.
    GoOn on Pg {
        ids: Vec<i64>,
        fences: Vec<i64>,
        leases: Vec<Option<i64>>,
        windows: Vec<i64>,
        now: Now,
    } -> (BigInt, BigInt, HeadColumns) =
        "WITH held AS (SELECT q.ordering_key, q.head_place, q.worker, q.suspect_turn, q.lone, n.id AS ended, n.lease, n.settle_window, "
        [now]
        " AS now FROM UNNEST(" { ids: Array<BigInt> } ", " { fences: Array<BigInt> } ", "
        { leases: Array<Nullable<BigInt>> } ", " { windows: Array<BigInt> }
        ") AS n (id, fence, lease, settle_window) JOIN jaas_queues q ON q.event_id = n.id AND q.fence = n.fence), \
         heads AS (SELECT held.*, f.id AS first_id, f.place AS first_place, \
         GREATEST(f.due_at, LEAST(f.received_at, f.due_at) + held.settle_window) AS ready_at, p.id AS passed_id, p.due_at AS passed_due, \
         f.id IS NULL OR (p.occurred_at, p.id) < (f.occurred_at, f.id) AS passed_is_earlier FROM held \
         LEFT JOIN LATERAL (SELECT e.* FROM jaas_events e WHERE held.lone = 0 AND e.ordering_key = held.ordering_key \
         AND e.settled_at IS NULL AND e.passable = 0 AND e.place >= held.head_place ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1) f ON TRUE \
         LEFT JOIN LATERAL (SELECT e.* FROM jaas_events e WHERE held.lone = 0 AND e.ordering_key = held.ordering_key \
         AND e.settled_at IS NULL AND e.passable = 1 ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT 1) p ON TRUE), \
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

statement! {
    /// What follows the events that are claimed now: for each event that has ended, the first events of its queue in their
    /// order. Queues with an event that others may pass are left out.
    Following on Pg { ended: Vec<i64>, limits: Vec<i64> } -> (BigInt, HeadColumns) =
        "SELECT n.ended, h.ordering_key, h.passable, h.place, h.id, h.occurred_at, h.due_at, h.fence, h.endpoint, \
         h.received_at, h.body, h.failures, h.crashes, h.interruptions, h.completed, h.trace_context FROM UNNEST("
        { ended: Array<BigInt> } ", " { limits: Array<BigInt> }
        ") AS n (ended, n) JOIN jaas_events x ON x.id = n.ended \
         JOIN jaas_queues q ON q.ordering_key = x.ordering_key AND q.event_id IS NOT NULL CROSS JOIN LATERAL (\
         SELECT e.* FROM jaas_events e WHERE e.ordering_key = q.ordering_key AND e.settled_at IS NULL AND e.passable = 0 \
         AND e.place >= q.head_place ORDER BY e.ordering_key, e.passable, e.place, e.id LIMIT n.n) h \
         WHERE NOT EXISTS (SELECT FROM jaas_events p WHERE p.ordering_key = q.ordering_key AND p.settled_at IS NULL \
         AND p.passable = 1) ORDER BY h.place, h.id"
}

/// The statements for a group that settles events.
struct Trip {
    lock: LockRunning,
    settle: Settle,
    go_on: GoOn,
    following: Option<Following>,
}

impl Trip {
    fn new(successes: &[&Success], now: Now) -> Self {
        let millis = |duration: std::time::Duration| {
            // Bounded, so that no sum of it with a time overflows in the database.
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
        };
        let events =
            || successes.iter().flat_map(|success| success.events().iter().map(|of| (success.lease, of)));
        let (handlers, reasons) = events().map(|(_, event)| handlers_and_reason(event)).unzip();
        let behind = |(held, of): (Lease, &Completion)| (of.lease != held).then_some(of.lease.fence - 1);
        let first = events().next().map_or(0, |(_, event)| event.lease.event.get());
        // The successes whose queues move on.
        let ended: Vec<&Success> = successes.iter().copied().filter(|success| success.ends()).collect();
        let next = || ended.iter().map(|success| success.next);
        Self {
            lock: LockRunning { events: successes.iter().map(|of| of.lease.event.get()).collect(), now },
            settle: Settle {
                ids: events().map(|(_, event)| event.lease.event.get()).collect(),
                fences: events().map(|(_, event)| event.lease.fence).collect(),
                behind: events().map(behind).collect(),
                held: events().map(|(held, _)| held.event.get()).collect(),
                held_fences: events().map(|(held, _)| held.fence).collect(),
                handlers,
                reasons,
                slot: slot(first),
                now,
            },
            go_on: GoOn {
                ids: ended.iter().map(|success| success.lease.event.get()).collect(),
                fences: ended.iter().map(|success| success.lease.fence).collect(),
                leases: next().map(|next| next.map(|next| millis(next.lease))).collect(),
                windows: next().map(|next| next.map_or(0, |next| millis(next.order.settle_window))).collect(),
                now,
            },
            following: Following::of(&ended),
        }
    }
}

impl Following {
    /// The statement for those of these that ask for following events; `None` if none does.
    fn of(ended: &[&Success]) -> Option<Self> {
        let listing = ended.iter().filter_map(|success| Some((success, success.next?)));
        let listing = listing.filter(|(_, next)| next.following > 0);
        let (ended, limits): (Vec<i64>, Vec<i64>) =
            listing.map(|(success, next)| (success.lease.event.get(), looked_at(next))).unzip();
        (!ended.is_empty()).then_some(Self { ended, limits })
    }
}

/// Makes the server prepare the statements of [`complete_all`]. A statement that is not prepared would be sent after the
/// others, out of order.
pub(in super::super) async fn prepare(connection: &mut AsyncPgConnection) -> QueryResult<()> {
    let Trip { lock, settle, go_on, .. } = Trip::new(&[], Now::of_the_database());
    lock.execute(connection).await?;
    settle.execute(connection).await?;
    go_on.execute(connection).await?;
    Following { ended: Vec::new(), limits: Vec::new() }.execute(connection).await?;
    Ok(())
}

/// Records successful runs together.
pub(in super::super) async fn complete_all(
    connection: &mut AsyncPgConnection,
    successes: &[&Success],
    now: Now,
) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
    if successes.iter().any(|success| success.events().is_empty()) {
        return atomically!(connection, { settle::complete_all(connection, successes, now).await });
    }
    let Trip { lock, settle, go_on, following } = Trip::new(successes, now);
    let connection = &*connection;
    let (begun, locked, settled, next, following, committed) = {
        let [mut begins, mut locks, mut settles, mut goes_on, mut follows, mut commits] = [connection; 6];
        tokio::join!(
            biased;
            begins.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED"),
            lock.load::<(QueueRow, i64)>(&mut locks),
            settle.execute(&mut settles),
            go_on.load::<(i64, i64, HeadRow)>(&mut goes_on),
            async move {
                match following {
                    Some(following) => following.load::<(i64, HeadRow)>(&mut follows).await,
                    None => Ok(Vec::new()),
                }
            },
            commits.batch_execute("COMMIT"),
        )
    };
    // The first error is the cause. The statements after it fail because of it, and the commit rolls back.
    begun?;
    let locked = locked?;
    settled?;
    let (next, following) = (next?, following?);
    committed?;
    Ok(outcomes(successes, &locked, next, following))
}

/// Records a successful run in the open transaction, in one round trip. The caller has made sure that a transaction is open:
/// without one, each statement would be committed by itself.
pub(in super::super) async fn complete(
    connection: &mut AsyncPgConnection,
    success: &Success,
    now: Now,
) -> QueryResult<Result<Option<Claim>, StoreError>> {
    if success.events().is_empty() {
        return settle::complete(connection, success, now).await;
    }
    // After a handler in a transaction, the worker does not ask for the events that follow: they may not run before the commit.
    let Trip { lock, settle, go_on, .. } = Trip::new(&[success], now);
    let connection = &*connection;
    let (locked, settled, next) = {
        let [mut locks, mut settles, mut goes_on] = [connection; 3];
        tokio::join!(
            biased;
            lock.load::<(QueueRow, i64)>(&mut locks),
            settle.execute(&mut settles),
            go_on.load::<(i64, i64, HeadRow)>(&mut goes_on),
        )
    };
    let (locked, settled, next) = (locked?, settled?, next?);
    let outcome = outcomes(&[success], &locked, next, Vec::new()).pop();
    let outcome = outcome.unwrap_or_else(|| Err(StoreError::stale("complete", success.lease)));
    if outcome.is_ok() && settled != success.events().len() {
        // A statement that the server has not prepared on this connection is sent after those that it has. All of them are
        // prepared together, so this cannot happen; if it did, the transaction must not be committed.
        return Err(Error::QueryBuilderError(
            "the statements that complete an event ran in the wrong order".into(),
        ));
    }
    Ok(outcome)
}

/// The outcome of each success, from the locked queues, the events that are claimed now and those that follow them. Both lists
/// of events have the event that has ended in front.
fn outcomes(
    successes: &[&Success],
    locked: &[(QueueRow, i64)],
    next: Vec<(i64, i64, HeadRow)>,
    following: Vec<(i64, HeadRow)>,
) -> Vec<Result<Option<Claim>, StoreError>> {
    let mut claims: HashMap<i64, Claim> =
        next.into_iter().map(|(ended, fence, head)| (ended, head.into_claim(fence))).collect();
    let mut behind: HashMap<i64, Vec<HeadRow>> = HashMap::new();
    for (ended, row) in following {
        behind.entry(ended).or_default().push(row);
    }
    let outcomes = successes.iter().map(|Success { lease, next, .. }| {
        let event = lease.event.get();
        let held =
            locked.iter().find(|(queue, _)| (queue.event_id, queue.fence) == (Some(event), lease.fence));
        let Some((_, now)) = held else { return Err(StoreError::stale("complete", *lease)) };
        let mut claim = claims.remove(&event);
        if let (Some(claim), Some(next), Some(rows)) = (&mut claim, next, behind.remove(&event)) {
            claim.following = follow(rows, claim.lease.event.get(), *next, *now);
        }
        Ok(claim)
    });
    outcomes.collect()
}
