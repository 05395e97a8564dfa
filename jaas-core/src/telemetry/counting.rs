//! What is counted of events, in a worker and in `Direct` alike.

use super::{DEAD_LETTERS, EVENT_ATTEMPTS, EVENTS, Escaped, Keys, UNDECODED_FIELDS, UNKNOWN_EVENTS, target};
use crate::delivery::Delivery;
use crate::event::{Event, EventKind, UnknownReason};

/// Decodes the payload, and counts what did not fit, at the first run.
pub(crate) fn decoded(delivery: &Delivery) -> Event {
    let (event, undecoded) = delivery.decoded();
    if delivery.attempt > 1 {
        return event;
    }
    let (kind, key) = (delivery.envelope.kind.as_str(), &delivery.envelope.idempotency_key);
    if let Event::Unknown(reason) = &event {
        let reason = match reason {
            UnknownReason::Type => "type",
            UnknownReason::Data(error) => {
                // It goes past the method that the application has written for its type.
                tracing::warn!(
                    target: target::WORK, event_type = kind, key = %Escaped(key), reason = %Escaped(error),
                    "an event of a known type cannot be decoded; it goes to EventHandler::unknown",
                );
                "data"
            }
        };
        UNKNOWN_EVENTS.add(1, [reason.into()]);
    }
    if !undecoded.fields().is_empty() {
        tracing::debug!(target: target::WORK, kind, key = %Escaped(key), fields = ?undecoded.fields(), "some known fields did not fit");
    }
    for field in undecoded.fields() {
        UNDECODED_FIELDS.add(1, [kind.into(), (*field).into()]);
    }
    event
}

/// How a run of an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Handled,
    Ignored,
    Retry,
    Dead(DeadReason),
}

/// Why an event was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeadReason {
    Permanent,
    Exhausted,
    Crashed,
    Unreadable,
}

impl Outcome {
    const MANY: usize = 4;

    const fn index(self) -> usize {
        match self {
            Self::Handled => 0,
            Self::Ignored => 1,
            Self::Retry => 2,
            Self::Dead(_) => 3,
        }
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Handled => "handled",
            Self::Ignored => "ignored",
            Self::Retry => "retry",
            Self::Dead(_) => "dead",
        }
    }
}

impl DeadReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Exhausted => "exhausted",
            Self::Crashed => "crashed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Counts a run of an event that ended, the `attempt`th.
pub(crate) fn ended(kind: EventKind, outcome: Outcome, attempt: u32) {
    static RUNS: Keys<{ EventKind::MANY * Outcome::MANY }> = Keys::new();
    static ATTEMPTS: Keys<{ EventKind::MANY * Outcome::MANY }> = Keys::new();
    let place = kind as usize * Outcome::MANY + outcome.index();
    let labels = || [kind.as_str().into(), outcome.as_str().into()];
    EVENTS.add_to(RUNS.at(place, || EVENTS.key(labels())), 1);
    if let Outcome::Dead(reason) = outcome {
        DEAD_LETTERS.add(1, [kind.as_str().into(), reason.as_str().into()]);
    }
    if outcome != Outcome::Retry {
        EVENT_ATTEMPTS.record_in(ATTEMPTS.at(place, || EVENT_ATTEMPTS.key(labels())), f64::from(attempt));
    }
}
