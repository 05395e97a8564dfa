//! The errors of a store.

use std::error::Error;
use std::fmt;

use super::{EventState, Lease, RowId};

/// An error of a store: what kind, which operation, and the cause.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a store's error means to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The database cannot be reached, cannot write (full, read-only) or did not respond in time. Try later.
    Unavailable,
    /// More calls are waiting than the store allows. Try later.
    Overloaded,
    /// The store was closed.
    Closed,
    /// The lease is no longer held: it expired and the event was claimed again or settled.
    StaleLease,
    /// There is no such row.
    NotFound,
    /// The row exists already.
    Exists,
    /// The event is waiting or running, so it cannot be replayed; or one of the events to erase is running.
    NotSettled,
    /// The event is running or done, or was discarded before, so it cannot be discarded.
    NotDiscardable,
    /// The event's body was erased, so it cannot be run again.
    Erased,
    /// The query sets no field, so it would mean every event.
    EmptyQuery,
    /// The transaction could not be committed because of what was written in it.
    Refused,
    /// The handler ended the transaction it was given, or left a nested one open, so its writes and the event's
    /// completion cannot be committed together.
    TransactionEnded,
    /// The store holds data that this version cannot decode.
    Corrupt,
}

impl StoreError {
    /// Creates an error of this kind; the message names the operation and the remedy.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the error means to the caller.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::Overloaded)
    }

    /// The claim is no longer held.
    pub fn stale(operation: &str, lease: Lease) -> Self {
        Self::new(
            StoreErrorKind::StaleLease,
            format!("cannot {operation}: claim {} of event {} is no longer held", lease.fence, lease.event),
        )
    }

    /// There is no such event.
    pub fn not_found(event: RowId) -> Self {
        Self::new(StoreErrorKind::NotFound, format!("there is no event {event}"))
    }

    /// The event cannot be replayed, because it waits or runs.
    pub fn not_settled(event: RowId, state: EventState) -> Self {
        Self::new(
            StoreErrorKind::NotSettled,
            format!(
                "event {event} is {state}, and only done, ignored, dead and discarded events can be replayed"
            ),
        )
    }

    /// The event cannot be discarded in this state.
    pub fn not_discardable(event: RowId, state: EventState) -> Self {
        Self::new(
            StoreErrorKind::NotDiscardable,
            format!("event {event} is {state}, and only waiting, ignored and dead events can be discarded"),
        )
    }

    /// The event no longer has its body.
    pub fn erased(event: RowId) -> Self {
        Self::new(
            StoreErrorKind::Erased,
            format!("event {event} cannot be run again: its body was erased on request"),
        )
    }

    /// The query matches everything.
    pub fn empty_query() -> Self {
        Self::new(
            StoreErrorKind::EmptyQuery,
            "the query sets no field, so it would replay every event; set at least one field",
        )
    }

    /// Some events of the session run, so they were not erased.
    pub fn some_are_running(running: u64) -> Self {
        Self::new(
            StoreErrorKind::NotSettled,
            format!("nothing was erased: {running} events of the session are running; try again later"),
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // `Display` already shows the first cause, so the chain continues after it.
        self.source.as_deref().and_then(Error::source)
    }
}
