//! What runs next in a queue.

use super::EventTables;
use super::read::{Phase, ReadTables, Scheduled, head, known};
use crate::store::order::Turn;
use crate::store::row::EventRow;
use crate::store::{Claim, EventState, NextClaim};
use crate::timestamp::Timestamp;

/// How to claim the next event of a queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claiming<'a> {
    pub(super) worker: &'a str,
    pub(super) next: NextClaim,
    /// Whether it is the turn of an event that has crashed.
    pub(super) suspects: bool,
}

/// Writes an event that begins to wait. Its queue is looked at when the event is due, if it would not be looked at before:
/// what runs next is decided then.
pub(super) fn arrive<T: EventTables + ?Sized>(
    tables: &mut T,
    row: EventRow,
    due_at: Timestamp,
) -> Result<(), T::Error> {
    let queue = row.queue();
    let mut scheduled = tables.scheduled(&queue)?.unwrap_or(Scheduled::new(Phase::Ready, due_at, None));
    if scheduled.running.is_none() {
        scheduled.at = scheduled.at.min(due_at);
        // Then it runs before the event that has crashed.
        let first =
            tables.waiting(&queue, false, 1)?.first().map(|event| known(tables, *event)).transpose()?;
        if first.is_none_or(|first| row.place() < first.place()) {
            scheduled.phase = Phase::Ready;
        }
    }
    tables.save(row)?;
    tables.schedule(&queue, Some(scheduled))
}

/// Writes an event that was settled without a run. If it waited before, its queue may now have a different next event,
/// unless another of its events runs.
pub(super) fn leave<T: EventTables + ?Sized>(
    tables: &mut T,
    row: EventRow,
    was: EventState,
    now: Timestamp,
) -> Result<(), T::Error> {
    let queue = row.queue();
    tables.save(row)?;
    if was == EventState::Waiting && tables.scheduled(&queue)?.is_none_or(|queue| queue.running.is_none()) {
        advance(tables, &queue, None, now)?;
    }
    Ok(())
}

/// Writes an event that ran, and claims the next event of its queue, if that is asked for, or lets the queue wait.
pub(super) fn go_on<T: EventTables + ?Sized>(
    tables: &mut T,
    row: EventRow,
    next: Option<NextClaim>,
    now: Timestamp,
) -> Result<Option<Claim>, T::Error> {
    let (queue, worker) = (row.queue(), row.event.worker.clone().unwrap_or_default());
    let next = next.filter(|_| row.event.crashes == 0);
    tables.save(row)?;
    advance(tables, &queue, next.map(|next| Claiming { worker: &worker, next, suspects: false }), now)
}

/// Decides what a queue does next in which nothing runs: its event is claimed, or the queue is put where a claim finds
/// it.
pub(super) fn advance<T: EventTables + ?Sized>(
    tables: &mut T,
    queue: &str,
    how: Option<Claiming<'_>>,
    now: Timestamp,
) -> Result<Option<Claim>, T::Error> {
    let order = how.as_ref().map(|how| how.next.order).unwrap_or_default();
    let scheduled = |phase, at| Some(Scheduled { phase, at, running: None });
    let event = match order.turn(head(tables, queue, false)?, head(tables, queue, true)?, now) {
        Turn::Empty => return tables.schedule(queue, None).map(|()| None),
        Turn::Wait(until) => return tables.schedule(queue, scheduled(Phase::Ready, until)).map(|()| None),
        Turn::Run(event) => event,
    };
    let mut row = known(tables, event)?;
    let suspect = row.event.crashes > 0;
    let Some(how) = how.filter(|how| how.suspects || !suspect) else {
        // A queue that is already due keeps its place.
        let known = tables.scheduled(queue)?.filter(|known| known.running.is_none());
        let at = known.map_or(now, |known| known.at.min(now));
        let phase = if suspect { Phase::Suspect } else { Phase::Ready };
        return tables.schedule(queue, scheduled(phase, at)).map(|()| None);
    };
    let mut claim = row.claim(how.worker);
    run(tables, &row, now.saturating_add(how.next.lease))?;
    let was_passed = row.passable;
    tables.save(row)?;
    // While one event of a queue may be passed, also this one, its order can change.
    if how.next.following > 0 && !was_passed && tables.waiting(queue, true, 1)?.is_empty() {
        claim.following = following(tables, queue, how.next, now)?;
    }
    Ok(Some(claim))
}

/// Returns the events that would run next in a queue with a running event.
fn following<T: ReadTables + ?Sized>(
    tables: &T,
    queue: &str,
    next: NextClaim,
    now: Timestamp,
) -> Result<Vec<Claim>, T::Error> {
    let mut claims = Vec::new();
    for event in tables.waiting(queue, false, next.following)? {
        let row = known(tables, event)?;
        let runs = next.order.turn(Some(row.head()), None, now) == Turn::Run(event);
        if !runs || row.event.crashes > 0 {
            break;
        }
        claims.push(row.as_following());
    }
    Ok(claims)
}

/// Marks a queue as running this event until its lease ends.
pub(super) fn run<T: EventTables + ?Sized>(
    tables: &mut T,
    row: &EventRow,
    until: Timestamp,
) -> Result<(), T::Error> {
    let phase = if row.event.crashes > 0 { Phase::SuspectRuns } else { Phase::Running };
    tables.schedule(&row.queue(), Some(Scheduled { phase, at: until, running: Some(row.event.id) }))
}
