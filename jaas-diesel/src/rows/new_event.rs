//! A new event: the row that is inserted.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::result::Error;
use jaas_core::store::{EventState, Lease};
use jaas_core::telemetry::TraceContext;
use jaas_core::{Delivery, SessionId, Timestamp};

use super::column::{Blob, indexed, text};
use crate::schema::jaas_events;

/// The most bytes that go into one commit, unless a single event is larger. Servers refuse larger statements.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A new event. It owns its data, because the writer needs them after the request has ended. The writer makes it, so that
/// no request waits for the hash of its body.
#[derive(Debug, Insertable)]
#[diesel(table_name = jaas_events, treat_none_as_default_value = false)]
pub(crate) struct NewEvent {
    pub(crate) endpoint: String,
    pub(crate) idempotency_key: String,
    pub(crate) event_type: String,
    pub(crate) session_id: Option<String>,
    pub(crate) fqn: String,
    pub(crate) occurred_at: i64,
    pub(crate) received_at: i64,
    pub(crate) body: Blob,
    pub(crate) body_hash: Vec<u8>,
    pub(crate) trace_context: Option<String>,
    pub(crate) ordering_key: String,
    /// Its position in the queue: when it happened.
    pub(crate) place: i64,
    state: &'static str,
    completed: &'static str,
    pub(crate) due_at: i64,
    /// The worker to claim it for with the insert.
    #[diesel(skip_insertion)]
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    pub(crate) claimant: Option<Claimant>,
}

impl From<Delivery> for NewEvent {
    fn from(delivery: Delivery) -> Self {
        let hash = delivery.body_hash();
        Self {
            endpoint: delivery.endpoint.to_string(),
            occurred_at: delivery.occurred_at().as_millis(),
            received_at: delivery.received_at.as_millis(),
            body: Blob(delivery.body().clone().into()),
            body_hash: hash.to_vec(),
            trace_context: delivery.trace.as_ref().map(TraceContext::to_string),
            ordering_key: ordering_key(&delivery, &hash),
            place: delivery.occurred_at().as_millis(),
            state: EventState::Waiting.as_str(),
            completed: "",
            due_at: delivery.received_at.as_millis(),
            claimant: None,
            idempotency_key: delivery.envelope.idempotency_key.into_string(),
            event_type: delivery.envelope.event_type.into_owned(),
            session_id: delivery.envelope.session_id.map(SessionId::into_string),
            fqn: indexed(delivery.envelope.fqn.into_string()),
        }
    }
}

impl NewEvent {
    /// The unique key of the event: its endpoint and its idempotency key.
    pub(crate) fn key(&self) -> (&str, &str) {
        (&self.endpoint, &self.idempotency_key)
    }

    /// An event that tests whether events can be stored. Its endpoint is empty, which no real endpoint is, so its key
    /// collides with no event of a sender. Each probe has another key; otherwise two probes would wait for each other.
    pub(crate) fn probe() -> QueryResult<Self> {
        let key = RandomState::new().hash_one(std::thread::current().id());
        // These characters can only be stored in UTF-8.
        let (kind, room) = ('\u{2713}', '\u{1f44b}');
        let body = format!(r#"{{"idempotencyKey":"{key:x}","eventType":"{kind}","fqn":"{room}"}}"#);
        let delivery = Delivery::parse("", Timestamp::from_millis(0), body.into());
        delivery.map(Self::from).map_err(|unreadable| Error::QueryBuilderError(Box::new(unreadable.reason)))
    }

    /// Whether the event is a [`probe`](Self::probe).
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn is_probe(&self) -> bool {
        self.endpoint.is_empty()
    }

    /// Its claim, if the insert claimed it.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    pub(crate) fn claim(&self, lease: Lease) -> jaas_core::store::Claim {
        use jaas_core::store::Claim;

        use super::column::trace;

        let received_at = Timestamp::from_millis(self.received_at);
        let mut claim = Claim::new(lease, self.endpoint.as_str().into(), received_at, self.body.0.clone());
        claim.trace = trace(self.trace_context.as_deref());
        claim
    }
}

/// A worker of this process that has room for an event.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "postgres"), allow(dead_code))]
pub(crate) struct Claimant {
    pub(crate) worker: Arc<str>,
    pub(crate) lease: Duration,
    /// The fence of the claim: a number that no other first claim of the event has, so that this claim can be
    /// distinguished from others when the answer to the insert is lost.
    pub(crate) fence: i64,
}

/// A row that was inserted, and its lease if the insert claimed it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inserted {
    pub(crate) lease: Option<Lease>,
}

/// The key of the queue that the event belongs to: that of its session, or a queue for this event alone, named by the
/// hash of its body.
fn ordering_key(delivery: &Delivery, hash: &[u8]) -> String {
    use std::fmt::Write as _;
    match &delivery.envelope.session_id {
        Some(session) => ordering_key_of(session),
        None => hash.iter().fold(String::from("e"), |mut key, byte| {
            // Writing into a `String` cannot fail.
            let _ = write!(key, "{byte:02x}");
            key
        }),
    }
}

/// The key of a session's queue.
pub(crate) fn ordering_key_of(session: &SessionId) -> String {
    format!("s{}", text(session.as_str()))
}

/// The endpoints of events, each once, and their idempotency keys. A query with both lists uses the index, but it may
/// also return an event with an endpoint and a key of two different events.
pub(crate) fn endpoints_and_keys<'e>(
    events: impl Iterator<Item = &'e NewEvent>,
) -> (Vec<&'e str>, Vec<&'e str>) {
    let (endpoints, keys): (BTreeSet<&str>, Vec<&str>) = events.map(NewEvent::key).unzip();
    (endpoints.into_iter().collect(), keys)
}
