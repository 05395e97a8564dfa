//! How much a worker claims ahead of what it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Ended;

/// A session claimed ahead waits about this long at most; if it would wait longer, another worker should have it.
const WAIT: Duration = Duration::from_millis(50);

/// The maximum claimed ahead, as a multiple of what runs at the same time.
const MOST: usize = 16;

/// The claims of sessions that a worker may hold: as many as may run at the same time, and some ahead of them while its
/// handlers are quick, so that no handler waits for a claim.
#[derive(Debug)]
pub(super) struct Ahead {
    concurrency: usize,
    /// How many claims may be held.
    target: usize,
    /// One permit for each claim that may still be taken.
    slots: Arc<Semaphore>,
    /// How long the run of an event takes, as a moving average.
    run_takes: Option<Duration>,
}

impl Ahead {
    pub(super) fn new(concurrency: usize) -> Self {
        // Nothing is claimed ahead until the length of runs is known.
        Self {
            concurrency,
            target: concurrency,
            slots: Arc::new(Semaphore::new(concurrency)),
            run_takes: None,
        }
    }

    pub(super) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// Whether enough slots are free that a claim is worthwhile.
    pub(super) fn wants_more(&self) -> bool {
        let free = self.slots.available_permits();
        // With nothing ahead, each free handler counts.
        free > 0 && (free * 2 >= self.target || self.target - free < self.concurrency)
    }

    /// Whether every slot is taken.
    pub(super) fn is_full(&self) -> bool {
        self.slots.available_permits() == 0
    }

    /// Waits until a slot is free.
    pub(super) async fn room(&self) {
        let _ = self.slots.acquire().await;
    }

    /// Takes every free slot.
    pub(super) fn take(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.slots.clone().try_acquire_owned().ok()).collect()
    }

    /// Learns from a run how long events take, and so how much to claim ahead.
    pub(super) fn observe(&mut self, ended: &Ended) {
        let events = u32::try_from(ended.events).unwrap_or(u32::MAX).max(1);
        let took = (ended.took / events).min(Duration::from_secs(60));
        let run_takes = self.run_takes.map_or(took, |average| (average * 15 + took) / 16);
        self.run_takes = Some(run_takes);
        let in_time = WAIT.as_micros() / run_takes.as_micros().max(1);
        let rounds = usize::try_from(in_time).unwrap_or(MOST).min(MOST);
        let target = self.concurrency.saturating_mul(1 + rounds).min(Semaphore::MAX_PERMITS);
        if target > self.target {
            self.slots.add_permits(target - self.target);
            self.target = target;
        } else if target < self.target {
            // Slots in use are removed when they are free.
            self.target -= self.slots.forget_permits(self.target - target);
        }
    }
}
