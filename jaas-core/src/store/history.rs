//! What a store tells about what was tried and done.

use std::sync::Arc;

use super::{PageRequest, RowId};
use crate::id::IdempotencyKey;
use crate::named::named_enum;
use crate::timestamp::Timestamp;

named_enum! {
    /// How an attempt ended that did not succeed.
    #[non_exhaustive]
    pub enum AttemptOutcome {
        /// A handler failed.
        Failed = "failed",
        /// Its lease ran out: the process ended, or could not reach the store.
        Crashed = "crashed",
        /// A stopping worker gave it back.
        Interrupted = "interrupted",
    }
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Its row.
    pub id: RowId,
    /// The event that was run.
    pub event: RowId,
    /// The claim it ran under.
    pub fence: i64,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What the handlers said; for failures.
    pub error: Option<String>,
    /// When its end was recorded.
    pub ended_at: Timestamp,
}

impl Attempt {
    /// An attempt of this event, for a store to fill in who ran it and the error.
    pub fn new(id: RowId, event: RowId, fence: i64, outcome: AttemptOutcome, ended_at: Timestamp) -> Self {
        Self { id, event, fence, worker: None, outcome, error: None, ended_at }
    }
}

/// Which attempts to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptQuery {
    /// Of this event.
    pub event: Option<RowId>,
    /// That ended so.
    pub outcome: Option<AttemptOutcome>,
    /// Which page.
    pub page: PageRequest,
}

/// What the dead letters of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadLetterKey {
    /// Their `eventType`.
    pub event_type: String,
    /// Their last error.
    pub error: Option<String>,
}

/// Dead letters of one event type with the same error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetterGroup {
    /// What they have in common; with it they are listed, replayed and discarded
    /// ([`EventQuery::dead_letter`](super::EventQuery::dead_letter)).
    pub key: DeadLetterKey,
    /// How many there are.
    pub count: u64,
    /// When the first of them was given up.
    pub first_at: Timestamp,
    /// When the last of them was given up.
    pub last_at: Timestamp,
}

impl DeadLetterGroup {
    /// At most this many groups are returned.
    pub const MAX_GROUPS: usize = 100;

    /// A group of `count` dead letters.
    pub fn new(key: DeadLetterKey, count: u64, first_at: Timestamp, last_at: Timestamp) -> Self {
        Self { key, count, first_at, last_at }
    }
}

/// Who intervenes, and why: kept with what they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditNote {
    /// A person or a program.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl AuditNote {
    /// A note of who and why.
    pub fn new(by: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Self {
        Self { by: by.into(), reason: reason.into() }
    }
}

named_enum! {
    /// What an operator did to an event.
    #[non_exhaustive]
    pub enum AuditAction {
        /// Made it wait again, or took a body with its key out of quarantine.
        Replayed = "replayed",
        /// Gave it up.
        Discarded = "discarded",
        /// Erased its body.
        Erased = "erased",
        /// Looked at its body.
        Revealed = "revealed",
    }
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its row.
    pub id: RowId,
    /// The event's row; it may be purged by now.
    pub event: RowId,
    /// The endpoint the event came to.
    pub endpoint: Arc<str>,
    /// The event's key.
    pub idempotency_key: IdempotencyKey,
    /// What was done.
    pub action: AuditAction,
    /// Who, and why.
    pub note: AuditNote,
    /// When.
    pub at: Timestamp,
}

impl AuditEntry {
    /// An entry.
    pub fn new(
        id: RowId,
        event: RowId,
        (endpoint, key): (Arc<str>, IdempotencyKey),
        action: AuditAction,
        note: AuditNote,
        at: Timestamp,
    ) -> Self {
        Self { id, event, endpoint, idempotency_key: key, action, note, at }
    }
}
