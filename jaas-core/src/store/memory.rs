//! The reference store.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Accepted, Claim, ClaimRequest, Conflict, EventQuery, EventState, EventStore, Failure, Lease, Page,
    PageRequest, Quarantined, RowId, SessionOrder, Step, StoreError, StoreErrorKind, StoreStats, StoredEvent,
    TxWork,
};
use crate::Timestamp;
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};

/// Keeps events in memory: the plainest statement of what a store does, and a fast one for tests. Everything
/// is gone when the process ends, so it does not keep the promise that *acked means committed*.
///
/// It has no transactions (`Tx = ()`).
#[derive(Debug)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
    capacity: usize,
    wakeups: watch::Sender<u64>,
}

impl MemoryStore {
    /// A store for at most 100,000 events.
    pub fn new() -> Self {
        Self::with_capacity(100_000)
    }

    /// A store for at most `capacity` events, conflicts and quarantined bodies each; beyond that it is
    /// [`Overloaded`](StoreErrorKind::Overloaded).
    pub fn with_capacity(capacity: usize) -> Self {
        Self { rows: Mutex::default(), capacity, wakeups: watch::Sender::new(0) }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // Every change below is a single insert or a few plain assignments, so a panic elsewhere while the
        // lock was held cannot have left half of one.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_room(&self, used: usize) -> Result<(), StoreError> {
        if used < self.capacity {
            return Ok(());
        }
        Err(StoreError::new(
            StoreErrorKind::Overloaded,
            format!("the in-memory store is full ({} rows); use a database, or with_capacity", self.capacity),
        ))
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

#[derive(Debug, Default)]
struct Rows {
    events: BTreeMap<RowId, Row>,
    by_key: HashMap<(Arc<str>, String), RowId>,
    conflicts: Vec<Conflict>,
    quarantine: Vec<Quarantined>,
}

#[derive(Debug)]
struct Row {
    event: StoredEvent,
    fence: i64,
    leased_until: Timestamp,
}

impl Rows {
    fn held(&mut self, operation: &str, lease: Lease) -> Result<&mut Row, StoreError> {
        self.events
            .get_mut(&lease.event)
            .filter(|row| row.event.state == EventState::Running && row.fence == lease.fence)
            .ok_or_else(|| StoreError::stale(operation, lease))
    }

    fn complete(
        &mut self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = &mut self.held("complete", lease)?.event;
        if *handled == Handled::Done {
            event.completed.push(step.handler.to_string());
        }
        if step.last {
            event.settled_at = Some(now);
            match handled {
                Handled::Ignored(reason) if event.completed.is_empty() => {
                    event.state = EventState::Ignored;
                    event.note = Some(reason.to_string());
                }
                _ => event.state = EventState::Done,
            }
        }
        Ok(())
    }

    fn bury_and_free_crashed(&mut self, now: Timestamp, max_crashes: u32) {
        for row in self.events.values_mut() {
            if row.event.state == EventState::Running && row.leased_until <= now {
                row.event.crashes += 1;
                row.event.state = EventState::Waiting;
                if row.event.crashes >= max_crashes {
                    row.event.state = EventState::Dead;
                    row.event.settled_at = Some(now);
                    row.event.note = Some(super::crash_note(row.event.crashes));
                }
            }
        }
    }

    fn claimable(&self, request: &ClaimRequest) -> Vec<RowId> {
        let mut waiting: Vec<&Row> =
            self.events.values().filter(|row| row.event.state == EventState::Waiting).collect();
        waiting.sort_by_key(|row| (row.event.occurred_at, row.event.id));
        let mut busy: HashSet<&str> = self
            .events
            .values()
            .filter(|row| row.event.state == EventState::Running)
            .filter_map(|row| session(row))
            .collect();
        let running_suspect = |row: &Row| row.event.state == EventState::Running && row.event.crashes > 0;
        let mut suspect_taken = self.events.values().any(running_suspect);
        let mut claimable = Vec::new();
        for row in waiting {
            let event = &row.event;
            if session(row).is_some_and(|session| busy.contains(session)) {
                continue;
            }
            let due = event.due_at <= request.now
                && event.received_at.saturating_add(request.order.settle_window) <= request.now;
            if !due && event.failures >= request.order.hold_failures {
                continue;
            }
            busy.extend(session(row));
            let suspect = event.crashes > 0;
            if due && claimable.len() < request.limit && !(suspect && suspect_taken) {
                suspect_taken |= suspect;
                claimable.push(event.id);
            }
        }
        claimable
    }
}

fn session(row: &Row) -> Option<&str> {
    row.event.session_id.as_ref().map(crate::SessionId::as_str)
}

#[async_trait]
impl EventStore for MemoryStore {
    type Tx = ();

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        let mut rows = self.rows();
        let key = (delivery.endpoint.clone(), delivery.envelope.idempotency_key.as_str().to_owned());
        if let Some(first) = rows.by_key.get(&key) {
            if rows.events.get(first).is_some_and(|row| *row.event.body == *delivery.body()) {
                return Ok(Accepted::Duplicate);
            }
            let same = |c: &&mut Conflict| {
                (&c.endpoint, c.idempotency_key.as_str(), &*c.body) == (&key.0, &*key.1, delivery.body())
            };
            if let Some(conflict) = rows.conflicts.iter_mut().find(same) {
                conflict.seen += 1;
                conflict.last_received_at = delivery.received_at;
            } else {
                self.check_room(rows.conflicts.len())?;
                let id = RowId::new(rows.conflicts.len() as i64 + 1);
                let conflict = Conflict::new(
                    id,
                    delivery.endpoint.clone(),
                    delivery.envelope.idempotency_key.clone(),
                    delivery.received_at,
                    delivery.body().clone(),
                );
                rows.conflicts.push(conflict);
            }
            return Ok(Accepted::Conflict);
        }
        self.check_room(rows.events.len())?;
        let id = RowId::new(rows.events.len() as i64 + 1);
        let mut event = StoredEvent::new(
            id,
            delivery.endpoint.clone(),
            delivery.envelope.idempotency_key.clone(),
            delivery.received_at,
            delivery.body().clone(),
        );
        event.occurred_at = delivery.occurred_at();
        event.event_type = delivery.envelope.event_type;
        event.session_id = delivery.envelope.session_id;
        event.fqn = delivery.envelope.fqn;
        let leased_until = event.received_at;
        rows.events.insert(id, Row { event, fence: 0, leased_until });
        rows.by_key.insert(key, id);
        drop(rows);
        self.wake();
        Ok(Accepted::New)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let same = |q: &&mut Quarantined| q.endpoint == unreadable.endpoint && *q.body == *unreadable.body();
        if let Some(quarantined) = rows.quarantine.iter_mut().find(same) {
            quarantined.seen += 1;
            quarantined.last_received_at = unreadable.received_at;
            return Ok(());
        }
        self.check_room(rows.quarantine.len())?;
        let quarantined = Quarantined::new(
            RowId::new(rows.quarantine.len() as i64 + 1),
            unreadable.endpoint.clone(),
            unreadable.reason.to_string(),
            unreadable.received_at,
            unreadable.body().clone(),
        );
        rows.quarantine.push(quarantined);
        Ok(())
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let mut rows = self.rows();
        rows.bury_and_free_crashed(request.now, request.max_crashes);
        let mut claims = Vec::new();
        for id in rows.claimable(request) {
            let Some(row) = rows.events.get_mut(&id) else { continue };
            row.fence += 1;
            row.leased_until = request.now.saturating_add(request.lease);
            row.event.state = EventState::Running;
            let lease = Lease { event: id, fence: row.fence };
            let event = &row.event;
            let mut claim = Claim::new(lease, event.endpoint.clone(), event.received_at, event.body.clone());
            claim.failures = event.failures;
            claim.crashes = event.crashes;
            claim.interruptions = event.interruptions;
            claim.completed = event.completed.clone();
            claims.push(claim);
        }
        Ok(claims)
    }

    async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        let mut rows = self.rows();
        let mut lost = Vec::new();
        for lease in leases {
            match rows.held("renew", *lease) {
                Ok(row) => row.leased_until = until,
                Err(_) => lost.push(*lease),
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
    ) -> Result<HandlerResult, StoreError> {
        match work(&mut ()).await {
            Ok(handled) => {
                self.rows().complete(lease, step, &handled, now)?;
                Ok(Ok(handled))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.rows().complete(lease, step, handled, now)
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let event = &mut rows.held("fail", lease)?.event;
        event.failures += 1;
        event.note = Some(failure.error.clone());
        match failure.next {
            Some(next) => {
                event.state = EventState::Waiting;
                event.due_at = next;
            }
            None => {
                event.state = EventState::Dead;
                event.settled_at = Some(now);
            }
        }
        Ok(())
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for lease in leases {
            if let Ok(row) = rows.held("release", *lease) {
                row.event.state = EventState::Waiting;
                row.event.due_at = now;
                row.event.interruptions += 1;
            }
        }
        drop(rows);
        self.wake();
        Ok(())
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.rows();
        let times = rows.events.values().filter_map(|row| match row.event.state {
            EventState::Waiting => {
                Some(row.event.due_at.max(row.event.received_at.saturating_add(order.settle_window)))
            }
            EventState::Running => Some(row.leased_until),
            _ => None,
        });
        Ok(times.filter(|at| *at > now).min())
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let rows = self.rows();
        let matching = rows.events.values().map(|row| &row.event).filter(|event| {
            query.page.after.is_none_or(|after| event.id > after)
                && query.state.is_none_or(|state| event.state == state)
                && query.event_type.as_ref().is_none_or(|kind| event.event_type == *kind)
                && query.idempotency_key.as_ref().is_none_or(|key| event.idempotency_key == *key)
                && (query.session_id.is_none() || event.session_id == query.session_id)
        });
        let limit = query.page.clamped_limit();
        Ok(Page::from_rows(matching.take(limit + 1).cloned().collect(), limit, |event| event.id))
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        Ok(cut(&self.rows().conflicts, page, |conflict| conflict.id))
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        Ok(cut(&self.rows().quarantine, page, |quarantined| quarantined.id))
    }

    async fn replay(&self, event: RowId, now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let row = rows.events.get_mut(&event).ok_or_else(|| super::not_found(event))?;
        let stored = &mut row.event;
        if !stored.state.is_settled() {
            return Err(super::not_settled(event, stored.state));
        }
        if stored.state == EventState::Done {
            stored.completed.clear();
        }
        stored.state = EventState::Waiting;
        (stored.failures, stored.crashes, stored.interruptions) = (0, 0, 0);
        (stored.due_at, stored.settled_at, stored.note) = (now, None, None);
        drop(rows);
        self.wake();
        Ok(())
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        let rows = self.rows();
        let mut stats = StoreStats {
            conflicts: rows.conflicts.len() as u64,
            quarantined: rows.quarantine.len() as u64,
            ..StoreStats::default()
        };
        let in_state =
            |state| rows.events.values().map(|row| &row.event).filter(move |event| event.state == state);
        for state in EventState::ALL {
            stats.set(state, in_state(state).count() as u64);
        }
        stats.oldest_waiting = in_state(EventState::Waiting).map(|event| event.received_at).min();
        Ok(stats)
    }
}

fn cut<T: Clone>(rows: &[T], page: PageRequest, id: impl Fn(&T) -> RowId) -> Page<T> {
    let limit = page.clamped_limit();
    let matching = rows.iter().filter(|row| page.after.is_none_or(|after| id(row) > after));
    Page::from_rows(matching.take(limit + 1).cloned().collect(), limit, id)
}
