//! The way from the receiver to the handlers.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Received;
use crate::reply::Disposition;

/// Takes responsibility for what passed authentication. [`Inbox`](crate::Inbox) stores it for a worker;
/// [`Direct`](crate::Direct) calls the handlers at once.
#[async_trait]
pub trait Dispatcher: Send + Sync + 'static {
    /// Takes one delivery. `Ok` is answered 200, so it must mean that the delivery is safe; `Err` is answered
    /// 503, and the sender delivers again.
    ///
    /// The future may be dropped when the sender hangs up: work that must not be cut off belongs in a task of
    /// the dispatcher's own.
    async fn dispatch(&self, received: Received) -> Result<Disposition, DispatchError>;
}

/// Forwards, so a dispatcher can be shared by several receivers.
#[async_trait]
impl<D: Dispatcher + ?Sized> Dispatcher for Arc<D> {
    async fn dispatch(&self, received: Received) -> Result<Disposition, DispatchError> {
        (**self).dispatch(received).await
    }
}

/// A delivery that could not be taken now.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DispatchError {
    message: String,
    retry_after: Duration,
}

impl DispatchError {
    /// A delivery that could not be taken because of `message`; the sender is asked to come back after
    /// `retry_after`.
    pub fn new(message: impl Into<String>, retry_after: Duration) -> Self {
        Self { message: message.into(), retry_after }
    }

    /// When the sender should come back.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

const _: fn(&dyn Dispatcher) = |_| {};
