//! What a store records about attempts and operators.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PageRequest, RowId};
use crate::id::IdempotencyKey;
use crate::named::named_enum;
use crate::timestamp::Timestamp;

named_enum! {
    /// How an unsuccessful attempt ended.
    #[non_exhaustive]
    pub enum AttemptOutcome {
        /// A handler failed.
        Failed = "failed",
        /// Its lease expired: the process ended, or could not reach the store.
        Crashed = "crashed",
        /// A stopping worker gave it back.
        Interrupted = "interrupted",
    }
}

/// An attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its row.
    pub id: RowId,
    /// The event that was run.
    pub event: RowId,
    /// The claim under which it ran.
    pub fence: i64,
    /// The worker that ran it.
    pub worker: Option<String>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The handlers' errors; for failures.
    pub error: Option<String>,
    /// When its end was recorded.
    pub ended_at: Timestamp,
}

impl Attempt {
    /// Creates an attempt of this event; the store sets who ran it and the error.
    pub fn new(id: RowId, event: RowId, fence: i64, outcome: AttemptOutcome, ended_at: Timestamp) -> Self {
        Self { id, event, fence, worker: None, outcome, error: None, ended_at }
    }
}

/// Which attempts to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttemptQuery {
    /// Attempts of this event.
    pub event: Option<RowId>,
    /// Attempts with this outcome.
    pub outcome: Option<AttemptOutcome>,
    /// Which page.
    pub page: PageRequest,
}

impl AttemptQuery {
    /// Whether an attempt matches every field that is set. The page is not looked at.
    pub fn matches(&self, attempt: &Attempt) -> bool {
        self.event.is_none_or(|event| attempt.event == event)
            && self.outcome.is_none_or(|outcome| attempt.outcome == outcome)
    }
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
    /// What they have in common; use it to list, replay and discard them
    /// ([`EventQuery::dead_letter`](super::EventQuery::dead_letter)).
    pub key: DeadLetterKey,
    /// How many of the [newest](DeadLetterGroup::MAX_EVENTS) dead letters there are in it.
    pub count: u64,
    /// When the first of these became a dead letter.
    pub first_at: Timestamp,
    /// When the last of these became a dead letter.
    pub last_at: Timestamp,
}

impl DeadLetterGroup {
    /// How many dead letters are grouped: the newest ones by their rows. So grouping takes no longer when a broken handler
    /// has left a hundred thousand. [`StoreStats`](super::StoreStats) has the number of all dead letters.
    pub const MAX_EVENTS: usize = 1_000;

    /// The maximum number of groups returned.
    pub const MAX_GROUPS: usize = 100;

    /// Creates a group of `count` dead letters.
    pub fn new(key: DeadLetterKey, count: u64, first_at: Timestamp, last_at: Timestamp) -> Self {
        Self { key, count, first_at, last_at }
    }
}

/// Who intervenes, and why; stored with the action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditNote {
    /// A person or a program.
    pub by: Arc<str>,
    /// Why.
    pub reason: Arc<str>,
}

impl AuditNote {
    /// Creates a note of who and why.
    pub fn new(by: impl Into<Arc<str>>, reason: impl Into<Arc<str>>) -> Self {
        Self { by: by.into(), reason: reason.into() }
    }
}

named_enum! {
    /// What an operator did to an event.
    #[non_exhaustive]
    pub enum AuditAction {
        /// Replayed it, or took a body with its key out of quarantine.
        Replayed = "replayed",
        /// Discarded it.
        Discarded = "discarded",
        /// Erased its body.
        Erased = "erased",
        /// Read its body.
        Revealed = "revealed",
        /// Tried its handlers in transactions that were rolled back.
        Rehearsed = "rehearsed",
    }
}

/// An entry of the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its row.
    pub id: RowId,
    /// The event's row; it may have been purged since.
    pub event: RowId,
    /// The endpoint that received the event.
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
    /// Creates an entry.
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
