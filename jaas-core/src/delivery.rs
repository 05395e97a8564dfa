//! What an authentic request carried.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::Timestamp;
use crate::envelope::{Envelope, EnvelopeError};
use crate::event::{Event, EventHandler};
use crate::handler::{Context, HandlerResult};

/// One event as it was delivered: the envelope, the raw bytes, and where and when they came.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The name of the endpoint it came to.
    pub endpoint: Arc<str>,
    /// When it came.
    pub received_at: Timestamp,
    /// The common fields.
    pub envelope: Envelope,
    /// Which run of the handler this is, from 1; 0 before the first.
    pub attempt: u32,
    body: Body,
}

impl Delivery {
    /// Reads the envelope of a body; a body without one comes back as [`Unreadable`].
    ///
    /// # Errors
    /// The same bytes with the reason, when they have no readable envelope.
    pub fn read(
        endpoint: impl Into<Arc<str>>,
        received_at: Timestamp,
        body: Bytes,
    ) -> Result<Self, Unreadable> {
        let endpoint = endpoint.into();
        match Envelope::read(&body) {
            Ok(envelope) => Ok(Self { endpoint, received_at, envelope, attempt: 0, body: Body(body) }),
            Err(reason) => Err(Unreadable { endpoint, received_at, reason, body: Body(body) }),
        }
    }

    /// The same delivery as a later run of the handler.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The body, byte for byte as it came.
    pub fn body(&self) -> &Bytes {
        &self.body.0
    }

    /// The SHA-256 of the body, by which a duplicate is told from a conflict.
    pub fn body_hash(&self) -> [u8; 32] {
        self.body.hash()
    }

    /// The raw `data` as JSON text; `null` when the body has none.
    pub fn data(&self) -> &str {
        self.envelope
            .data_range()
            .and_then(|range| self.body.0.get(range))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or("null")
    }

    /// The raw `data` decoded into a type of your own, for fields this crate does not know.
    ///
    /// # Errors
    /// What serde_json reports.
    pub fn data_as<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.data())
    }

    /// Decodes the typed payload.
    pub fn event(&self) -> Event {
        Event::read(self.envelope.kind, self.data())
    }

    /// Gives the event to a handler as the worker does: decodes it and calls
    /// [`any_event`](EventHandler::any_event). In unit tests, the shortest way to call a handler.
    ///
    /// # Errors
    /// What the handler returns.
    pub async fn handle<Tx: Send>(
        &self,
        handler: &(impl EventHandler<Tx> + ?Sized),
        tx: &mut Tx,
    ) -> HandlerResult {
        handler.any_event(&mut Context::new(self, tx), &self.event()).await
    }

    /// When the event happened: its `timestamp`, or the time of receipt when it has none.
    pub fn occurred_at(&self) -> Timestamp {
        self.envelope.timestamp.unwrap_or(self.received_at)
    }
}

/// Authentic bytes without a readable envelope: kept in quarantine, never handled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unreadable {
    /// The name of the endpoint they came to.
    pub endpoint: Arc<str>,
    /// When they came.
    pub received_at: Timestamp,
    /// Why they cannot be read.
    pub reason: EnvelopeError,
    body: Body,
}

impl Unreadable {
    /// The body, byte for byte as it came.
    pub fn body(&self) -> &Bytes {
        &self.body.0
    }

    /// The SHA-256 of the body, under which it is kept.
    pub fn body_hash(&self) -> [u8; 32] {
        self.body.hash()
    }
}

/// What passed authentication.
#[derive(Debug, Clone)]
pub enum Received {
    /// A readable event.
    Event(Delivery),
    /// Bytes without a readable envelope.
    Unreadable(Unreadable),
}

/// A body; its `Debug` shows the length only, because bodies hold names and links.
#[derive(Clone)]
struct Body(Bytes);

impl Body {
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}
