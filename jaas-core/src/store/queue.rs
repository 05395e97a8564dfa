//! What an event waits for.

use super::RowId;
use super::order::Head;
use crate::timestamp::Timestamp;

/// The queue in which an event waits or runs: that of its session, or its own if it has no session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// The event that runs now.
    pub running: Option<RunningEvent>,
    /// The event that happened first among the waiting events that hold back later ones.
    pub first: Option<Head>,
    /// The event whose back-off ends first among the waiting events that others [may
    /// pass](super::Failure::passable).
    pub passed: Option<Head>,
    /// When workers look at the queue next; while an event runs, the end of its lease.
    pub due_at: Timestamp,
    /// Whether the event that is next has crashed before, so that it runs only while no other such event runs.
    pub suspect: bool,
    /// Whether later events may pass the event that was asked about.
    pub passable: bool,
}

impl QueueState {
    /// Creates a queue in which nothing runs or waits; the store sets the rest.
    pub fn new(due_at: Timestamp) -> Self {
        Self { running: None, first: None, passed: None, due_at, suspect: false, passable: false }
    }
}

/// An event that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningEvent {
    /// Its row.
    pub event: RowId,
    /// The worker that claimed it.
    pub worker: Option<String>,
    /// When its lease ends, unless the worker renews it.
    pub leased_until: Timestamp,
}

impl RunningEvent {
    /// Creates an event that this worker runs until its lease ends.
    pub fn new(event: RowId, worker: Option<String>, leased_until: Timestamp) -> Self {
        Self { event, worker, leased_until }
    }
}
