//! The dispatcher that stores events.

use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Incoming;
use crate::dispatcher::{DispatchError, DispatchErrorKind, Dispatcher};
use crate::reply::Disposition;
use crate::store::{Accepted, EventStore, StoreError, StoreErrorKind};
use crate::telemetry::{Escaped, target};

/// Stores each event in an [`EventStore`] before it is acknowledged; a [`Worker`](crate::Worker) on the same store
/// handles it afterwards. A crash at any moment loses nothing.
#[derive(Debug, Clone)]
pub struct Inbox<S> {
    store: S,
}

impl<S: EventStore> Inbox<S> {
    /// Creates an inbox over a store.
    pub fn new(store: S) -> Self {
        Self { store }
    }
}

#[async_trait]
impl<S: EventStore> Dispatcher for Inbox<S> {
    async fn dispatch(&self, received: Incoming) -> Result<Disposition, DispatchError> {
        match received {
            Incoming::Event(delivery) => {
                let (endpoint, key) = (delivery.endpoint.clone(), delivery.envelope.idempotency_key.clone());
                match self.store.accept(delivery).await.map_err(|error| not_stored(&error))? {
                    Accepted::New => Ok(Disposition::Stored),
                    Accepted::Duplicate => Ok(Disposition::Duplicate),
                    Accepted::Conflict => {
                        tracing::warn!(target: target::DELIVERY, %endpoint, key = %Escaped(&key), "another body came before under this key; it stays, and the new body is listed as a conflict");
                        Ok(Disposition::Conflict)
                    }
                }
            }
            Incoming::Unreadable(unreadable) => {
                self.store.quarantine(unreadable).await.map_err(|error| not_stored(&error))?;
                Ok(Disposition::Quarantined)
            }
        }
    }
}

fn not_stored(error: &StoreError) -> DispatchError {
    let (kind, retry_after) = match error.kind() {
        StoreErrorKind::Overloaded => (DispatchErrorKind::Overloaded, Duration::from_secs(1)),
        _ => (DispatchErrorKind::Unavailable, Duration::from_secs(5)),
    };
    DispatchError::new(kind, error.to_string(), retry_after)
}
