//! How much a worker claims ahead of what it runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::session::Ended;

/// What is claimed ahead waits no longer than about this: longer, and it would be better off with another worker.
const WAIT: Duration = Duration::from_millis(50);

/// At most this many times what runs at once is claimed ahead.
const MOST: usize = 16;

/// Claims of sessions that a worker may hold: as many as may run at once, and some ahead of them while its handlers are
/// quick, so that no handler waits for a claim.
#[derive(Debug)]
pub(super) struct Ahead {
    concurrency: usize,
    /// How many claims may be held.
    target: usize,
    /// One for each claim that may still be taken.
    slots: Arc<Semaphore>,
    /// How long the run of an event takes, as a moving average.
    run_takes: Option<Duration>,
}

impl Ahead {
    pub(super) fn new(concurrency: usize) -> Self {
        // Nothing is claimed ahead until it is known how long runs take.
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

    /// Whether so much has been used up that a claim is worth its while.
    pub(super) fn wants_more(&self) -> bool {
        let free = self.slots.available_permits();
        // With nothing ahead, each handler that is free counts.
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

    /// Takes every slot that is free.
    pub(super) fn take(&self) -> Vec<OwnedSemaphorePermit> {
        std::iter::from_fn(|| self.slots.clone().try_acquire_owned().ok()).collect()
    }

    /// Learns from a run how long events take, and how much is worth claiming ahead.
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
            // Slots in use are taken away when they are free.
            self.target -= self.slots.forget_permits(self.target - target);
        }
    }
}
