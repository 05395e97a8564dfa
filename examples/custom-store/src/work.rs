//! What is accepted, what is run next, and how it ended. Each decision looks at the rows and changes some of them.

use std::collections::HashSet;
use std::time::Duration;

use jaas_core::store::{
    Accepted, AttemptOutcome, Burial, Claim, ClaimRequest, EventState, Failure, Lease, NextDue, SessionOrder,
    Step, StoreError, crash_note,
};
use jaas_core::telemetry::TraceContext;
use jaas_core::{Delivery, Handled, SessionId, Timestamp, Unreadable};

use crate::record::{Blob, Event, Kept, Record, hex};
use crate::rows::{Rows, is_of};

impl Rows {
    pub(crate) fn accept(&mut self, delivery: &Delivery) -> Accepted {
        let envelope = &delivery.envelope;
        let hash = hex(delivery.body_hash());
        let key = (delivery.endpoint.clone(), envelope.idempotency_key.to_string());
        if let Some(first) = self.by_key.get(&key).and_then(|first| self.events.get(first)) {
            if first.hash == hash {
                return Accepted::Duplicate;
            }
            let seen = self.conflicts.values().find(|row| row.hash == hash && is_of(row, first)).cloned();
            // Of an event that was erased, a body that comes again stays away.
            let mut conflict = seen.unwrap_or_else(|| Kept {
                id: self.next_id(),
                endpoint: key.0,
                why: key.1,
                first_at: delivery.received_at,
                last_at: delivery.received_at,
                seen: 0,
                hash,
                body: Blob::new(delivery.body()),
            });
            conflict.seen += 1;
            conflict.last_at = delivery.received_at;
            self.put(Record::Conflict(conflict));
            return Accepted::Conflict;
        }
        let id = self.next_id();
        self.put_event(Event {
            id,
            endpoint: delivery.endpoint.clone(),
            key: envelope.idempotency_key.clone(),
            event_type: envelope.event_type.clone(),
            session: envelope.session_id.clone(),
            fqn: envelope.fqn.clone(),
            occurred_at: delivery.occurred_at(),
            received_at: delivery.received_at,
            hash,
            trace: delivery.trace.as_ref().map(ToString::to_string),
            state: EventState::Waiting,
            failures: 0,
            crashes: 0,
            interruptions: 0,
            completed: Vec::new(),
            due_at: delivery.received_at,
            worker: None,
            fence: 0,
            leased_until: delivery.received_at,
            settled_at: None,
            note: None,
            erased_at: None,
            body: Default::default(),
        });
        self.put(Record::Body(id, Blob::new(delivery.body())));
        Accepted::New
    }

    pub(crate) fn quarantine(&mut self, unreadable: &Unreadable) {
        let hash = hex(unreadable.body_hash());
        let same = |row: &&Kept| row.hash == hash && row.endpoint == unreadable.endpoint;
        let seen = self.quarantined.values().find(same).cloned();
        let mut row = seen.unwrap_or_else(|| Kept {
            id: self.next_id(),
            endpoint: unreadable.endpoint.clone(),
            why: unreadable.reason.to_string(),
            first_at: unreadable.received_at,
            last_at: unreadable.received_at,
            seen: 0,
            hash,
            body: Blob::new(unreadable.body()),
        });
        row.seen += 1;
        row.last_at = unreadable.received_at;
        self.put(Record::Quarantined(row));
    }

    /// Answers also what was buried for its crashes.
    pub(crate) fn claim(&mut self, request: &ClaimRequest) -> (Vec<Claim>, Vec<Burial>) {
        let buried = self.take_back_crashed(request);
        let mut claims = Vec::new();
        for mut event in self.claimable(request) {
            event.state = EventState::Running;
            event.worker = Some(request.worker.clone());
            event.fence += 1;
            event.leased_until = request.now.saturating_add(request.lease);
            let lease = Lease { event: event.id, fence: event.fence };
            let mut claim = Claim::new(lease, event.endpoint.clone(), event.received_at, event.body.clone());
            claim.failures = event.failures;
            claim.crashes = event.crashes;
            claim.interruptions = event.interruptions;
            claim.completed = event.completed.clone();
            claim.trace = event.trace();
            claims.push(claim);
            self.put_event(event);
        }
        (claims, buried)
    }

    /// Events whose lease ran out wait again, or are dead when it happened too often.
    fn take_back_crashed(&mut self, request: &ClaimRequest) -> Vec<Burial> {
        let crashed =
            |event: &&Event| event.state == EventState::Running && event.leased_until <= request.now;
        let crashed: Vec<Event> = self.open().filter(crashed).cloned().collect();
        let mut buried = Vec::new();
        for mut event in crashed {
            self.record_attempt(&event, AttemptOutcome::Crashed, None, request.now);
            event.crashes += 1;
            event.state = EventState::Waiting;
            if event.crashes >= request.max_crashes {
                event.settle(EventState::Dead, Some(crash_note(event.crashes)), request.now);
                let attempts = event.failures + event.crashes + event.interruptions;
                let key = event.key.clone();
                buried.push(Burial::new(event.id, key, &*event.event_type, event.crashes, attempts));
            }
            self.put_event(event);
        }
        buried
    }

    fn claimable(&self, request: &ClaimRequest) -> Vec<Event> {
        let running = || self.open().filter(|event| event.state == EventState::Running);
        let mut busy: HashSet<&SessionId> = running().filter_map(|event| event.session.as_ref()).collect();
        let mut suspect_runs = running().any(|event| event.crashes > 0);
        let mut waiting: Vec<&Event> =
            self.open().filter(|event| event.state == EventState::Waiting).collect();
        waiting.sort_by_key(|event| (event.occurred_at, event.id));
        let mut claimable = Vec::new();
        for event in waiting {
            if event.session.as_ref().is_some_and(|session| busy.contains(session)) {
                continue;
            }
            let due = event.due(request.order) <= request.now;
            if !due && event.failures >= request.order.hold_failures {
                continue;
            }
            // It runs now, or later ones of its session wait for it.
            busy.extend(&event.session);
            let suspect = event.crashes > 0;
            if due && claimable.len() < request.limit && !(suspect && suspect_runs) {
                suspect_runs |= suspect;
                claimable.push(event.clone());
            }
        }
        claimable
    }

    /// Answers the leases that are no longer held.
    pub(crate) fn renew(&mut self, leases: &[Lease], now: Timestamp, lease: Duration) -> Vec<Lease> {
        let mut lost = Vec::new();
        for held in leases {
            match self.held("renew", *held) {
                Ok(mut event) => {
                    event.leased_until = now.saturating_add(lease);
                    self.put_event(event);
                }
                Err(_) => lost.push(*held),
            }
        }
        lost
    }

    pub(crate) fn complete(
        &mut self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut event = self.held("complete", lease)?;
        if *handled == Handled::Done {
            event.completed.push(step.handler.to_string());
        }
        if step.last {
            match handled {
                Handled::Ignored(reason) if event.completed.is_empty() => {
                    event.settle(EventState::Ignored, Some(reason.to_string()), now);
                }
                _ => event.settle(EventState::Done, event.note.clone(), now),
            }
        }
        self.put_event(event);
        Ok(())
    }

    pub(crate) fn fail(&mut self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let mut event = self.held("record the failure", lease)?;
        self.record_attempt(&event, AttemptOutcome::Failed, Some(failure.error.clone()), now);
        event.failures += 1;
        event.note = Some(failure.error.clone());
        match failure.retry_in {
            Some(wait) => (event.state, event.due_at) = (EventState::Waiting, now.saturating_add(wait)),
            None => event.settle(EventState::Dead, event.note.clone(), now),
        }
        self.put_event(event);
        Ok(())
    }

    pub(crate) fn release(&mut self, leases: &[Lease], now: Timestamp) {
        for lease in leases {
            let Ok(mut event) = self.held("release", *lease) else { continue };
            self.record_attempt(&event, AttemptOutcome::Interrupted, None, now);
            event.interruptions += 1;
            (event.state, event.due_at) = (EventState::Waiting, now);
            self.put_event(event);
        }
    }

    pub(crate) fn next_due(&self, now: Timestamp, order: SessionOrder) -> NextDue {
        let times = self.open().map(|event| match event.state {
            EventState::Running => event.leased_until,
            _ => event.due(order),
        });
        let next = times.filter(|at| *at > now).min();
        let held_back =
            self.open().any(|event| event.state == EventState::Waiting && event.due(order) <= now);
        NextDue::new(next.map(|at| at.duration_since(now)), held_back)
    }

    /// Events that wait or run.
    fn open(&self) -> impl Iterator<Item = &Event> {
        self.open.iter().filter_map(|id| self.events.get(id))
    }
}

impl Event {
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        self.trace.as_ref()?.parse().ok()
    }

    fn due(&self, order: SessionOrder) -> Timestamp {
        self.due_at.max(self.received_at.saturating_add(order.settle_window))
    }
}
