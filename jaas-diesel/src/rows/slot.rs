//! The row of a count that a writer changes.

#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::new_event::NewEvent;

/// Each count is spread over this many rows, so that writers seldom wait for each other.
const SLOTS: i64 = 16;

/// The slot for a writer that changes this row.
pub(crate) fn slot(row: i64) -> i16 {
    i16::try_from(row.rem_euclid(SLOTS)).unwrap_or(0)
}

/// The slot of probes. No other writer changes its rows, so a probe, which is rolled back, delays no writer.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const SLOT_OF_PROBES: i16 = SLOTS as i16;

/// The slot for a group of new events.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn slot_of(events: &[&NewEvent]) -> i16 {
    match events.first() {
        Some(event) if event.is_probe() => SLOT_OF_PROBES,
        Some(event) => slot(event.received_at),
        None => 0,
    }
}
