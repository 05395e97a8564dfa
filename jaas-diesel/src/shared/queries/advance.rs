//! Moving queues on: which event a session runs next.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `queues`
//! is the backend's module of this name.

use std::collections::HashMap;

use diesel::QueryResult;
use jaas_core::Timestamp;
use jaas_core::store::tools::Turn;
use jaas_core::store::{Claim, NextClaim, SessionOrder};

use super::super::dialect::Connection;
use super::super::queues;
use crate::rows::{Behind, HeadRow, Phase, QueueRow, follow};

/// A locked queue in which nothing runs: its event has ended, or it is due.
pub(super) struct Freed {
    pub(super) queue: QueueRow,
    /// How to claim its next event, and for which worker; `None` to let it wait.
    pub(super) next: Option<(NextClaim, Option<String>)>,
    /// Whether an event that has crashed before may be claimed.
    pub(super) suspects_turn: bool,
    /// Whether no event is left in it.
    pub(super) is_over: bool,
}

impl Freed {
    /// The queue of an event that has ended; with `settled`, it does not wait again.
    pub(super) fn after(queue: QueueRow, next: Option<NextClaim>, settled: bool) -> Self {
        // Of the events that have crashed before, one runs at a time. The next one is not claimed here, so that a claim can choose
        // one of another queue.
        let next = next.filter(|_| queue.suspect_turn.is_none());
        let worker = queue.worker.clone();
        let is_over = settled && queue.lone == 1;
        Self { queue, next: next.map(|next| (next, worker)), suspects_turn: false, is_over }
    }
}

/// Moves each queue on: claims its next event, lets it wait, or ends it because no event is left. Returns the claims by
/// the keys of their queues.
pub(super) async fn advance_queues(
    connection: &mut Connection,
    freed: Vec<Freed>,
    now: i64,
) -> QueryResult<HashMap<String, Claim>> {
    if freed.is_empty() {
        return Ok(HashMap::new());
    }
    let left: Vec<&QueueRow> = freed.iter().filter(|of| !of.is_over).map(|freed| &freed.queue).collect();
    let heads = if left.is_empty() { Vec::new() } else { queues::heads(connection, &left).await? };
    let QueueChanges { mut claims, changed, ended, behind } = changes(freed, heads, now);
    queues::write_queues(connection, changed, ended).await?;
    if !behind.is_empty() {
        // The rows of each queue are in their order.
        let mut rows: HashMap<String, Vec<HeadRow>> = HashMap::with_capacity(behind.len());
        for row in queues::following(connection, &behind).await? {
            rows.entry(row.ordering_key.clone()).or_default().push(row);
        }
        for behind in behind {
            let rows = rows.remove(&behind.ordering_key);
            if let Some((claim, rows)) = claims.get_mut(&behind.ordering_key).zip(rows) {
                claim.following = follow(rows, behind.event, behind.next, now);
            }
        }
    }
    Ok(claims)
}

/// What to write and to return, so that queues move on.
struct QueueChanges {
    claims: HashMap<String, Claim>,
    /// The queues to write, with their new values.
    changed: Vec<QueueRow>,
    /// The keys of the queues to delete, because no event waits in them.
    ended: Vec<String>,
    /// The claims whose following events are to be listed.
    behind: Vec<Behind>,
}

/// Decides the next step of each queue, given the events at its head.
fn changes(freed: Vec<Freed>, heads: Vec<HeadRow>, now: i64) -> QueueChanges {
    let mut by_queue: HashMap<String, [Option<HeadRow>; 2]> = HashMap::with_capacity(freed.len());
    for head in heads {
        let [first, passed] = by_queue.entry(head.ordering_key.clone()).or_default();
        let place = if head.passable == 0 { first } else { passed };
        *place = Some(head);
    }
    let time = Timestamp::from_millis(now);
    let mut changes =
        QueueChanges { claims: HashMap::new(), changed: Vec::new(), ended: Vec::new(), behind: Vec::new() };
    for Freed { mut queue, next: wanted, suspects_turn, .. } in freed {
        let [first, passed] = by_queue.remove(&queue.ordering_key).unwrap_or_default();
        let order = wanted.as_ref().map_or_else(SessionOrder::default, |(next, _)| next.order);
        let turn = order.turn(first.as_ref().map(HeadRow::head), passed.as_ref().map(HeadRow::head), time);
        queue.head_place = first.as_ref().map_or(i64::MAX, |first| first.place);
        let event = match turn {
            Turn::Run(event) => event,
            Turn::Wait(until) => {
                changes.changed.push(queue.waiting(until.as_millis(), false));
                continue;
            }
            Turn::Empty => {
                changes.ended.push(queue.ordering_key);
                continue;
            }
        };
        let something_was_passed = passed.is_some();
        let Some(head) = [first, passed].into_iter().flatten().find(|head| head.id == event.get()) else {
            continue;
        };
        let suspect = head.crashes > 0;
        let Some((wanted, worker)) = wanted.filter(|_| !suspect || suspects_turn) else {
            // Keeps the earlier time, so that a queue that has waited longer comes first.
            let due_at = if queue.event_id.is_none() { queue.due_at.min(now) } else { now };
            changes.changed.push(queue.waiting(due_at, suspect));
            continue;
        };
        let fence = head.next_fence();
        if wanted.following > 0 && !something_was_passed {
            changes.behind.push(Behind {
                ordering_key: queue.ordering_key.clone(),
                event: head.id,
                head_place: queue.head_place,
                next: wanted,
            });
        }
        changes.changed.push(QueueRow {
            due_at: time.saturating_add(wanted.lease).as_millis(),
            event_id: Some(head.id),
            fence,
            worker,
            phase: Phase::Running as i16,
            suspect_turn: suspect.then_some(1),
            ..queue.clone()
        });
        changes.claims.insert(queue.ordering_key, head.into_claim(fence));
    }
    changes
}
