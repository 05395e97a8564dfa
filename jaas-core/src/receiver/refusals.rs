//! Whether every delivery is refused.

use std::sync::atomic::{AtomicU32, Ordering};

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// This many consecutive refusals make a receiver one that refuses.
pub(super) const MANY: u32 = 20;

/// This long after the last refusal it is tried again.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// The deliveries that the dispatcher has refused since it last accepted one.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    in_a_row: AtomicU32,
    /// Locked by who is refused, and by who asks; never by who is taken.
    last: Mutex<Option<Instant>>,
}

impl Refusals {
    pub(super) fn refused(&self) {
        *self.last() = Some(Instant::now());
        let one_more = |refused: u32| Some(refused.saturating_add(1));
        let _ = self.in_a_row.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
    }

    pub(super) fn taken(&self) {
        // Written only when it says something else: all threads read it.
        if self.in_a_row.load(Ordering::Relaxed) > 0 {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
    }

    /// Whether the last deliveries were all refused, and the last of them recently.
    pub(super) fn are_many(&self) -> bool {
        let recent = self.last().is_some_and(|last| last.elapsed() < PAUSE);
        recent && self.in_a_row.load(Ordering::Relaxed) >= MANY
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock()
    }
}
