//! An event as a store keeps it, and everything that can happen to it.

use serde::{Deserialize, Serialize};

use super::dead_lettered::{DeadLettered, crash_note};
use super::order::Head;
use super::{
    Attempt, AttemptOutcome, AuditAction, AuditEntry, AuditNote, Claim, EventState, Failure, Lease, RowId,
    StoreError, StoredEvent,
};
use crate::delivery::Delivery;
use crate::handler::Handled;
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

/// An event, and what only its store knows about it. Each method is one transition of the contract; the store writes the row
/// afterwards, and what the method returns, in the same transaction.
///
/// It can be serialized for a key-value database. A field that a later version adds will have a default, so that older
/// rows can still be read.
///
/// ```
/// use std::time::Duration;
///
/// use jaas_core::store::tools::EventRow;
/// use jaas_core::store::{AuditNote, EventState, Failure, RowId};
/// use jaas_core::{Delivery, Timestamp};
///
/// let now = Timestamp::from_secs(1_795_420_800);
/// let body = br#"{"idempotencyKey": "k-1", "eventType": "ROOM_CREATED"}"#;
/// let delivery = Delivery::parse("main", now, body.to_vec().into()).map_err(|unreadable| unreadable.reason)?;
///
/// let mut row = EventRow::accepted(RowId::new(1), &delivery);
/// let claim = row.claim("worker-1");
/// assert!(row.is_held_by(claim.lease));
///
/// let failure = Failure { error: "timeout".to_owned(), retry_in: None, passable: false, next: None };
/// let attempt = row.fail(RowId::new(2), &failure, now);
/// assert_eq!((row.event.state, attempt.fence), (EventState::Dead, claim.lease.fence));
///
/// row.replay(now)?;
/// assert_eq!((row.event.state, row.event.failures), (EventState::Waiting, 0));
/// assert!(row.replay(now).is_err(), "it is not settled");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRow {
    /// The event.
    pub event: StoredEvent,
    /// The SHA-256 of its body, which stays when the body is erased.
    pub body_hash: [u8; 32],
    /// Its latest claim; 0 if there was none.
    pub fence: i64,
    /// Whether later events of its session may run while it waits.
    pub passable: bool,
}

impl EventRow {
    /// Creates the row of a new event.
    pub fn accepted(id: RowId, delivery: &Delivery) -> Self {
        let (endpoint, envelope) = (delivery.endpoint.clone(), &delivery.envelope);
        let (key, received_at) = (envelope.idempotency_key.clone(), delivery.received_at);
        let mut event = StoredEvent::new(id, endpoint, key, received_at, delivery.body().clone());
        event.occurred_at = delivery.occurred_at();
        event.event_type = envelope.event_type.to_string();
        event.session_id = envelope.session_id.clone();
        event.fqn = envelope.fqn.clone();
        event.trace = delivery.trace.clone();
        Self { event, body_hash: delivery.body_hash(), fence: 0, passable: false }
    }

    /// The name of the queue in which it waits: that of its session, or a separate one if it has no session.
    pub fn queue(&self) -> String {
        match &self.event.session_id {
            Some(session) => format!("session {session}"),
            // Padded, so that names are in the order of the rows.
            None => format!("without session {:020}", self.event.id.get()),
        }
    }

    /// Its place among the waiting events of its queue that are passable, or among the others: the first of each decide
    /// [what runs next](super::SessionOrder::turn).
    pub fn place(&self) -> (Timestamp, RowId) {
        (if self.passable { self.event.due_at } else { self.event.occurred_at }, self.event.id)
    }

    /// What decides whether it may run.
    pub fn head(&self) -> Head {
        let StoredEvent { id, occurred_at, received_at, due_at, .. } = self.event;
        Head { event: id, occurred_at, received_at, due_at }
    }

    /// Whether this lease is still held.
    pub fn is_held_by(&self, lease: Lease) -> bool {
        self.event.state == EventState::Running && self.lease() == lease
    }

    /// Gives the event to this worker, under a new lease.
    pub fn claim(&mut self, worker: &str) -> Claim {
        self.fence = self.fence.saturating_add(1);
        self.event.state = EventState::Running;
        self.event.worker = Some(worker.to_owned());
        self.claimed(self.lease())
    }

    /// Returns the claim that lists this event behind another, in [`Claim::following`].
    pub fn as_following(&self) -> Claim {
        self.claimed(Lease { event: self.event.id, fence: self.fence.saturating_add(1) })
    }

    fn lease(&self) -> Lease {
        Lease { event: self.event.id, fence: self.fence }
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

    /// Records that a handler succeeded; once, even when the caller did not receive the response and repeats it.
    pub fn handled(&mut self, handler: &str, handled: &Handled) {
        let completed = &mut self.event.completed;
        if *handled == Handled::Done && !completed.iter().any(|name| **name == *handler) {
            completed.push(handler.to_owned());
        }
    }

    /// Settles an event whose last handler succeeded, with this result.
    pub fn complete(&mut self, last: &Handled, now: Timestamp) {
        match last {
            Handled::Ignored(reason) if self.event.completed.is_empty() => {
                self.settle(EventState::Ignored, reason.to_string(), now);
            }
            _ => (self.event.state, self.event.settled_at) = (EventState::Done, Some(now)),
        }
    }

    /// Records a failure: the event waits for another attempt, or becomes a dead letter.
    pub fn fail(&mut self, attempt: RowId, failure: &Failure, now: Timestamp) -> Attempt {
        let mut attempt = self.attempt(attempt, AttemptOutcome::Failed, now);
        attempt.error = Some(failure.error.clone());
        self.event.failures = self.event.failures.saturating_add(1);
        self.event.note = Some(failure.error.clone());
        match failure.retry_in {
            Some(wait) => {
                self.event.state = EventState::Waiting;
                self.event.due_at = now.saturating_add(wait);
                self.passable = failure.passable;
            }
            None => self.settle(EventState::Dead, failure.error.clone(), now),
        }
        attempt
    }

    /// Counts a crash of an event whose lease has expired: it waits, or becomes a dead letter, which the store
    /// [reports](DeadLettered::report) once that is committed.
    pub fn crash(
        &mut self,
        attempt: RowId,
        max_crashes: u32,
        now: Timestamp,
    ) -> (Attempt, Option<DeadLettered>) {
        let attempt = self.attempt(attempt, AttemptOutcome::Crashed, now);
        self.event.crashes = self.event.crashes.saturating_add(1);
        self.event.state = EventState::Waiting;
        if self.event.crashes < max_crashes {
            return (attempt, None);
        }
        self.settle(EventState::Dead, crash_note(self.event.crashes), now);
        (attempt, Some(DeadLettered::of(&self.event)))
    }

    /// Lets an event wait whose handler was interrupted.
    pub fn interrupt(&mut self, attempt: RowId, now: Timestamp) -> Attempt {
        let attempt = self.attempt(attempt, AttemptOutcome::Interrupted, now);
        self.event.interruptions = self.event.interruptions.saturating_add(1);
        self.event.due_at = now;
        self.event.state = EventState::Waiting;
        attempt
    }

    fn attempt(&self, id: RowId, outcome: AttemptOutcome, now: Timestamp) -> Attempt {
        let mut attempt = Attempt::new(id, self.event.id, self.fence, outcome, now);
        attempt.worker = self.event.worker.clone();
        attempt
    }

    /// Makes a settled event wait again, as if new.
    ///
    /// # Errors
    /// [`NotSettled`](super::StoreErrorKind::NotSettled) and [`Erased`](super::StoreErrorKind::Erased); then nothing has
    /// changed.
    pub fn replay(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let event = &mut self.event;
        if !event.state.is_settled() {
            return Err(StoreError::not_settled(event.id, event.state));
        }
        if event.erased_at.is_some() {
            return Err(StoreError::erased(event.id));
        }
        if event.state == EventState::Done {
            event.completed.clear();
        }
        (event.failures, event.crashes, event.interruptions) = (0, 0, 0);
        (event.state, event.due_at) = (EventState::Waiting, now);
        (event.settled_at, event.note) = (None, None);
        self.passable = false;
        Ok(())
    }

    /// Discards an event that waits, is ignored or is dead, for this reason.
    ///
    /// # Errors
    /// [`NotDiscardable`](super::StoreErrorKind::NotDiscardable); then nothing has changed.
    pub fn discard(&mut self, reason: &str, now: Timestamp) -> Result<(), StoreError> {
        match self.event.state {
            EventState::Waiting | EventState::Ignored | EventState::Dead => {
                self.settle(EventState::Discarded, reason.to_owned(), now);
                Ok(())
            }
            state => Err(StoreError::not_discardable(self.event.id, state)),
        }
    }

    /// Removes what others wrote from an event that does not run, and discards it if it waits. Returns whether it had
    /// not been erased before.
    pub fn erase(&mut self, now: Timestamp) -> bool {
        if self.event.erased_at.is_some() {
            return false;
        }
        if self.event.state == EventState::Waiting {
            self.settle(EventState::Discarded, None, now);
        }
        self.event.note = None;
        self.event.body = Vec::new().into();
        self.event.trace = self.event.trace.as_ref().map(TraceContext::without_tracestate);
        self.event.erased_at = Some(now);
        true
    }

    /// Creates the entry of the audit for what an operator did to the event.
    pub fn audited(&self, id: RowId, action: AuditAction, note: &AuditNote, now: Timestamp) -> AuditEntry {
        let key = (self.event.endpoint.clone(), self.event.idempotency_key.clone());
        AuditEntry::new(id, self.event.id, key, action, note.clone(), now)
    }

    fn settle(&mut self, state: EventState, note: impl Into<Option<String>>, now: Timestamp) {
        self.event.state = state;
        self.event.settled_at = Some(now);
        self.event.note = note.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_same_after_it_was_serialized() {
        let body = br#"{"idempotencyKey":"k","eventType":"USAGE","sessionId":"s","data":"\ud800"}"#;
        let delivery = Delivery::parse("main", Timestamp::from_millis(7), [&body[..], b" "].concat().into());
        let trace =
            TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("vendor=1"));
        let mut row = EventRow::accepted(RowId::new(1), &delivery.expect("an envelope").with_trace(trace));
        row.claim("worker");
        row.fail(
            RowId::new(2),
            &Failure { error: "e".to_owned(), retry_in: None, passable: true, next: None },
            row.event.due_at,
        );
        let json = serde_json::to_string(&row).expect("written");
        assert!(json.contains(r#""state":"dead""#), "{json}");
        assert_eq!(serde_json::from_str::<EventRow>(&json).expect("read"), row);
        let unknown = serde_json::from_str::<EventRow>(&json.replace(r#""dead""#, r#""lost""#));
        assert!(unknown.expect_err("no such state").to_string().contains("\"lost\" is not known"));
    }
}
