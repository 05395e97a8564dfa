//! Claiming events, and renewing their leases.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `counts`,
//! `dialect` and `queues` are the backend's modules of these names.

use std::time::{Duration, Instant};

use diesel::QueryResult;
use diesel::dsl::{exists, min};
use diesel::prelude::{ExpressionMethods as _, QueryDsl as _, SelectableHelper as _};
use jaas_core::Timestamp;
use jaas_core::store::tools::{DeadLettered, crash_note};
use jaas_core::store::{AttemptOutcome, Claim, ClaimRequest, Lease, NextClaim, NextDue};

use super::super::counts::add_to_counts;
use super::super::dialect::{Connection, RunQueryDsl as _, atomically};
use super::super::queues::{lock_due, lock_running, write_queues};
use super::advance::{Freed, advance_queues};
use super::settle::record_attempt;
use super::{DEAD, WAITING};
use crate::now::Now;
use crate::rows::{CrashedRow, Phase, QueueRow, since, slot, text};
use crate::schema::{jaas_events, jaas_queues};

/// The most expired leases that one claim takes over.
const MAX_EXPIRED: i64 = 256;

/// The length to which a worker's name is truncated.
const MAX_WORKER_CHARS: usize = 255;

/// Claims sessions; returns the event to run in each. Adds to `dead_letters` the events that became dead letters after too
/// many crashes. The caller reports these once they are committed.
pub(in super::super) async fn claim(
    connection: &mut Connection,
    request: &ClaimRequest,
    now: Now,
    front: &mut Front,
    dead_letters: &mut Vec<DeadLettered>,
) -> QueryResult<Vec<Claim>> {
    if request.limit == 0 {
        return Ok(Vec::new());
    }
    let worker: String = text(&request.worker).chars().take(MAX_WORKER_CHARS).collect();
    let next = (NextClaim { lease: request.lease, order: request.order, following: 0 }, Some(worker));
    let mut dead = Vec::new();
    let (from, mut front_now) = (front.of_a_claim(request.limit), None);
    let claims: Vec<Claim> = atomically!(connection, {
        let Seen { now, expired, suspects } = look(connection, now).await?;
        if expired {
            let mut freed = Vec::new();
            for queue in lock_due(connection, Phase::Running, i64::MIN, now, MAX_EXPIRED).await? {
                freed.push(take_over(connection, queue, request, now, &mut dead).await?);
            }
            advance_queues(connection, freed, now).await?;
        }
        let mut freed = Vec::new();
        if (expired || suspects) && !a_suspect_runs(connection).await? {
            // If another worker claims a suspect at this moment, the database refuses this claim, and it is tried again.
            let queues = lock_due(connection, Phase::Suspect, i64::MIN, now, 1).await?;
            freed.extend(queues.into_iter().map(|queue| Freed {
                queue,
                next: Some(next.clone()),
                suspects_turn: true,
                is_over: false,
            }));
        }
        let limit = i64::try_from(request.limit - freed.len()).unwrap_or(i64::MAX);
        let mut queues = lock_due(connection, Phase::Waiting, from, now, limit).await?;
        if from > i64::MIN && (queues.len() as i64) < limit {
            let rest = limit - queues.len() as i64;
            queues.extend(lock_due(connection, Phase::Waiting, i64::MIN, from - 1, rest).await?);
        } else if let Some(last) = queues.last() {
            front_now = Some(last.due_at);
        }
        freed.extend(queues.into_iter().map(|queue| Freed {
            queue,
            next: Some(next.clone()),
            suspects_turn: false,
            is_over: false,
        }));
        let claims = advance_queues(connection, freed, now).await?;
        if let Some(first) = dead.as_slice().first() {
            let number = dead.len() as i64;
            add_to_counts(connection, slot(first.event.get()), &[(WAITING, -number), (DEAD, number)]).await?;
        }
        QueryResult::Ok(claims.into_values().collect())
    })?;
    dead_letters.extend(dead);
    front.learn(from, front_now);
    Ok(claims)
}

/// Where the due queues begin. Behind a large claim, the index still has the entries of the queues that were claimed before,
/// until the database removes them. The next claim begins after them, for a short while: a queue that is due earlier may have
/// come.
#[derive(Debug, Default)]
pub(in super::super) struct Front {
    known: Option<(i64, Instant)>,
}

impl Front {
    /// How long an earlier queue may be overlooked.
    const RECENT: Duration = Duration::from_millis(100);

    /// Of how many queues a claim must be, to begin at the front. A smaller one returns the earliest of all.
    const MANY: usize = 32;

    fn of_a_claim(&self, limit: usize) -> i64 {
        let recent = self.known.filter(|(_, seen)| limit >= Self::MANY && seen.elapsed() < Self::RECENT);
        recent.map_or(i64::MIN, |(front, _)| front)
    }

    /// Learns from a claim that began at `from`; `front` is the last queue that it has claimed, if it has claimed all it could.
    fn learn(&mut self, from: i64, front: Option<i64>) {
        let seen = match self.known {
            Some((_, seen)) if from > i64::MIN => seen,
            _ => Instant::now(),
        };
        self.known = front.map(|front| (front, seen));
    }
}

/// The queues of a phase. The phase is a constant of the SQL text, so that the partial index for it can serve the query.
macro_rules! queues {
    ($phase:literal) => {
        crate::schema::jaas_queues::table
            .filter(diesel::dsl::sql::<diesel::sql_types::Bool>(concat!("jaas_queues.phase = ", $phase)))
    };
}
pub(super) use queues;

/// What there is to do besides claiming waiting queues.
struct Seen {
    now: i64,
    /// Whether leases have expired.
    expired: bool,
    /// Whether events that have crashed before are due.
    suspects: bool,
}

async fn look(connection: &mut Connection, now: Now) -> QueryResult<Seen> {
    use jaas_queues::dsl::due_at;
    let expired = exists(queues!("2").filter(due_at.le(now)));
    let suspects = exists(queues!("1").filter(due_at.le(now)));
    let (now, expired, suspects) = diesel::select((now, expired, suspects)).get_result(connection).await?;
    Ok(Seen { now, expired, suspects })
}

/// Whether an event that has crashed before is running.
async fn a_suspect_runs(connection: &mut Connection) -> QueryResult<bool> {
    use jaas_queues::dsl;
    let runs = dsl::jaas_queues.filter(dsl::suspect_turn.eq(1));
    diesel::select(exists(runs)).get_result(connection).await
}

/// Frees a queue whose lease has expired. Its event counts as crashed, and becomes a dead letter if it has crashed too often.
async fn take_over(
    connection: &mut Connection,
    queue: QueueRow,
    request: &ClaimRequest,
    now: i64,
    dead_letters: &mut Vec<DeadLettered>,
) -> QueryResult<Freed> {
    use jaas_events::dsl;
    let event = dsl::jaas_events.find(queue.event_id.unwrap_or_default());
    let crashed: CrashedRow = event.select(CrashedRow::as_select()).get_result(connection).await?;
    record_attempt(connection, &queue, AttemptOutcome::Crashed, None, now).await?;
    let crashes = crashed.crashes.saturating_add(1);
    let so_often = u32::try_from(crashes).unwrap_or(u32::MAX);
    let counted = (dsl::crashes.eq(crashes), dsl::fence.eq(queue.fence), dsl::worker.eq(&queue.worker));
    if so_often >= request.max_crashes {
        let dead = (dsl::state.eq(DEAD), dsl::note.eq(crash_note(so_often)), dsl::settled_at.eq(Some(now)));
        diesel::update(event).set((counted, dead)).execute(connection).await?;
        dead_letters.push(crashed.dead_letters(so_often));
    } else {
        diesel::update(event).set(counted).execute(connection).await?;
    }
    Ok(Freed { queue, next: None, suspects_turn: false, is_over: false })
}

/// Extends the leases that are still held; returns those that are not.
pub(in super::super) async fn renew(
    connection: &mut Connection,
    leases: &[Lease],
    now: Now,
    lease: Duration,
) -> QueryResult<Vec<Lease>> {
    let events: Vec<i64> = leases.iter().map(|lease| lease.event.get()).collect();
    atomically!(connection, {
        let mut queues = lock_running(connection, events, now).await?;
        let holds = |queue: &QueueRow, lease: &Lease| {
            (queue.event_id, queue.fence) == (Some(lease.event.get()), lease.fence)
        };
        queues.retain(|(queue, _)| leases.iter().any(|lease| holds(queue, lease)));
        let lost: Vec<Lease> = leases
            .iter()
            .filter(|lease| !queues.iter().any(|(queue, _)| holds(queue, lease)))
            .copied()
            .collect();
        let until = |now| Timestamp::from_millis(now).saturating_add(lease).as_millis();
        let renewed = queues.into_iter().map(|(queue, now)| QueueRow { due_at: until(now), ..queue });
        write_queues(connection, renewed.collect(), Vec::new()).await?;
        Ok(lost)
    })
}

/// The time until a worker has something to do.
pub(in super::super) async fn next_due(connection: &mut Connection, now: Now) -> QueryResult<NextDue> {
    use jaas_queues::dsl::due_at;
    /// The next time, after now, at which a queue of this phase is due.
    macro_rules! next {
        ($phase:literal) => {
            queues!($phase).filter(due_at.gt(now)).select(min(due_at)).single_value()
        };
    }
    let (waiting, suspects) =
        (exists(queues!("0").filter(due_at.le(now))), exists(queues!("1").filter(due_at.le(now))));
    type Times = (i64, bool, bool, Option<i64>, Option<i64>, Option<i64>);
    let times = (now, waiting, suspects, next!("0"), next!("1"), next!("2"));
    let (now, waiting, suspects, next, next_suspect, lease_ends): Times =
        diesel::select(times).get_result(connection).await?;
    let next = [next, next_suspect, lease_ends].into_iter().flatten().min();
    Ok(NextDue::new(next.map(|at| since(at, now)), waiting || suspects))
}
