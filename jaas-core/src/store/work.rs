//! The types in which stores and workers exchange work.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{RowId, SessionOrder};
use crate::delivery::Body;
use crate::handler::{Handled, HandlerResult};
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

/// The result of accepting a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// The event was stored now.
    New,
    /// The event was stored before, with the same body.
    Duplicate,
    /// Another body was stored before under the same key. That body stays, and this one is listed as a conflict.
    Conflict,
}

/// Work to do inside a transaction. It owns what it needs, because a store may move it to the task that owns the
/// connection.
pub type TxWork<Tx> =
    Box<dyn for<'t> FnOnce(&'t mut Tx) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>> + Send>;

/// What a worker asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The time now.
    pub now: Timestamp,
    /// The maximum number of sessions.
    pub limit: usize,
    /// How long the claims hold unless renewed.
    pub lease: Duration,
    /// The worker that claims; recorded for operators.
    pub worker: Arc<str>,
    /// The order within sessions.
    pub order: SessionOrder,
    /// After how many crashes an event becomes dead.
    pub max_crashes: u32,
}

impl ClaimRequest {
    /// Creates a request with a lease of 15 s, the default order, and 2 crashes.
    pub fn new(worker: impl Into<Arc<str>>, now: Timestamp, limit: usize) -> Self {
        Self {
            now,
            limit,
            lease: Duration::from_secs(15),
            worker: worker.into(),
            order: SessionOrder::default(),
            max_crashes: 2,
        }
    }
}

/// The right to run one event and settle it: identifies the event and the claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The event's row.
    pub event: RowId,
    /// The claim of the event; the number grows with each claim.
    pub fence: i64,
}

/// A claimed event, and with it its session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The right to settle the event.
    pub lease: Lease,
    /// The endpoint that received it.
    pub endpoint: Arc<str>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its body as received.
    pub body: Body,
    /// How often a handler failed.
    pub failures: u32,
    /// How often a lease expired.
    pub crashes: u32,
    /// How often a stopping worker gave it back.
    pub interruptions: u32,
    /// The handlers that are done with it.
    pub completed: Vec<String>,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
    /// Events that would run after it if nothing else arrives, in their order, at most as many as were [asked
    /// for](NextClaim::following). A store may list none. They belong to this claim: their leases are valid only with
    /// it, in [`complete_all`](super::EventStore::complete_all), and are not renewed.
    pub following: Vec<Claim>,
}

impl Claim {
    /// Creates a claim of an event that was never run before; the store sets what has happened since.
    pub fn new(lease: Lease, endpoint: Arc<str>, received_at: Timestamp, body: impl Into<Body>) -> Self {
        Self {
            lease,
            endpoint,
            received_at,
            body: body.into(),
            failures: 0,
            crashes: 0,
            interruptions: 0,
            completed: Vec::new(),
            trace: None,
            following: Vec::new(),
        }
    }

    /// Which run of the handler this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.failures.saturating_add(self.crashes).saturating_add(self.interruptions).saturating_add(1)
    }
}

/// One handler's part in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The handler's name.
    pub handler: Arc<str>,
    /// Whether every other handler is done, so that this step settles the event.
    pub last: bool,
    /// Whether to claim the session's next event when this one is settled, and how.
    pub next: Option<NextClaim>,
}

/// Asks for the next event of a session while the previous one is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextClaim {
    /// How long the claim holds unless renewed.
    pub lease: Duration,
    /// How the session is ordered.
    pub order: SessionOrder,
    /// The maximum number of events to list in [`Claim::following`].
    pub following: usize,
}

/// An event with which every handler is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The event and its claim.
    pub lease: Lease,
    /// The handlers that were not recorded yet, in the order in which they ran, and their results. It is not empty.
    pub handled: Vec<(Arc<str>, Handled)>,
}

/// A failed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, for operators.
    pub error: String,
    /// How long to wait before it runs again; `None` makes the event a dead letter.
    pub retry_in: Option<Duration>,
    /// Whether later events of the session may run while this one waits.
    pub passable: bool,
    /// Whether to claim the session's next event, and how.
    pub next: Option<NextClaim>,
}

/// When to claim next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NextDue {
    /// How long it is until the next session becomes due, or the next lease ends.
    pub after: Option<Duration>,
    /// Whether some session is due now. After a claim that returned all it could, that session waits for another event
    /// that crashed.
    pub held_back: bool,
}

impl NextDue {
    /// Creates a result whose next event is due after this time.
    pub fn new(after: Option<Duration>, held_back: bool) -> Self {
        Self { after, held_back }
    }
}
