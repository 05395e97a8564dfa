//! The reference store.

#[cfg(feature = "archive")]
mod artifact_rows;
#[cfg(feature = "archive")]
mod artifacts;
mod drift;
mod gap_rows;
mod gaps;
mod rows;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::rows::{Rows, check_room};
use super::activity::ActivitySample;
use super::dead_lettered::DeadLettered;
use super::row::EventRow;
use super::tables::{Claimed, EventTables as _, ReadTables as _};
use super::{
    Accepted, Activity, Attempt, AttemptQuery, AuditAction, AuditEntry, AuditNote, Claim, ClaimRequest,
    Completion, Conflict, EventAdmin, EventQuery, EventStore, Failure, Lease, NextClaim, NextDue, Page,
    PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step, StoreError,
    StoreStats, StoredEvent, TxWork,
};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::id::SessionId;
use crate::timestamp::Timestamp;

/// Keeps events in memory: the simplest statement of what a store does, and a fast store for tests. Everything is gone
/// when the process ends, so it does not keep the promise that *acked means committed*.
///
/// It does not have transactions (`Tx = ()`).
#[derive(Debug)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
    capacity: usize,
    wakeups: watch::Sender<u64>,
}

impl MemoryStore {
    /// Creates a store for at most 100,000 events.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// Creates a store for at most `capacity` events, conflicts and quarantined bodies each; beyond that it is
    /// [`Overloaded`](super::StoreErrorKind::Overloaded).
    pub fn with_capacity(capacity: usize) -> Self {
        let rows = Mutex::new(Rows::with_capacity(capacity));
        Self { rows, capacity, wakeups: watch::Sender::new(0) }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock()
    }

    fn wake(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    type Tx = ();

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        let accepted = self.rows().accept(&delivery)?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.rows().quarantine(&unreadable)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let Claimed { claims, dead_letters } = self.rows().claim(request)?;
        dead_letters.iter().for_each(DeadLettered::report);
        Ok(claims)
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        self.rows().renew(leases, now, lease)
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<()>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError> {
        match work(&mut ()).await {
            Ok(handled) => {
                let next = self.rows().complete(lease, step, &handled, now)?;
                Ok((Ok(handled), next))
            }
            Err(error) => Ok((Err(error), None)),
        }
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.rows().complete(lease, step, handled, now)
    }

    async fn complete_all(
        &self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.rows().complete_all(lease, completions, next, now)
    }

    async fn fail(
        &self,
        lease: Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.rows().fail(lease, failure, now)
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        self.rows().release(leases, now)?;
        self.wake();
        Ok(())
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        self.rows().give_back(leases, now)?;
        self.wake();
        Ok(())
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue, StoreError> {
        self.rows().next_due(now)
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        check_room(self.rows().tables.events.len(), self.capacity)
    }
}

#[async_trait]
impl EventAdmin for MemoryStore {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let rows = self.rows();
        let events = rows.tables.events.values().map(|row| &row.event).filter(|event| query.matches(event));
        Ok(Page::cut(events, query.page, |event| event.id).map(StoredEvent::clone))
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.rows().tables.events.get(&event).map(|row| row.event.clone()))
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, StoreError> {
        self.rows().queue_of(event)
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        Ok(Page::cut(self.rows().tables.conflicts.values(), page, |row| row.id).map(Conflict::clone))
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        Ok(Page::cut(self.rows().tables.quarantine.values(), page, |row| row.id).map(Quarantined::clone))
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        let rows = self.rows();
        let attempts = rows.tables.attempts.values().filter(|attempt| query.matches(attempt));
        Ok(Page::cut(attempts, query.page, |attempt| attempt.id).map(Attempt::clone))
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.rows().replay(event, audit, now)?;
        self.wake();
        Ok(())
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, StoreError> {
        let mut rows = self.rows();
        let page = Page::cut(rows.tables.quarantine.values(), page, |row| row.id).map(Quarantined::clone);
        // Nothing is rolled back here, so there must be room for all of them.
        let parsed = page.items.iter().filter(|quarantined| quarantined.parse().is_ok()).count();
        if let Some(last) = parsed.checked_sub(1) {
            check_room(rows.tables.events.len() + last, self.capacity)?;
            check_room(rows.tables.conflicts.len() + last, self.capacity)?;
        }
        let replayed = rows.replay_quarantined(page, audit, now)?;
        drop(rows);
        self.wake();
        Ok(replayed)
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.rows().discard(event, audit, now)?;
        // It may have held back other events of its session.
        self.wake();
        Ok(())
    }

    /// There is no transaction to roll back: the effects of the work are not undone.
    async fn rehearse(&self, work: TxWork<()>) -> Result<HandlerResult, StoreError> {
        Ok(work(&mut ()).await)
    }

    async fn reveal(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.rows().record(event, AuditAction::Revealed, audit, now)
    }

    async fn record_rehearsal(
        &self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.rows().record(event, AuditAction::Rehearsed, audit, now)
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        Ok(Page::cut(self.rows().tables.audit.values(), page, |entry| entry.id).map(AuditEntry::clone))
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        let mut rows = self.rows();
        let limit = limit as usize;
        let mut purged = rows.purge(retention, now, limit)?;
        purged.more |= rows.watch.purge(retention, now, limit);
        Ok(purged)
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let of_session = |row: &&EventRow| row.event.session_id.as_ref() == Some(session);
        let events: Vec<EventRow> = rows.tables.events.values().filter(of_session).cloned().collect();
        #[cfg(feature = "archive")]
        let ids: Vec<RowId> = events.iter().map(|row| row.event.id).collect();
        let erased = rows.erase(events, audit, now)?;
        rows.watch.erase(session);
        #[cfg(feature = "archive")]
        ids.iter().for_each(|event| rows.artifacts.end(*event, now));
        Ok(erased)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.rows().stats()
    }

    async fn record_activity(&self, now: Timestamp) -> Result<(), StoreError> {
        self.rows().record_activity(now)
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>, StoreError> {
        Ok(ActivitySample::within(self.rows().tables.samples.values().copied(), since, until))
    }
}
