//! Telling of events that a store gave up by itself.

use super::RowId;
use crate::event::EventKind;
use crate::id::IdempotencyKey;
use crate::telemetry::{self, DeadReason, Escaped, Outcome, target};

/// An event that a store gave up in [`claim`](super::EventStore::claim), because it crashed too often.
///
/// No worker sees that, so the store [reports](Self::report) it, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLettered {
    /// The event's row.
    pub event: RowId,
    /// Its key.
    pub idempotency_key: IdempotencyKey,
    /// `eventType` as it came.
    pub event_type: String,
    /// How often it crashed.
    pub crashes: u32,
    /// How often it was run in all.
    pub attempts: u32,
}

impl DeadLettered {
    /// A burial of this event.
    pub fn new(
        event: RowId,
        key: IdempotencyKey,
        event_type: impl Into<String>,
        crashes: u32,
        attempts: u32,
    ) -> Self {
        Self { event, idempotency_key: key, event_type: event_type.into(), crashes, attempts }
    }

    /// Logs and counts it.
    pub fn report(&self) {
        let Self { event, idempotency_key, event_type, crashes, attempts } = self;
        tracing::error!(
            target: target::WORK, %event, event_type = %Escaped(event_type),
            key = %Escaped(idempotency_key.as_str()), attempts, crashes,
            "given up after crashes; dead letter"
        );
        let kind = EventKind::from_wire(event_type);
        telemetry::ended(kind, Outcome::Dead(DeadReason::Crashed), *attempts);
    }
}

/// What a store notes on an event that it buries for its crashes.
pub fn crash_note(crashes: u32) -> String {
    format!("given up: {crashes} times the process ended, or its lease ran out, while a handler was running")
}
