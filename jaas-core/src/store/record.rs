//! What a store records about what it holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Accepted, DeadLetterKey, PageRequest, RowId};
use crate::delivery::{Body, Delivery, Unreadable};
use crate::id::{Fqn, IdempotencyKey, SessionId};
use crate::named::named_enum;
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

named_enum! {
    /// The state of an event.
    #[non_exhaustive]
    pub enum EventState {
        /// Waits to be run, now or after a back-off.
        Waiting = "waiting",
        /// Is being run.
        Running = "running",
        /// Was handled.
        Done = "done",
        /// Was handled by no handler, or by handlers that ignored it.
        Ignored = "ignored",
        /// Became a dead letter, kept for operators to inspect and replay.
        Dead = "dead",
        /// Was discarded by an operator.
        Discarded = "discarded",
    }
}

impl EventState {
    /// Whether the event is settled: nothing more happens to it unless it is replayed.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Done | Self::Ignored | Self::Dead | Self::Discarded)
    }
}

/// An event in the store.
///
/// It can be serialized, for a store that keeps it as a document; that includes its body. A report for people is
/// [`EventLife`](super::EventLife), which leaves bodies out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its row.
    pub id: RowId,
    /// The endpoint that received it.
    pub endpoint: Arc<str>,
    /// Its idempotency key.
    pub idempotency_key: IdempotencyKey,
    /// `eventType` as received.
    pub event_type: String,
    /// Its session.
    pub session_id: Option<SessionId>,
    /// Its meeting.
    pub fqn: Fqn,
    /// When it happened, or when it was received if it does not say so.
    pub occurred_at: Timestamp,
    /// When it was first received.
    pub received_at: Timestamp,
    /// Its state.
    pub state: EventState,
    /// How often a handler failed.
    pub failures: u32,
    /// How often a lease expired.
    pub crashes: u32,
    /// How often a stopping worker gave it back.
    pub interruptions: u32,
    /// The handlers that are done with it.
    pub completed: Vec<String>,
    /// When it may run next; for waiting events.
    pub due_at: Timestamp,
    /// The worker that claimed it last.
    pub worker: Option<String>,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
    /// The last error, or why it was ignored or discarded.
    pub note: Option<String>,
    /// Its body as received; empty once it was erased.
    pub body: Body,
    /// When its body was erased.
    pub erased_at: Option<Timestamp>,
    /// The trace it belongs to. When the body is erased, its `traceparent` stays, which is not personal data; the
    /// `tracestate`, into which others can write anything, is removed.
    pub trace: Option<TraceContext>,
}

impl StoredEvent {
    /// Creates a waiting event as accepted; the store sets what has happened since.
    pub fn new(
        id: RowId,
        endpoint: Arc<str>,
        key: IdempotencyKey,
        received_at: Timestamp,
        body: impl Into<Body>,
    ) -> Self {
        Self {
            id,
            endpoint,
            idempotency_key: key,
            event_type: String::new(),
            session_id: None,
            fqn: Fqn::new(""),
            occurred_at: received_at,
            received_at,
            state: EventState::Waiting,
            failures: 0,
            crashes: 0,
            interruptions: 0,
            completed: Vec::new(),
            due_at: received_at,
            worker: None,
            settled_at: None,
            note: None,
            body: body.into(),
            erased_at: None,
            trace: None,
        }
    }
}

/// Which events to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Events in this state.
    pub state: Option<EventState>,
    /// Events with this `eventType`.
    pub event_type: Option<String>,
    /// Events of this session.
    pub session_id: Option<SessionId>,
    /// Events of this meeting, spelled as in the event: some events keep the spelling of the URL, others are lower-case
    /// and percent-encoded. The session is the same in all.
    pub fqn: Option<Fqn>,
    /// Events with this idempotency key.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Events that this endpoint received.
    pub endpoint: Option<Arc<str>>,
    /// Events that happened at this time or later.
    pub from: Option<Timestamp>,
    /// Events that happened before this time.
    pub until: Option<Timestamp>,
    /// Dead letters of this group.
    pub dead_letter: Option<DeadLetterKey>,
    /// Which page.
    pub page: PageRequest,
}

impl EventQuery {
    /// Whether only the page is set, so that every event matches.
    pub fn is_empty(&self) -> bool {
        *self == Self { page: self.page, ..Self::default() }
    }

    /// Whether an event matches every field that is set. The page is not looked at.
    pub fn matches(&self, event: &StoredEvent) -> bool {
        fn fits<T: PartialEq>(wanted: &Option<T>, is: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == is)
        }
        fits(&self.state, &event.state)
            && fits(&self.event_type, &event.event_type)
            && fits(&self.fqn, &event.fqn)
            && fits(&self.idempotency_key, &event.idempotency_key)
            && fits(&self.endpoint, &event.endpoint)
            && (self.session_id.is_none() || self.session_id == event.session_id)
            && self.from.is_none_or(|from| event.occurred_at >= from)
            && self.until.is_none_or(|until| event.occurred_at < until)
            && self.dead_letter.as_ref().is_none_or(|group| group.holds(event))
    }
}

/// A delivery whose key was already used by another body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Conflict {
    /// Its row.
    pub id: RowId,
    /// The endpoint that received it.
    pub endpoint: Arc<str>,
    /// The key of both bodies.
    pub idempotency_key: IdempotencyKey,
    /// When this body was first received.
    pub first_received_at: Timestamp,
    /// When this body was last received.
    pub last_received_at: Timestamp,
    /// How often this body was received.
    pub seen: u32,
    /// The body that was not accepted.
    pub body: Body,
}

impl Conflict {
    /// Creates the conflict of this delivery, seen once.
    pub fn of(id: RowId, delivery: &Delivery) -> Self {
        let key = delivery.envelope.idempotency_key.clone();
        Self::new(id, delivery.endpoint.clone(), key, delivery.received_at, delivery.body().clone())
    }

    /// Whether this event has its key.
    pub fn is_of(&self, event: &StoredEvent) -> bool {
        self.endpoint == event.endpoint && self.idempotency_key == event.idempotency_key
    }

    /// The same conflict after its body was received again at this time.
    #[must_use]
    pub fn seen_again(self, at: Timestamp) -> Self {
        Self { seen: self.seen.saturating_add(1), last_received_at: at, ..self }
    }

    /// Creates a conflict seen once; the store sets what has happened since.
    pub fn new(
        id: RowId,
        endpoint: Arc<str>,
        key: IdempotencyKey,
        received_at: Timestamp,
        body: impl Into<Body>,
    ) -> Self {
        Self {
            id,
            endpoint,
            idempotency_key: key,
            first_received_at: received_at,
            last_received_at: received_at,
            seen: 1,
            body: body.into(),
        }
    }
}

/// Authentic bytes whose envelope cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quarantined {
    /// Its row.
    pub id: RowId,
    /// The endpoint that received them.
    pub endpoint: Arc<str>,
    /// Why they cannot be parsed.
    pub reason: String,
    /// When they were first received.
    pub first_received_at: Timestamp,
    /// When they were last received.
    pub last_received_at: Timestamp,
    /// How often they were received.
    pub seen: u32,
    /// The bytes.
    pub body: Body,
}

impl Quarantined {
    /// Creates the record of these bytes, seen once.
    pub fn of(id: RowId, unreadable: &Unreadable) -> Self {
        let (endpoint, reason) = (unreadable.endpoint.clone(), unreadable.reason.to_string());
        Self::new(id, endpoint, reason, unreadable.received_at, unreadable.body().clone())
    }

    /// The same record after the bytes were received again at this time.
    #[must_use]
    pub fn seen_again(self, at: Timestamp) -> Self {
        Self { seen: self.seen.saturating_add(1), last_received_at: at, ..self }
    }

    /// Parses the bytes again, as a delivery that was received when they first came.
    ///
    /// # Errors
    /// When they still cannot be parsed.
    pub fn parse(&self) -> Result<Delivery, Unreadable> {
        Delivery::parse(self.endpoint.clone(), self.first_received_at, (*self.body).clone())
    }

    /// Creates a body seen once; the store sets what has happened since.
    pub fn new(
        id: RowId,
        endpoint: Arc<str>,
        reason: String,
        received_at: Timestamp,
        body: impl Into<Body>,
    ) -> Self {
        Self {
            id,
            endpoint,
            reason,
            first_received_at: received_at,
            last_received_at: received_at,
            seen: 1,
            body: body.into(),
        }
    }
}

/// What became of quarantined bodies that were parsed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct QuarantineReplay {
    /// How many were accepted as new events.
    pub new: u64,
    /// How many were events that are already stored.
    pub duplicates: u64,
    /// How many had a key that is stored with another body; they are now listed as conflicts.
    pub conflicts: u64,
    /// How many still cannot be parsed and stay in quarantine.
    pub unreadable: u64,
    /// Where the next page starts, if there is one: the value for [`PageRequest::after`].
    pub next: Option<RowId>,
}

impl QuarantineReplay {
    /// Counts what became of a body.
    pub fn count(&mut self, accepted: Accepted) {
        match accepted {
            Accepted::New => self.new += 1,
            Accepted::Duplicate => self.duplicates += 1,
            Accepted::Conflict => self.conflicts += 1,
        }
    }
}

/// How much a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StoreStats {
    states: [StateStats; EventState::ALL.len()],
    /// Conflicting deliveries.
    pub conflicts: u64,
    /// Bodies in quarantine.
    pub quarantined: u64,
}

/// How many events are in a state, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StateStats {
    /// How many there are.
    pub count: u64,
    /// When the one of them that was stored first was received.
    pub oldest: Option<Timestamp>,
}

impl StateStats {
    /// So many, the oldest received at this time.
    pub fn new(count: u64, oldest: Option<Timestamp>) -> Self {
        Self { count, oldest }
    }
}

impl StoreStats {
    /// The events in this state.
    pub fn state(&self, state: EventState) -> StateStats {
        let index = EventState::ALL.iter().position(|each| *each == state);
        index.and_then(|index| self.states.get(index)).copied().unwrap_or_default()
    }

    /// How many events are in this state.
    pub fn count(&self, state: EventState) -> u64 {
        self.state(state).count
    }

    /// Sets what is known of one state.
    pub fn set(&mut self, state: EventState, stats: StateStats) {
        for (each, known) in EventState::ALL.iter().zip(&mut self.states) {
            if *each == state {
                *known = stats;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_found_by_its_name() {
        for state in EventState::ALL {
            assert_eq!(EventState::from_name(&state.to_string()), Some(state));
        }
        assert_eq!(EventState::from_name("Waiting"), None);
    }
}
