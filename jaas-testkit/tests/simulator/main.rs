//! The simulator: scripts by hand, random meetings, the sender, and what holds in any order.
#![allow(clippy::expect_used, clippy::panic)]

mod causality;
mod independence;
mod projection;
mod random;
mod script;
mod sender;
mod shapes;

use jaas_core::event::EventKind;

/// Events of the table that no action of a meeting leaves, each with the reason.
const NOT_SIMULATED: &[(EventKind, &str)] = &[];

/// The events that the simulator has to bring about.
fn simulated() -> Vec<EventKind> {
    let is_left_out = |kind: &EventKind| NOT_SIMULATED.iter().any(|(left_out, _)| left_out == kind);
    EventKind::ALL.iter().copied().filter(|kind| !is_left_out(kind)).collect()
}
