//! A clock that can be set, so that a day of events is stored in a second.

use std::sync::Arc;
use std::time::Instant;

use jaas_core::{Clock, Timestamp};
use parking_lot::Mutex;

/// A clock that goes on from where it was set last.
#[derive(Clone)]
pub(crate) struct Wound(Arc<Mutex<(Timestamp, Instant)>>);

impl Wound {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new((now, Instant::now()))))
    }

    pub(crate) fn set(&self, now: Timestamp) {
        *self.0.lock() = (now, Instant::now());
    }

    pub(crate) fn time(&self) -> Timestamp {
        let (set_to, set_at) = *self.0.lock();
        set_to.saturating_add(set_at.elapsed())
    }

    /// The clock for what is configured with one.
    pub(crate) fn now(&self) -> impl Clock + use<> {
        let clock = self.clone();
        move || clock.time()
    }
}
