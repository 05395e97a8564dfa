//! The way from the receiver to the handlers.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Incoming;
use crate::reply::Disposition;

/// Takes responsibility for authenticated deliveries. [`Inbox`](crate::Inbox) stores them for a worker;
/// [`Direct`](crate::Direct) calls the handlers immediately. For your own implementation,
/// `jaas_testkit::dispatcher_conformance!` turns every bullet below into a test.
#[async_trait]
pub trait Dispatcher: Send + Sync + 'static {
    /// Takes one delivery. The receiver turns `Ok` into 200, so it must mean that the delivery is safe; `Err` becomes
    /// 503, and the sender delivers again.
    ///
    /// The future may be dropped when the sender hangs up: work that must not be aborted belongs in a task of the
    /// dispatcher.
    ///
    /// # Errors
    /// When the delivery could not be made safe; the error says when the sender should try again.
    ///
    /// # Behavior
    /// - `dispatch_takes_an_event_once`: a copy is a [`Duplicate`](Disposition::Duplicate), however often it comes.
    /// - `dispatch_takes_one_of_many_concurrent_copies`; the others are duplicates, or refused while that one is in
    ///   progress.
    /// - `dispatch_compares_keys_byte_for_byte`, and those of different endpoints are different.
    /// - `dispatch_distinguishes_a_duplicate_from_a_conflict`: another body under a known key is a
    ///   [`Conflict`](Disposition::Conflict), and the first stays.
    /// - `dispatch_takes_unknown_types`, and data of any shape.
    /// - `dispatch_quarantines_bodies_without_an_envelope`, every time it comes.
    /// - `dispatch_takes_a_failed_event_when_it_comes_again`: an `Err` burns no key, and asks for a delay that is not
    ///   zero.
    /// - `dispatch_loses_and_doubles_nothing_when_the_sender_hangs_up`: whenever its future is dropped, later copies
    ///   are accepted, or are duplicates of an accepted one.
    async fn dispatch(&self, received: Incoming) -> Result<Disposition, DispatchError>;
}

/// Forwards, so a dispatcher can be shared by several receivers.
impl<D: Dispatcher + ?Sized> Dispatcher for Arc<D> {
    // What `async_trait` makes of an async function, without a future around the future.
    fn dispatch<'a, 'f>(
        &'a self,
        received: Incoming,
    ) -> Pin<Box<dyn Future<Output = Result<Disposition, DispatchError>> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        (**self).dispatch(received)
    }
}

/// A delivery that could not be accepted now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DispatchError {
    kind: DispatchErrorKind,
    message: String,
    retry_after: Duration,
}

/// Why a delivery could not be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DispatchErrorKind {
    /// The database, or whatever else keeps the delivery, is unavailable.
    Unavailable,
    /// Too much is in flight.
    Overloaded,
    /// The handler failed, or did not end in time.
    HandlerFailed,
}

impl DispatchError {
    /// Creates an error for a delivery that could not be accepted because of `message`. The sender is asked to
    /// deliver it again after `retry_after`.
    pub fn new(kind: DispatchErrorKind, message: impl Into<String>, retry_after: Duration) -> Self {
        Self { kind, message: message.into(), retry_after }
    }

    /// Why it could not be accepted.
    pub fn kind(&self) -> DispatchErrorKind {
        self.kind
    }

    /// After which time the sender should deliver again.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

const _: fn(&dyn Dispatcher) = |_| {};
