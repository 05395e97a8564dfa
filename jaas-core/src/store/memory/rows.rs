//! What the memory store holds, and the operations on it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::activity::Samples;
use super::queues::{Phase, Queue, QueueKey, Queues};
use crate::drift::DriftRecord;
use crate::handler::Handled;
use crate::settings::SettingsRecord;
use crate::store::dead_lettered::{DeadLettered, crash_note};
use crate::store::order::{Head, Turn};
use crate::store::{
    Attempt, AttemptOutcome, AuditAction, AuditEntry, AuditNote, Claim, ClaimRequest, Completion, Conflict,
    EventQuery, EventState, Keep, Lease, NextClaim, Page, PageRequest, Quarantined, QueueState, Retention,
    RowId, RunningEvent, SessionOrder, Step, StoreError, StoredEvent,
};
use crate::timestamp::Timestamp;

pub(super) type Key = (Arc<str>, String);

#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) last_id: i64,
    pub(super) events: BTreeMap<RowId, Row>,
    pub(super) queues: Queues,
    pub(super) by_key: HashMap<Key, RowId>,
    pub(super) conflicts: Vec<ConflictRow>,
    pub(super) quarantine: Vec<Quarantined>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) audit: Vec<AuditEntry>,
    pub(super) settings: Vec<SettingsRecord>,
    pub(super) activity: Samples,
    pub(super) watch: super::gap_rows::WatchedSessions,
    pub(super) drift: Vec<DriftRecord>,
    #[cfg(feature = "archive")]
    pub(super) artifacts: super::artifact_rows::Artifacts,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) event: StoredEvent,
    pub(super) body_hash: [u8; 32],
    pub(super) fence: i64,
    /// Whether later events of its session may run while it waits.
    pub(super) passable: bool,
}

/// A conflict, identified by a hash that stays when the body is erased.
#[derive(Debug)]
pub(super) struct ConflictRow {
    pub(super) conflict: Conflict,
    pub(super) body_hash: [u8; 32],
}

impl ConflictRow {
    pub(super) fn is_of(&self, endpoint: &str, key: &str) -> bool {
        (&*self.conflict.endpoint, self.conflict.idempotency_key.as_str()) == (endpoint, key)
    }
}

impl Row {
    pub(super) fn attempt(&self, outcome: AttemptOutcome, now: Timestamp) -> Attempt {
        // The row is assigned when the attempt is recorded.
        let mut attempt = Attempt::new(RowId::new(0), self.event.id, self.fence, outcome, now);
        attempt.worker = self.event.worker.clone();
        attempt
    }

    fn head(&self) -> Head {
        let StoredEvent { id, occurred_at, received_at, due_at, .. } = self.event;
        Head { event: id, occurred_at, received_at, due_at }
    }

    fn claimed(&self, lease: Lease) -> Claim {
        let event = &self.event;
        let mut claim = Claim::new(lease, event.endpoint.clone(), event.received_at, event.body.clone());
        claim.failures = event.failures;
        claim.crashes = event.crashes;
        claim.interruptions = event.interruptions;
        claim.completed = event.completed.clone();
        claim.trace = event.trace.clone();
        claim
    }

    /// Records that a handler succeeded.
    fn handled(&mut self, handler: &str, handled: &Handled) {
        let completed = &mut self.event.completed;
        // Once, even when the response was lost and the caller repeats it.
        if *handled == Handled::Done && !completed.iter().any(|name| **name == *handler) {
            completed.push(handler.to_owned());
        }
    }

    /// Completes the event; this is the result of the last handler. Returns its state.
    fn complete(&mut self, last: &Handled, now: Timestamp) -> EventState {
        match last {
            Handled::Ignored(reason) if self.event.completed.is_empty() => {
                self.settle(EventState::Ignored, reason.to_string(), now);
            }
            _ => {
                self.event.state = EventState::Done;
                self.event.settled_at = Some(now);
            }
        }
        self.event.state
    }

    /// Its place among the waiting events of its session.
    fn place(&self) -> (Timestamp, RowId) {
        (if self.passable { self.event.due_at } else { self.event.occurred_at }, self.event.id)
    }

    pub(super) fn settle(&mut self, state: EventState, note: impl Into<Option<String>>, now: Timestamp) {
        self.event.state = state;
        self.event.settled_at = Some(now);
        self.event.note = note.into();
    }
}

pub(super) fn key(endpoint: &Arc<str>, key: &str) -> Key {
    (endpoint.clone(), key.to_owned())
}

impl Rows {
    /// Returns a number for the next row of any kind.
    pub(super) fn next_id(&mut self) -> RowId {
        self.last_id += 1;
        RowId::new(self.last_id)
    }

    pub(super) fn record(&mut self, mut attempt: Attempt) {
        attempt.id = self.next_id();
        self.attempts.push(attempt);
    }

    pub(super) fn audit(&mut self, event: RowId, action: AuditAction, note: &AuditNote, now: Timestamp) {
        let id = self.next_id();
        if let Some(Row { event: stored, .. }) = self.events.get(&event) {
            let key = (stored.endpoint.clone(), stored.idempotency_key.clone());
            self.audit.push(AuditEntry::new(id, event, key, action, note.clone(), now));
        }
    }

    /// Adds an entry to the audit of an event that exists.
    pub(super) fn audit_known(
        &mut self,
        event: RowId,
        action: AuditAction,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.events.contains_key(&event) {
            return Err(StoreError::not_found(event));
        }
        self.audit(event, action, note, now);
        Ok(())
    }

    /// Returns the event of a lease that is held.
    pub(super) fn held(&mut self, operation: &str, lease: Lease) -> Result<&mut Row, StoreError> {
        self.events
            .get_mut(&lease.event)
            .filter(|row| row.event.state == EventState::Running && row.fence == lease.fence)
            .ok_or_else(|| StoreError::stale(operation, lease))
    }

    pub(super) fn key_of(&self, event: RowId) -> Option<QueueKey> {
        self.events.get(&event).map(|row| QueueKey::of(&row.event))
    }

    /// Puts an event into its queue, which is looked at again when the event is due.
    pub(super) fn enqueue(&mut self, event: RowId, due_at: Timestamp) {
        let Some(row) = self.events.get_mut(&event) else { return };
        row.event.state = EventState::Waiting;
        let place = row.place();
        let queue = self.queues.waiting(QueueKey::of(&row.event), due_at, (!row.passable).then_some(place));
        if row.passable {
            queue.passed.insert(place)
        } else {
            queue.first.insert(place)
        };
    }

    /// Takes a waiting event out of its queue, and removes the queue when it was the last.
    pub(super) fn dequeue(&mut self, event: RowId) {
        let Some(key) = self.key_of(event) else { return };
        self.take_out(&key, event);
        let is_empty =
            |queue: &Queue| queue.running.is_none() && queue.first.is_empty() && queue.passed.is_empty();
        if self.queues.get(&key).is_some_and(is_empty) {
            self.queues.remove(&key);
        }
    }

    /// Takes an event out of its queue and keeps the queue.
    fn take_out(&mut self, key: &QueueKey, event: RowId) {
        let Some((row, queue)) = self.events.get(&event).zip(self.queues.get_mut(key)) else { return };
        let waiting = if row.passable { &mut queue.passed } else { &mut queue.first };
        waiting.remove(&row.place());
    }

    /// Decides what a session does next.
    fn turn(&self, key: &QueueKey, order: SessionOrder, now: Timestamp) -> Turn {
        let Some(queue) = self.queues.get(key) else { return Turn::Empty };
        let head = |place: Option<&(Timestamp, RowId)>| {
            place.and_then(|(_, event)| self.events.get(event)).map(Row::head)
        };
        order.turn(head(queue.first.first()), head(queue.passed.first()), now)
    }

    /// The queue in which an event waits or runs.
    pub(super) fn queue_of(&self, event: RowId) -> Option<QueueState> {
        let row = self.events.get(&event)?;
        let queue = self.queues.get(&QueueKey::of(&row.event)).filter(|_| !row.event.state.is_settled())?;
        let head = |place: Option<&(Timestamp, RowId)>| {
            place.and_then(|(_, event)| self.events.get(event)).map(Row::head)
        };
        let mut state = QueueState::new(queue.due_at);
        state.running = queue.running.map(|lease| {
            let worker = self.events.get(&lease.event).and_then(|row| row.event.worker.clone());
            RunningEvent::new(lease.event, worker, queue.due_at)
        });
        (state.first, state.passed) = (head(queue.first.first()), head(queue.passed.first()));
        state.suspect = queue.phase == Phase::Suspect;
        state.passable = row.passable;
        Some(state)
    }

    fn has_crashed(&self, event: RowId) -> bool {
        self.events.get(&event).is_some_and(|row| row.event.crashes > 0)
    }

    /// Claims the event that a session runs next, or postpones the session. An event that has crashed is claimed only
    /// when such events have their turn.
    fn claim_next(
        &mut self,
        key: &QueueKey,
        worker: &str,
        next: NextClaim,
        suspects_turn: bool,
        now: Timestamp,
    ) -> Option<Claim> {
        match self.turn(key, next.order, now) {
            Turn::Empty => self.queues.remove(key),
            Turn::Wait(until) => self.queues.wait(key, until, false),
            Turn::Run(event) if self.has_crashed(event) && !suspects_turn => self.queues.wait(key, now, true),
            Turn::Run(event) => {
                let was_passed = self.events.get(&event).is_some_and(|row| row.passable);
                let mut claim = self.claim(key, event, worker, next.lease, now)?;
                // While one event of a queue may be passed, also this one, its order can change.
                if !was_passed {
                    claim.following = self.following(key, next, now);
                }
                return Some(claim);
            }
        }
        None
    }

    fn claim(
        &mut self,
        key: &QueueKey,
        event: RowId,
        worker: &str,
        lease_for: Duration,
        now: Timestamp,
    ) -> Option<Claim> {
        self.take_out(key, event);
        let row = self.events.get_mut(&event)?;
        row.fence += 1;
        row.event.state = EventState::Running;
        row.event.worker = Some(worker.to_owned());
        let lease = Lease { event, fence: row.fence };
        if row.event.crashes > 0 {
            self.queues.suspect_runs = Some(key.clone());
        }
        self.queues.run(key, lease, now.saturating_add(lease_for));
        Some(row.claimed(lease))
    }

    /// Returns the events that would run next in a queue with a running event.
    fn following(&self, key: &QueueKey, next: NextClaim, now: Timestamp) -> Vec<Claim> {
        let Some(queue) = self.queues.get(key).filter(|queue| queue.passed.is_empty()) else {
            return Vec::new();
        };
        let rows = queue.first.iter().filter_map(|(_, event)| self.events.get(event));
        let ready = rows.take_while(|row| {
            let run = next.order.turn(Some(row.head()), None, now) == Turn::Run(row.event.id);
            run && row.event.crashes == 0
        });
        let lease = |row: &Row| Lease { event: row.event.id, fence: row.fence + 1 };
        ready.take(next.following).map(|row| row.claimed(lease(row))).collect()
    }

    /// Claims the next event of the session of one that no longer runs, lets it wait, or ends the queue.
    pub(super) fn advance_queue(
        &mut self,
        event: RowId,
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Option<Claim> {
        let key = self.key_of(event)?;
        let row = self.events.get(&event)?;
        let (crashed, worker) = (row.event.crashes > 0, row.event.worker.clone().unwrap_or_default());
        let may_go_on = next.filter(|_| !crashed);
        self.queues.wait(&key, now, false);
        if let Some(next) = may_go_on {
            return self.claim_next(&key, &worker, next, false, now);
        }
        match self.turn(&key, SessionOrder::default(), now) {
            Turn::Empty => self.queues.remove(&key),
            Turn::Wait(until) => self.queues.wait(&key, until, false),
            Turn::Run(next) => self.queues.wait(&key, now, self.has_crashed(next)),
        }
        None
    }

    pub(super) fn claim_due(&mut self, request: &ClaimRequest) -> (Vec<Claim>, Vec<DeadLettered>) {
        let ClaimRequest { now, limit, .. } = *request;
        let next = NextClaim { lease: request.lease, order: request.order, following: 0 };
        let (mut claims, mut dead_letters) = (Vec::new(), Vec::new());
        for key in self.queues.due(Phase::Running, now, usize::MAX) {
            let lease = self.queues.get(&key).and_then(|queue| queue.running);
            dead_letters.extend(lease.and_then(|lease| self.crash(lease, request)));
        }
        if limit > 0 && self.queues.suspect_runs.is_none() {
            let first = self.queues.due(Phase::Suspect, now, 1);
            claims
                .extend(first.iter().find_map(|key| self.claim_next(key, &request.worker, next, true, now)));
        }
        // Each queue that is looked at is then claimed, postponed or gone, so the next iteration sees the following
        // ones.
        while claims.len() < limit {
            let due = self.queues.due(Phase::Waiting, now, limit - claims.len());
            if due.is_empty() {
                break;
            }
            for key in due {
                claims.extend(self.claim_next(&key, &request.worker, next, false, now));
            }
        }
        (claims, dead_letters)
    }

    /// Counts a crash for an event whose lease has expired; returns the event when it becomes a dead letter.
    fn crash(&mut self, lease: Lease, request: &ClaimRequest) -> Option<DeadLettered> {
        let now = request.now;
        let row = self.events.get_mut(&lease.event)?;
        let attempt = row.attempt(AttemptOutcome::Crashed, now);
        row.event.crashes += 1;
        let mut dead_letters = None;
        if row.event.crashes >= request.max_crashes {
            row.settle(EventState::Dead, crash_note(row.event.crashes), now);
            self.activity.count(EventState::Dead);
            let event = &row.event;
            let attempts = event.failures + event.crashes + event.interruptions;
            let key = event.idempotency_key.clone();
            dead_letters =
                Some(DeadLettered::new(event.id, key, &*event.event_type, event.crashes, attempts));
        } else {
            self.enqueue(lease.event, now);
        }
        self.record(attempt);
        self.advance_queue(lease.event, None, now);
        dead_letters
    }

    /// Makes a settled event wait again.
    pub(super) fn replay(&mut self, event: RowId, now: Timestamp) {
        let Some(row) = self.events.get_mut(&event) else { return };
        row.passable = false;
        let event = &mut row.event;
        if event.state == EventState::Done {
            event.completed.clear();
        }
        (event.failures, event.crashes, event.interruptions) = (0, 0, 0);
        (event.due_at, event.settled_at, event.note) = (now, None, None);
        let id = event.id;
        self.enqueue(id, now);
    }

    /// Discards an event that waits, is ignored or is dead.
    pub(super) fn discard(
        &mut self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let row = self.events.get(&event).ok_or_else(|| StoreError::not_found(event))?;
        let was = row.event.state;
        match was {
            EventState::Waiting => self.dequeue(event),
            EventState::Ignored | EventState::Dead => {}
            state => return Err(StoreError::not_discardable(event, state)),
        }
        if let Some(row) = self.events.get_mut(&event) {
            row.settle(EventState::Discarded, audit.reason.to_string(), now);
        }
        let queue = self.key_of(event).and_then(|key| self.queues.get(&key));
        if was == EventState::Waiting && queue.is_some_and(|queue| queue.running.is_none()) {
            // It may have held back other events.
            self.advance_queue(event, None, now);
        }
        self.audit(event, AuditAction::Discarded, audit, now);
        Ok(())
    }

    pub(super) fn complete(
        &mut self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let row = self.held("complete", lease)?;
        row.handled(&step.handler, handled);
        if !step.last {
            return Ok(None);
        }
        let state = row.complete(handled, now);
        self.activity.count(state);
        Ok(self.advance_queue(lease.event, step.next, now))
    }

    pub(super) fn complete_all(
        &mut self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let worker = self.held("complete", lease)?.event.worker.clone();
        let session = self.key_of(lease.event);
        let mut held_is_done = false;
        for Completion { lease: of, handled } in completions {
            if *of == lease {
                held_is_done = true;
            } else if !self.claim_behind(*of, &session, worker.as_deref()) {
                continue;
            }
            let Some(row) = self.events.get_mut(&of.event) else { continue };
            handled.iter().for_each(|(handler, handled)| row.handled(handler, handled));
            if let Some((_, last)) = handled.last() {
                let state = row.complete(last, now);
                self.activity.count(state);
            }
        }
        Ok(if held_is_done { self.advance_queue(lease.event, next, now) } else { None })
    }

    /// Takes an event that waits behind a claim of this session out of its queue, under the lease with which it was
    /// listed.
    fn claim_behind(&mut self, lease: Lease, session: &Option<QueueKey>, worker: Option<&str>) -> bool {
        let key = self.key_of(lease.event);
        let Some(row) = self.events.get_mut(&lease.event) else { return false };
        let Some(key) = key.filter(|key| Some(key) == session.as_ref()) else { return false };
        if row.event.state != EventState::Waiting || row.fence + 1 != lease.fence {
            return false;
        }
        row.fence = lease.fence;
        row.event.worker = worker.map(str::to_owned);
        self.take_out(&key, lease.event);
        true
    }

    /// Returns the events that match, in the order of the page.
    pub(super) fn matching<'a>(
        &'a self,
        query: &'a EventQuery,
    ) -> Box<dyn Iterator<Item = &'a StoredEvent> + 'a> {
        let matching = self.events.values().map(|row| &row.event).filter(|event| {
            follows(query.page, event.id)
                && query.state.is_none_or(|state| event.state == state)
                && query.event_type.as_ref().is_none_or(|kind| event.event_type == *kind)
                && query.idempotency_key.as_ref().is_none_or(|key| event.idempotency_key == *key)
                && query.fqn.as_ref().is_none_or(|fqn| event.fqn == *fqn)
                && query.endpoint.as_ref().is_none_or(|endpoint| event.endpoint == *endpoint)
                && query.from.is_none_or(|from| event.occurred_at >= from)
                && query.until.is_none_or(|until| event.occurred_at < until)
                && (query.session_id.is_none() || event.session_id == query.session_id)
                && query.dead_letter.as_ref().is_none_or(|group| {
                    event.state == EventState::Dead
                        && (&event.event_type, &event.note) == (&group.event_type, &group.error)
                })
        });
        if query.page.newest_first { Box::new(matching.rev()) } else { Box::new(matching) }
    }

    /// Returns the events of this state that need not be kept, oldest first.
    pub(super) fn expired(&self, state: EventState, retention: &Retention, now: Timestamp) -> Vec<RowId> {
        let keep = retention.events(state);
        let mut rows: Vec<_> = self.events.values().filter(|row| row.event.state == state).collect();
        // Its link is in its body.
        #[cfg(feature = "archive")]
        rows.retain(|row| !self.artifacts.wait_for(row.event.id));
        rows.sort_by_key(|row| (row.event.settled_at, row.event.id));
        let surplus = surplus(rows.len(), keep);
        let old = |row: &Row| older(row.event.settled_at, keep, now);
        let forgettable = |row: &Row| row.event.received_at < retention.keys_before(now);
        let expired = rows.iter().enumerate().filter(|(index, row)| *index < surplus || old(row));
        expired.filter(|(_, row)| forgettable(row)).map(|(_, row)| row.event.id).collect()
    }

    pub(super) fn remove(&mut self, event: RowId) {
        let Some(row) = self.events.remove(&event) else { return };
        let key = key(&row.event.endpoint, row.event.idempotency_key.as_str());
        self.conflicts.retain(|conflict| !conflict.is_of(&key.0, &key.1));
        self.attempts.retain(|attempt| attempt.event != event);
        #[cfg(feature = "archive")]
        self.artifacts.remove(event);
        self.by_key.remove(&key);
    }
}

/// How many rows exceed the number to keep.
pub(super) fn surplus(rows: usize, keep: Keep) -> usize {
    keep.count.map_or(0, |count| rows.saturating_sub(usize::try_from(count).unwrap_or(usize::MAX)))
}

pub(super) fn older(at: Option<Timestamp>, keep: Keep, now: Timestamp) -> bool {
    matches!((at, keep.age), (Some(at), Some(age)) if at < now.saturating_sub(age))
}

/// Deletes the rows that need not be kept, oldest first, at most `limit`. Returns how many, and whether there are more.
pub(super) fn purge_rows<T>(
    rows: &mut Vec<T>,
    keep: Keep,
    now: Timestamp,
    limit: usize,
    age: impl Fn(&T) -> (Timestamp, RowId),
) -> (u64, bool) {
    let mut ages: Vec<_> = rows.iter().map(&age).collect();
    ages.sort();
    let surplus = surplus(ages.len(), keep);
    let expired = ages.iter().enumerate().filter(|(i, (at, _))| *i < surplus || older(Some(*at), keep, now));
    let expired: Vec<RowId> = expired.map(|(_, (_, id))| *id).collect();
    let deleted: HashSet<RowId> = expired.iter().take(limit).copied().collect();
    rows.retain(|row| !deleted.contains(&age(row).1));
    (deleted.len() as u64, expired.len() > limit)
}

/// Whether a row comes after the start of the page.
fn follows(page: PageRequest, id: RowId) -> bool {
    page.after.is_none_or(|after| if page.newest_first { id < after } else { id > after })
}

/// Cuts a page from rows that are kept in their order.
pub(super) fn cut<T: Clone>(rows: &[T], page: PageRequest, id: impl Fn(&T) -> RowId) -> Page<T> {
    let limit = page.clamped_limit();
    let matching = rows.iter().filter(|row| follows(page, id(row)));
    let rows = if page.newest_first {
        matching.rev().take(limit + 1).cloned().collect()
    } else {
        matching.take(limit + 1).cloned().collect()
    };
    Page::from_rows(rows, limit, id)
}
