//! Whether the run of a session continues with its next event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// While other sessions wait, the run of one session continues for about this long before they have their turn.
const TURN: Duration = Duration::from_millis(100);

/// What the loop of a worker shares with its runs.
#[derive(Debug, Default)]
pub(super) struct Pace {
    stopping: AtomicBool,
    crowded: AtomicBool,
}

impl Pace {
    /// Lets no run continue.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Sets whether other sessions wait for a handler.
    pub(super) fn set_crowded(&self, crowded: bool) {
        self.crowded.store(crowded, Ordering::Relaxed);
    }

    /// Whether other sessions wait for a handler.
    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// Whether a run that has taken this long continues.
    pub(super) fn goes_on(&self, ran_for: Duration) -> bool {
        let others_turn = self.is_crowded() && ran_for > TURN;
        !(self.stopping.load(Ordering::Relaxed) || others_turn)
    }
}
