//! What stores and workers say to each other about work.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{RowId, SessionOrder};
use crate::delivery::Body;
use crate::handler::{Handled, HandlerResult};
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accepted {
    /// Stored now.
    New,
    /// Stored before, with the same body.
    Duplicate,
    /// Another body was stored before under the same key; that one stays, this one is listed as a conflict.
    Conflict,
}

/// Work to be done inside a transaction. It owns what it needs, because a store may hand it to the task that
/// owns the connection.
pub type TxWork<Tx> =
    Box<dyn for<'t> FnOnce(&'t mut Tx) -> Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>> + Send>;

/// What a worker asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaimRequest {
    /// The time now.
    pub now: Timestamp,
    /// How many sessions at most.
    pub limit: usize,
    /// How long the claims hold unless renewed.
    pub lease: Duration,
    /// Who claims; recorded for people who look.
    pub worker: Arc<str>,
    /// How sessions are ordered.
    pub order: SessionOrder,
    /// After how many crashes an event becomes dead.
    pub max_crashes: u32,
}

impl ClaimRequest {
    /// A request with a lease of 15 s, the default order, and 2 crashes.
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

/// The right to run one event and settle it: which event, and which claim of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// The event's row.
    pub event: RowId,
    /// Which claim of the event, growing with each.
    pub fence: i64,
}

/// A claimed event, and with it its session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// The right to settle it.
    pub lease: Lease,
    /// The endpoint it came to.
    pub endpoint: Arc<str>,
    /// When it was received.
    pub received_at: Timestamp,
    /// Its body as it came.
    pub body: Body,
    /// How often a handler failed.
    pub failures: u32,
    /// How often a lease ran out.
    pub crashes: u32,
    /// How often a stopping worker gave it back.
    pub interruptions: u32,
    /// The handlers that are done with it.
    pub completed: Vec<String>,
    /// The trace it came in.
    pub trace: Option<TraceContext>,
    /// Events that would run after it if nothing else arrives, in their order, up to as many as were
    /// [asked for](NextClaim::following). A store may list none. They belong to this claim: their leases are worth
    /// something only with it, in [`complete_all`](super::EventStore::complete_all), and are not renewed.
    pub following: Vec<Claim>,
}

impl Claim {
    /// A claim of an event that was never run before, for a store to fill in what has happened since.
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
    /// Whether every other handler is done, so that this one settles the event.
    pub last: bool,
    /// Whether to claim the session's next event when this one is settled, and how.
    pub next: Option<NextClaim>,
}

/// Asks for the next event of a session with the settling of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextClaim {
    /// How long the claim holds unless renewed.
    pub lease: Duration,
    /// How the session is ordered.
    pub order: SessionOrder,
    /// How many of the events behind it are to be listed in [`Claim::following`], at most.
    pub following: usize,
}

/// An event that every handler is done with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Which event, and which claim of it.
    pub lease: Lease,
    /// The handlers that were not recorded yet, in the order in which they ran, and what each of them made of it. It is
    /// not empty.
    pub handled: Vec<(Arc<str>, Handled)>,
}

/// A failed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong, for people.
    pub error: String,
    /// How long to wait before it is run again; `None` makes the event a dead letter.
    pub retry_in: Option<Duration>,
    /// Whether later events of the session may be run while this one waits.
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
    /// Whether some session is due now. After a claim that gave out all it could, it waits for another event that
    /// crashed.
    pub held_back: bool,
}

impl NextDue {
    /// The next event is due after this long.
    pub fn new(after: Option<Duration>, held_back: bool) -> Self {
        Self { after, held_back }
    }
}
