//! The reference store.

mod activity;
#[cfg(feature = "archive")]
mod artifact_rows;
#[cfg(feature = "archive")]
mod artifacts;
mod drift;
mod gap_rows;
mod gaps;
mod intake;
mod queues;
mod rows;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use self::intake::check_room;
use self::rows::{ConflictRow, Row, Rows, cut, purge_rows};
use super::dead_lettered::{DeadLettered, group_dead_letters};
use super::{
    Accepted, Activity, Attempt, AttemptOutcome, AttemptQuery, AuditAction, AuditEntry, AuditNote, Claim,
    ClaimRequest, Completion, Conflict, DeadLetterGroup, DeadLetterKey, EventAdmin, EventQuery, EventState,
    EventStore, Failure, Lease, NextClaim, NextDue, Page, PageRequest, Purged, QuarantineReplay, Quarantined,
    QueueState, Retention, RowId, StateStats, Step, StoreError, StoreStats, StoredEvent, TxWork,
};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::id::SessionId;
use crate::telemetry::TraceContext;
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
        Self { rows: Mutex::default(), capacity, wakeups: watch::Sender::new(0) }
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
        let accepted = self.rows().accept(delivery, self.capacity)?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.rows().quarantine(&unreadable, self.capacity)
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let (claims, dead_letters) = self.rows().claim_due(request);
        dead_letters.iter().for_each(DeadLettered::report);
        Ok(claims)
    }

    /// Does nothing: a claim in memory costs next to nothing.
    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let until = now.saturating_add(lease);
        let mut rows = self.rows();
        let mut lost = Vec::new();
        for lease in leases {
            match rows.held("renew", *lease).is_ok().then(|| rows.key_of(lease.event)).flatten() {
                Some(key) => rows.queues.extend(&key, until),
                None => lost.push(*lease),
            }
        }
        Ok(lost)
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
        let mut rows = self.rows();
        let row = rows.held("record the failure", lease)?;
        let mut attempt = row.attempt(AttemptOutcome::Failed, now);
        attempt.error = Some(failure.error.clone());
        row.event.failures += 1;
        row.event.note = Some(failure.error.clone());
        match failure.retry_in {
            Some(wait) => {
                row.event.due_at = now.saturating_add(wait);
                row.passable = failure.passable;
                rows.enqueue(lease.event, now);
            }
            None => {
                row.settle(EventState::Dead, failure.error.clone(), now);
                rows.activity.count(EventState::Dead);
            }
        }
        rows.activity.failed += 1;
        rows.record(attempt);
        Ok(rows.advance_queue(lease.event, failure.next, now))
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for lease in leases {
            if let Ok(row) = rows.held("release", *lease) {
                let attempt = row.attempt(AttemptOutcome::Interrupted, now);
                row.event.due_at = now;
                row.event.interruptions += 1;
                rows.record(attempt);
                rows.enqueue(lease.event, now);
                rows.advance_queue(lease.event, None, now);
            }
        }
        drop(rows);
        self.wake();
        Ok(())
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for lease in leases {
            if rows.held("give back", *lease).is_ok() {
                rows.enqueue(lease.event, now);
                rows.advance_queue(lease.event, None, now);
            }
        }
        drop(rows);
        self.wake();
        Ok(())
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue, StoreError> {
        let (held_back, next) = self.rows().queues.next_due(now);
        Ok(NextDue { after: next.map(|at| at.duration_since(now)), held_back })
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        check_room(self.rows().events.len(), self.capacity)
    }
}

#[async_trait]
impl EventAdmin for MemoryStore {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let limit = query.page.clamped_limit();
        let events = self.rows().matching(query).take(limit + 1).cloned().collect();
        Ok(Page::from_rows(events, limit, |event| event.id))
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>, StoreError> {
        Ok(self.rows().events.get(&event).map(|row| row.event.clone()))
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, StoreError> {
        Ok(self.rows().queue_of(event))
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let conflicts: Vec<_> = self.rows().conflicts.iter().map(|row| row.conflict.clone()).collect();
        Ok(cut(&conflicts, page, |conflict| conflict.id))
    }

    async fn conflicts_of(&self, event: RowId, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let rows = self.rows();
        let of_event = rows.events.get(&event).map(|row| &row.event);
        let conflicts = of_event.into_iter().flat_map(|event| {
            let same_key = |row: &&ConflictRow| row.is_of(&event.endpoint, event.idempotency_key.as_str());
            rows.conflicts.iter().filter(same_key).map(|row| row.conflict.clone())
        });
        let conflicts: Vec<_> = conflicts.collect();
        Ok(cut(&conflicts, page, |conflict| conflict.id))
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        Ok(cut(&self.rows().quarantine, page, |quarantined| quarantined.id))
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        let matches = |attempt: &&Attempt| {
            query.event.is_none_or(|event| attempt.event == event)
                && query.outcome.is_none_or(|outcome| attempt.outcome == outcome)
        };
        let attempts: Vec<_> = self.rows().attempts.iter().filter(matches).cloned().collect();
        Ok(cut(&attempts, query.page, |attempt| attempt.id))
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        let rows = self.rows();
        let dead = rows.events.values().rev().filter(|row| row.event.state == EventState::Dead);
        Ok(group_dead_letters(dead.take(DeadLetterGroup::MAX_EVENTS).map(|Row { event, .. }| {
            let key = DeadLetterKey { event_type: event.event_type.clone(), error: event.note.clone() };
            (key, event.settled_at.unwrap_or(event.received_at))
        })))
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let row = rows.events.get(&event).ok_or_else(|| StoreError::not_found(event))?;
        if !row.event.state.is_settled() {
            return Err(StoreError::not_settled(event, row.event.state));
        }
        if row.event.erased_at.is_some() {
            return Err(StoreError::erased(event));
        }
        rows.replay(event, now);
        rows.audit(event, AuditAction::Replayed, audit, now);
        drop(rows);
        self.wake();
        Ok(())
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        if query.is_empty() {
            return Err(StoreError::empty_query());
        }
        let mut rows = self.rows();
        let limit = query.page.clamped_limit();
        let matching = rows.matching(query).take(limit + 1).map(|event| event.id).collect();
        let mut page = Page::from_rows(matching, limit, |id| *id);
        page.items.retain(|id| {
            let row = rows.events.get(id);
            if row.is_none_or(|row| !row.event.state.is_settled() || row.event.erased_at.is_some()) {
                return false;
            }
            rows.replay(*id, now);
            rows.audit(*id, AuditAction::Replayed, audit, now);
            true
        });
        drop(rows);
        self.wake();
        Ok(page)
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, StoreError> {
        let replayed = self.rows().replay_quarantined(page, audit, now, self.capacity)?;
        self.wake();
        Ok(replayed)
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.rows().discard(event, audit, now)?;
        // It may have held back other events of its session.
        self.wake();
        Ok(())
    }

    async fn discard_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        if query.is_empty() {
            return Err(StoreError::empty_query());
        }
        let mut rows = self.rows();
        let limit = query.page.clamped_limit();
        let matching = rows.matching(query).take(limit + 1).map(|event| event.id).collect();
        let mut page = Page::from_rows(matching, limit, |id| *id);
        page.items.retain(|id| rows.discard(*id, audit, now).is_ok());
        drop(rows);
        self.wake();
        Ok(page)
    }

    /// There is no transaction to roll back: the effects of the work are not undone.
    async fn rehearse(&self, work: TxWork<()>) -> Result<HandlerResult, StoreError> {
        Ok(work(&mut ()).await)
    }

    async fn reveal(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.rows().audit_known(event, AuditAction::Revealed, audit, now)
    }

    async fn record_rehearsal(
        &self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.rows().audit_known(event, AuditAction::Rehearsed, audit, now)
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        Ok(cut(&self.rows().audit, page, |entry| entry.id))
    }

    async fn audit_of(&self, event: RowId, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let rows = self.rows();
        let entries: Vec<_> = rows.audit.iter().filter(|entry| entry.event == event).cloned().collect();
        Ok(cut(&entries, page, |entry| entry.id))
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        let mut rows = self.rows();
        let limit = limit as usize;
        let expired: Vec<RowId> =
            EventState::ALL.iter().flat_map(|state| rows.expired(*state, retention, now)).collect();
        for event in expired.iter().take(limit) {
            rows.remove(*event);
        }
        let events = expired.len().min(limit) as u64;
        let mut more = expired.len() > limit;
        let age = |row: &ConflictRow| (row.conflict.last_received_at, row.conflict.id);
        let (conflicts, left) = purge_rows(&mut rows.conflicts, retention.conflicts(), now, limit, age);
        more |= left;
        let age = |quarantined: &Quarantined| (quarantined.last_received_at, quarantined.id);
        let (quarantined, left) = purge_rows(&mut rows.quarantine, retention.quarantined(), now, limit, age);
        more |= rows.watch.purge(retention, now, limit);
        Ok(Purged { events, conflicts, quarantined, more: more || left })
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let rows = &mut *rows;
        let of_session = rows.events.values().filter(|row| row.event.session_id.as_ref() == Some(session));
        let ids: Vec<RowId> = of_session.clone().map(|row| row.event.id).collect();
        let running = of_session.filter(|row| row.event.state == EventState::Running).count();
        if running > 0 {
            return Err(StoreError::some_are_running(running as u64));
        }
        rows.watch.erase(session);
        let mut erased = 0;
        for id in &ids {
            let Some(row) = rows.events.get_mut(id) else { continue };
            let (endpoint, key) = (row.event.endpoint.clone(), row.event.idempotency_key.clone());
            for row in rows.conflicts.iter_mut().filter(|row| row.is_of(&endpoint, key.as_str())) {
                row.conflict.body = Vec::new().into();
            }
            if row.event.erased_at.is_some() {
                continue;
            }
            if row.event.state == EventState::Waiting {
                rows.dequeue(*id);
            }
            let Some(row) = rows.events.get_mut(id) else { continue };
            if row.event.state == EventState::Waiting {
                row.settle(EventState::Discarded, None, now);
            }
            row.event.note = None;
            row.event.body = Vec::new().into();
            row.event.trace = row.event.trace.as_ref().map(TraceContext::without_tracestate);
            row.event.erased_at = Some(now);
            #[cfg(feature = "archive")]
            rows.artifacts.end(*id, now);
            for attempt in rows.attempts.iter_mut().filter(|attempt| attempt.event == *id) {
                attempt.error = None;
            }
            rows.audit(*id, AuditAction::Erased, audit, now);
            erased += 1;
        }
        Ok(erased)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let rows = self.rows();
        let mut stats = StoreStats::default();
        stats.conflicts = rows.conflicts.len() as u64;
        stats.quarantined = rows.quarantine.len() as u64;
        for state in EventState::ALL {
            let events = || rows.events.values().map(|row| &row.event).filter(|event| event.state == state);
            let oldest = events().next().map(|event| event.received_at);
            stats.set(state, StateStats::new(events().count() as u64, oldest));
        }
        Ok(stats)
    }

    async fn record_activity(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let waiting = rows.events.values().filter(|row| !row.event.state.is_settled()).count();
        rows.activity.record(waiting, now);
        Ok(())
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>, StoreError> {
        Ok(self.rows().activity.rows(since, until))
    }
}
