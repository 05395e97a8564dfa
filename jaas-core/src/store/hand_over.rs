//! How `jaas-diesel`'s store for PostgreSQL hands events directly to a worker of the same process, which saves the worker the
//! claim. Hidden from the docs, because it is no part of the contract of stores.
//!
//! The store claims an event with its insert, in the same commit. It may do so only while [`HandOver::slot`] has room, and only
//! with events that [`claim`](super::EventStore::claim) would return immediately: while an event of a session waits or runs,
//! the next one is not handed over. An event is either handed over, with a lease like that of a claim, or left to be claimed,
//! but not both. An event that is not new is not handed over, and its slot is free again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Claim;

/// The channel from a store to a worker of the same process, for events that the store claims for the worker as it
/// accepts them.
#[derive(Clone)]
pub struct HandOver {
    slots: Arc<Semaphore>,
    open: Arc<AtomicBool>,
    claims: mpsc::UnboundedSender<HandedOver>,
    worker: Arc<str>,
    lease: Duration,
}

impl HandOver {
    /// Creates a channel to a worker of this name, which runs as many events at the same time as `slots` has permits.
    /// Events that are handed over come out of the receiver. The channel is initially closed.
    pub fn new(
        worker: impl Into<Arc<str>>,
        slots: Arc<Semaphore>,
        lease: Duration,
    ) -> (Self, mpsc::UnboundedReceiver<HandedOver>) {
        // Unbounded, but never longer than the number of slots: each claim in it holds one.
        let (claims, receiver) = mpsc::unbounded_channel();
        (Self { slots, open: Arc::default(), claims, worker: worker.into(), lease }, receiver)
    }

    /// Opens or closes it. A worker keeps it closed while older events wait, so that new events do not overtake them.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// Takes a slot, if the channel is open and a slot is free. Take it before you claim the event, and drop it when
    /// the event was not claimed.
    pub fn slot(&self) -> Option<Slot> {
        if !self.open.load(Ordering::Acquire) || self.claims.is_closed() {
            return None;
        }
        let permit = self.slots.clone().try_acquire_owned().ok()?;
        Some(Slot { permit, claims: self.claims.clone() })
    }

    /// Whether the worker is gone.
    pub fn is_closed(&self) -> bool {
        self.claims.is_closed()
    }

    /// The worker's name.
    pub fn worker(&self) -> &Arc<str> {
        &self.worker
    }

    /// How long its claims hold unless renewed.
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandOver").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// Room for one more event in a worker.
#[derive(Debug)]
#[must_use = "a dropped slot is free again"]
pub struct Slot {
    permit: OwnedSemaphorePermit,
    claims: mpsc::UnboundedSender<HandedOver>,
}

impl Slot {
    /// Hands over a claim that is committed.
    ///
    /// # Errors
    /// Returns the claim when the worker is gone; the caller must then leave the event as if it had not been claimed.
    pub fn give(self, claim: Claim) -> Result<(), Box<Claim>> {
        let handed = HandedOver { claim, slot: self.permit };
        self.claims.send(handed).map_err(|refused| Box::new(refused.0.claim))
    }
}

/// A claim handed over, and the slot it occupies until it is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct HandedOver {
    /// The claim.
    pub claim: Claim,
    /// The slot it occupies.
    pub slot: OwnedSemaphorePermit,
}
