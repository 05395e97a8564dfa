//! Whether every delivery is refused.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// This many consecutive refusals make a receiver one that refuses.
pub(super) const MANY: u32 = 20;

/// This long after the last refusal it is tried again.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// The deliveries that the dispatcher has refused since it last accepted one.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(u32, Option<Instant>)>);

impl Refusals {
    pub(super) fn refused(&self) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals = (refusals.0.saturating_add(1), Some(Instant::now()));
    }

    pub(super) fn taken(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
    }

    /// Whether the last deliveries were all refused, and the last of them recently.
    pub(super) fn are_many(&self) -> bool {
        let (in_a_row, last) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        in_a_row >= MANY && last.is_some_and(|last| last.elapsed() < PAUSE)
    }
}
