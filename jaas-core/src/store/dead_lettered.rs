//! Reports events that a store dead-lettered by itself.

use super::RowId;
use crate::event::EventKind;
use crate::id::IdempotencyKey;
use crate::telemetry::{self, DeadReason, Escaped, Outcome, target};

/// An event that a store dead-lettered in [`claim`](super::EventStore::claim), because it crashed too often.
///
/// No worker sees this, so the store [reports](Self::report) it once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLettered {
    /// The event's row.
    pub event: RowId,
    /// Its idempotency key.
    pub idempotency_key: IdempotencyKey,
    /// `eventType` as received.
    pub event_type: String,
    /// How often it crashed.
    pub crashes: u32,
    /// How often it ran in total.
    pub attempts: u32,
}

impl DeadLettered {
    /// Creates the report for this event.
    pub fn new(
        event: RowId,
        key: IdempotencyKey,
        event_type: impl Into<String>,
        crashes: u32,
        attempts: u32,
    ) -> Self {
        Self { event, idempotency_key: key, event_type: event_type.into(), crashes, attempts }
    }

    /// Logs and counts the event.
    pub fn report(&self) {
        let Self { event, idempotency_key, event_type, crashes, attempts } = self;
        tracing::error!(
            target: target::WORK, %event, event_type = %Escaped(event_type),
            key = %Escaped(idempotency_key.as_str()), attempts, crashes,
            "crashed too often; dead letter"
        );
        let kind = EventKind::from_wire(event_type);
        telemetry::ended(kind, Outcome::Dead(DeadReason::Crashed), *attempts);
    }
}

/// The note that a store writes on an event that it dead-letters for its crashes.
pub fn crash_note(crashes: u32) -> String {
    format!(
        "crashed too often: {crashes} times the process ended, or its lease expired, while a handler was running"
    )
}
