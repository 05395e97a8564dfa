//! Receiving and working over sorted tables.

mod queue;
mod read;
mod records;
mod row;
mod store;

use std::collections::HashSet;
use std::time::Duration;

use self::queue::{Claiming, advance, arrive, go_on, leave, run};
pub use self::read::{BodyKey, Phase, ReadTables, Scheduled};
use self::read::{FIRST, LAST, known};
use self::records::{accepted_before, audit, count, erase_beside, keep_body};
pub(super) use self::row::MemoryTables;
use self::row::Totals;
pub use self::row::{TABLES, TableRow};
pub use self::store::{Access, TableDatabase, TableStore};
use super::activity::ActivitySample;
use super::dead_lettered::DeadLettered;
use super::row::EventRow;
use super::{
    Accepted, Activity, Attempt, AuditAction, AuditNote, Claim, ClaimRequest, Completion, Conflict,
    EventState, Failure, Lease, NextClaim, Page, Purged, QuarantineReplay, Quarantined, Retention, RowId,
    Step, StoreError,
};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::Handled;
use crate::timestamp::Timestamp;

/// The tables of a store that can find the first rows of a range, such as a key-value database, within one transaction.
/// A store implements the required methods. The provided ones do what [`EventStore`](super::EventStore) and
/// [`EventAdmin`](super::EventAdmin) say of the methods of the same name.
/// [`MemoryStore`](super::MemoryStore) is made of it. With a [`TableDatabase`], [`TableStore`] is a store, such as the
/// example `custom-store`.
///
/// Events that wait are kept in queues: one for each session, and one for each event without a session. A queue is
/// scheduled exactly while one of its events waits or runs. Finding work therefore costs the same however many events wait
/// and however many are kept.
///
/// The store begins a transaction, calls one of the methods and commits, or rolls back when it returned an error.
pub trait EventTables: ReadTables {
    /// Returns a number for the next event, conflict, body in quarantine, attempt or entry of the audit. Numbers are not
    /// used again.
    fn next_id(&mut self) -> Result<RowId, Self::Error>;

    /// Writes a row, new or known, of any kind but an event.
    fn put<R: TableRow>(&mut self, row: &R) -> Result<(), Self::Error>;

    /// Writes an event, new or known. With it changes what finds it: by its [key](BodyKey), and, exactly while its
    /// [state](super::StoredEvent::state) is waiting, by its [queue](EventRow::queue) and [place](EventRow::place).
    fn save(&mut self, row: EventRow) -> Result<(), Self::Error>;

    /// Deletes the events, conflicts, bodies in quarantine and attempts that have these numbers, and what finds them.
    fn delete(&mut self, rows: &HashSet<RowId>) -> Result<(), Self::Error>;

    /// Deletes the [samples](ActivitySample) with smaller numbers.
    fn delete_samples(&mut self, before: RowId) -> Result<(), Self::Error>;

    /// Sets the key by which a conflict or a body in quarantine is found.
    fn set_row_of(&mut self, body: BodyKey<'_>, row: RowId) -> Result<(), Self::Error>;

    /// Sets when to look at a queue; with `None`, it is empty and is deleted.
    fn schedule(&mut self, queue: &str, to: Option<Scheduled>) -> Result<(), Self::Error>;

    // The provided methods.

    /// See [`accept`](super::EventStore::accept).
    fn accept(&mut self, delivery: &Delivery) -> Result<Accepted, Self::Error> {
        if let Some(first) = accepted_before(self, delivery)? {
            if first.body_hash == delivery.body_hash() {
                return Ok(Accepted::Duplicate);
            }
            let (key, hash) = (delivery.envelope.idempotency_key.as_str(), delivery.body_hash());
            let again = |known: Conflict| known.seen_again(delivery.received_at);
            keep_body(self, (&delivery.endpoint, key, &hash), again, |id| Conflict::of(id, delivery))?;
            return Ok(Accepted::Conflict);
        }
        let id = self.next_id()?;
        arrive(self, EventRow::accepted(id, delivery), delivery.received_at)?;
        count(self, |ever| ever.accepted = ever.accepted.saturating_add(1))?;
        Ok(Accepted::New)
    }

    /// See [`quarantine`](super::EventStore::quarantine).
    fn quarantine(&mut self, unreadable: &Unreadable) -> Result<(), Self::Error> {
        let (hash, at) = (unreadable.body_hash(), unreadable.received_at);
        let body = (&*unreadable.endpoint, "", &hash[..]);
        keep_body(self, body, |known: Quarantined| known.seen_again(at), |id| Quarantined::of(id, unreadable))
    }

    /// See [`claim`](super::EventStore::claim).
    fn claim(&mut self, request: &ClaimRequest) -> Result<Claimed, Self::Error> {
        let ClaimRequest { now, limit, lease, order, .. } = *request;
        let Claimed { mut claims, mut dead_letters } = Claimed::default();
        for phase in [Phase::Running, Phase::SuspectRuns] {
            for (_, queue) in self.due(phase, FIRST..=now, usize::MAX)? {
                dead_letters.extend(crash(self, &queue, request)?);
            }
        }
        let next = NextClaim { lease, order, following: 0 };
        let how = |suspects| Some(Claiming { worker: &request.worker, next, suspects });
        let a_suspect_runs = !self.due(Phase::SuspectRuns, FIRST..=LAST, 1)?.is_empty();
        for (_, queue) in self.due(Phase::Suspect, FIRST..=now, limit.min(usize::from(!a_suspect_runs)))? {
            claims.extend(advance(self, &queue, how(true), now)?);
        }
        // Each queue that is looked at is then claimed, postponed or deleted, so the next iteration sees the following
        // ones.
        while claims.len() < limit {
            let due = self.due(Phase::Ready, FIRST..=now, limit.saturating_sub(claims.len()))?;
            if due.is_empty() {
                break;
            }
            for (_, queue) in due {
                claims.extend(advance(self, &queue, how(false), now)?);
            }
        }
        Ok(Claimed { claims, dead_letters })
    }

    /// See [`renew`](super::EventStore::renew).
    fn renew(
        &mut self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, Self::Error> {
        let mut lost = Vec::new();
        for of in leases {
            match held(self, *of)? {
                Some(row) => run(self, &row, now.saturating_add(lease))?,
                None => lost.push(*of),
            }
        }
        Ok(lost)
    }

    /// See [`complete`](super::EventStore::complete).
    fn complete(
        &mut self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, Self::Error> {
        let mut row = held(self, lease)?.ok_or_else(|| StoreError::stale("complete", lease))?;
        row.handled(&step.handler, handled);
        if !step.last {
            return self.save(row).map(|()| None);
        }
        row.complete(handled, now);
        count(self, |ever| ever.count(row.event.state))?;
        go_on(self, row, step.next, now)
    }

    /// See [`complete_all`](super::EventStore::complete_all).
    fn complete_all(
        &mut self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, Self::Error> {
        let held = held(self, lease)?.ok_or_else(|| StoreError::stale("complete", lease))?;
        let (queue, mut held_is_done) = (held.queue(), None);
        for Completion { lease: of, handled } in completions {
            let Some((_, last)) = handled.last() else { continue };
            let mut row = held.clone();
            if *of != lease {
                // It still waits behind the claim, as it was listed.
                let behind =
                    self.find::<EventRow>(of.event)?.filter(|row| row.event.state == EventState::Waiting);
                let listed = behind.filter(|row| row.as_following().lease == *of && row.queue() == queue);
                let Some(listed) = listed else { continue };
                row = listed;
                row.claim(held.event.worker.as_deref().unwrap_or_default());
            }
            handled.iter().for_each(|(handler, handled)| row.handled(handler, handled));
            row.complete(last, now);
            count(self, |ever| ever.count(row.event.state))?;
            if *of == lease {
                held_is_done = Some(row);
            } else {
                self.save(row)?;
            }
        }
        held_is_done.map_or(Ok(None), |row| go_on(self, row, next, now))
    }

    /// See [`fail`](super::EventStore::fail).
    fn fail(
        &mut self,
        lease: Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Claim>, Self::Error> {
        let mut row = held(self, lease)?.ok_or_else(|| StoreError::stale("record the failure", lease))?;
        let attempt = row.fail(self.next_id()?, failure, now);
        self.put(&attempt)?;
        count(self, |ever| {
            ever.failed = ever.failed.saturating_add(1);
            ever.count(row.event.state);
        })?;
        go_on(self, row, failure.next, now)
    }

    /// See [`release`](super::EventStore::release).
    fn release(&mut self, leases: &[Lease], now: Timestamp) -> Result<(), Self::Error> {
        for lease in leases {
            let Some(mut row) = held(self, *lease)? else { continue };
            let attempt = row.interrupt(self.next_id()?, now);
            self.put(&attempt)?;
            go_on(self, row, None, now)?;
        }
        Ok(())
    }

    /// See [`give_back`](super::EventStore::give_back).
    fn give_back(&mut self, leases: &[Lease], now: Timestamp) -> Result<(), Self::Error> {
        for lease in leases {
            let Some(mut row) = held(self, *lease)? else { continue };
            row.event.state = EventState::Waiting;
            go_on(self, row, None, now)?;
        }
        Ok(())
    }

    /// See [`replay`](super::EventAdmin::replay).
    fn replay(&mut self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<(), Self::Error> {
        let mut row = known(self, event)?;
        row.replay(now)?;
        audit(self, &row, AuditAction::Replayed, note, now)?;
        arrive(self, row, now)
    }

    /// See [`discard`](super::EventAdmin::discard).
    fn discard(&mut self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<(), Self::Error> {
        let mut row = known(self, event)?;
        let was = row.event.state;
        row.discard(&note.reason, now)?;
        audit(self, &row, AuditAction::Discarded, note, now)?;
        leave(self, row, was, now)
    }

    /// Records what an operator did to an event that exists: see [`reveal`](super::EventAdmin::reveal) and
    /// [`record_rehearsal`](super::EventAdmin::record_rehearsal).
    fn record(
        &mut self,
        event: RowId,
        action: AuditAction,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<(), Self::Error> {
        let row = known(self, event)?;
        audit(self, &row, action, note, now)
    }

    /// Replays these bodies of the quarantine: see [`replay_quarantined`](super::EventAdmin::replay_quarantined).
    fn replay_quarantined(
        &mut self,
        page: Page<Quarantined>,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, Self::Error> {
        let mut replayed = QuarantineReplay { next: page.next, ..QuarantineReplay::default() };
        let mut parsed = HashSet::new();
        for quarantined in page.items {
            let Ok(delivery) = quarantined.parse() else {
                replayed.unreadable = replayed.unreadable.saturating_add(1);
                continue;
            };
            replayed.count(self.accept(&delivery)?);
            parsed.insert(quarantined.id);
            if let Some(row) = accepted_before(self, &delivery)? {
                audit(self, &row, AuditAction::Replayed, note, now)?;
            }
        }
        self.delete(&parsed)?;
        Ok(replayed)
    }

    /// Erases all events of a session, which are these rows: see [`erase_session`](super::EventAdmin::erase_session).
    fn erase(
        &mut self,
        session: Vec<EventRow>,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, Self::Error> {
        let running = session.iter().filter(|row| row.event.state == EventState::Running).count();
        if running > 0 {
            return Err(StoreError::some_are_running(running as u64).into());
        }
        erase_beside(self, &session)?;
        let mut erased = 0_u64;
        for mut row in session {
            let was = row.event.state;
            if row.erase(now) {
                audit(self, &row, AuditAction::Erased, note, now)?;
                leave(self, row, was, now)?;
                erased = erased.saturating_add(1);
            }
        }
        Ok(erased)
    }

    /// See [`purge`](super::EventAdmin::purge).
    fn purge(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> Result<Purged, Self::Error> {
        let (events, conflicts) = (self.all::<EventRow>()?, self.all::<Conflict>()?);
        let (bodies, attempts) = (self.all::<Quarantined>()?, self.all::<Attempt>()?);
        let events = events.iter().map(|row| &row.event);
        let expired = retention.expired(events, &conflicts, &bodies, &attempts, now, limit);
        self.delete(&expired.rows)?;
        Ok(expired.purged)
    }

    /// See [`record_activity`](super::EventAdmin::record_activity).
    fn record_activity(&mut self, now: Timestamp) -> Result<(), Self::Error> {
        let Totals(mut sample) = self.find(Totals::ROW)?.unwrap_or_default();
        sample.at = now.as_millis();
        self.delete_samples(RowId::new(ActivitySample::minute(now.saturating_sub(Activity::KEPT))))?;
        if self.find::<ActivitySample>(sample.id())?.is_some() {
            return Ok(());
        }
        let stats = self.stats()?;
        let waiting = stats.count(EventState::Waiting).saturating_add(stats.count(EventState::Running));
        sample.waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
        self.put(&sample)
    }
}

/// What [`EventTables::claim`] claimed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Claimed {
    /// The claims.
    pub claims: Vec<Claim>,
    /// The events that have crashed too often. [Report](DeadLettered::report) them once the transaction is committed.
    pub dead_letters: Vec<DeadLettered>,
}

/// Counts a crash of the event that runs in a queue, whose lease has expired. Returns the event if it becomes a dead letter.
fn crash<T: EventTables + ?Sized>(
    tables: &mut T,
    queue: &str,
    request: &ClaimRequest,
) -> Result<Option<DeadLettered>, T::Error> {
    let running = tables.scheduled(queue)?.and_then(|queue| queue.running);
    let Some(mut row) = running.map(|event| tables.find::<EventRow>(event)).transpose()?.flatten() else {
        return Ok(None);
    };
    let (attempt, dead_letter) = row.crash(tables.next_id()?, request.max_crashes, request.now);
    tables.put(&attempt)?;
    if dead_letter.is_some() {
        count(tables, |ever| ever.count(EventState::Dead))?;
    }
    go_on(tables, row, None, request.now)?;
    Ok(dead_letter)
}

/// Returns the event of a lease that is held.
fn held<T: ReadTables + ?Sized>(tables: &T, lease: Lease) -> Result<Option<EventRow>, T::Error> {
    Ok(tables.find::<EventRow>(lease.event)?.filter(|row| row.is_held_by(lease)))
}
