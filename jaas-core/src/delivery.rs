//! The content of an authentic request.

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::envelope::{Envelope, EnvelopeError};
use crate::event::Event;
use crate::lenient::{self, DecodeError, News, Undecoded};
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

/// One event as delivered: the envelope, the raw bytes, and where and when they arrived.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The name of the endpoint that received it.
    pub endpoint: Arc<str>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The common fields.
    pub envelope: Envelope,
    /// Which run of the handler this is, from 1.
    pub attempt: u32,
    /// The trace it belongs to; the runs of its handlers are part of it.
    pub trace: Option<TraceContext>,
    body: Body,
}

impl Delivery {
    /// Parses the envelope of a body; a body without one comes back as [`Unreadable`].
    ///
    /// # Errors
    /// The same bytes with the reason, when their envelope cannot be parsed.
    pub fn parse(
        endpoint: impl Into<Arc<str>>,
        received_at: Timestamp,
        body: Bytes,
    ) -> Result<Self, Unreadable> {
        match Envelope::parse(&body) {
            Ok(envelope) => Ok(Self::new(endpoint.into(), received_at, envelope, body)),
            Err(reason) => Err(Unreadable::new(endpoint, received_at, reason, body)),
        }
    }

    /// A body whose envelope is parsed.
    pub(crate) fn new(endpoint: Arc<str>, received_at: Timestamp, envelope: Envelope, body: Bytes) -> Self {
        Self { endpoint, received_at, envelope, attempt: 1, trace: None, body: Body(body) }
    }

    /// The same delivery as a later run of the handler.
    #[must_use]
    pub fn with_attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same delivery as part of this trace.
    #[must_use]
    pub fn with_trace(mut self, trace: impl Into<Option<TraceContext>>) -> Self {
        self.trace = trace.into();
        self
    }

    /// The body, byte for byte as received.
    pub fn body(&self) -> &Bytes {
        &self.body.0
    }

    /// The SHA-256 of the body, which distinguishes a duplicate from a conflict.
    pub fn body_hash(&self) -> [u8; 32] {
        self.body.hash()
    }

    /// The raw `data` as JSON text; `null` when the body does not have it.
    pub fn data(&self) -> &str {
        self.envelope
            .data_range()
            .and_then(|range| self.body.0.get(range))
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or("null")
    }

    /// Decodes the raw `data` into your own type, for fields this crate does not know. Half a surrogate pair decodes to
    /// U+FFFD.
    ///
    /// # Errors
    /// When `data` is not a `T`. In a handler, `?` makes that a permanent failure: the same data would not fit the
    /// next time either.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        let data = self.data();
        serde_json::from_str(data)
            // Half a surrogate pair, in a name or a value, affects only itself.
            .or_else(|error| match lenient::without_lone_surrogates(data) {
                Some(mended) => serde_json::from_str(&mended),
                None => Err(error),
            })
            .map_err(|error| DecodeError::wrong_type::<T>(&error))
    }

    /// Decodes the typed payload.
    pub fn event(&self) -> Event {
        Event::parse(self.envelope.kind, self.data())
    }

    /// The wire names of known fields, of the envelope and of `data`, whose values were neither null nor empty and did
    /// not fit: they are absent in the typed payload, and the raw data has them. Decodes the payload again.
    ///
    /// ```
    /// use jaas_core::{Delivery, Timestamp};
    ///
    /// let body = r#"{"idempotencyKey":"k","eventType":"FEEDBACK","timestamp":"soon","data":{"rating":"good"}}"#;
    /// let delivery = Delivery::parse("main", Timestamp::from_secs(1_760_000_000), body.into())?;
    /// assert_eq!(delivery.undecoded_fields(), ["timestamp", "rating"]);
    /// # Ok::<(), jaas_core::Unreadable>(())
    /// ```
    pub fn undecoded_fields(&self) -> Vec<&'static str> {
        self.decoded().1.fields().to_vec()
    }

    /// Decodes the typed payload, and reports what did not fit.
    pub(crate) fn decoded(&self) -> (Event, Undecoded) {
        let mut undecoded = Undecoded::of(self.envelope.undecoded());
        let event = Event::parse_within(self.envelope.kind, self.data(), &mut undecoded);
        (event, undecoded)
    }

    /// Decodes the typed payload, and reports what this version does not know of it.
    pub(crate) fn watched(&self) -> (Event, News) {
        let mut undecoded = Undecoded::watching();
        let event = Event::parse_within(self.envelope.kind, self.data(), &mut undecoded);
        (event, undecoded.into_news())
    }

    /// When the event happened: its `timestamp`, or the time of receipt when it is absent.
    pub fn occurred_at(&self) -> Timestamp {
        self.envelope.timestamp.unwrap_or(self.received_at)
    }
}

/// Authentic bytes whose envelope cannot be parsed: kept in quarantine, never handled.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unreadable {
    /// The name of the endpoint that received them.
    pub endpoint: Arc<str>,
    /// When they arrived.
    pub received_at: Timestamp,
    /// Why they cannot be parsed.
    pub reason: EnvelopeError,
    body: Body,
}

impl Unreadable {
    /// Creates a record of bytes that cannot be parsed for this reason. It does not check the reason: for tests, and
    /// for bytes that an earlier version could not parse.
    pub fn new(
        endpoint: impl Into<Arc<str>>,
        received_at: Timestamp,
        reason: EnvelopeError,
        body: impl Into<Body>,
    ) -> Self {
        Self { endpoint: endpoint.into(), received_at, reason, body: body.into() }
    }

    /// The body, byte for byte as received.
    pub fn body(&self) -> &Bytes {
        &self.body.0
    }

    /// The SHA-256 of the body, under which it is kept.
    pub fn body_hash(&self) -> [u8; 32] {
        self.body.hash()
    }
}

/// An authenticated delivery.
#[derive(Debug, Clone)]
pub enum Incoming {
    /// An event with a valid envelope.
    Event(Delivery),
    /// Bytes whose envelope cannot be parsed.
    Unreadable(Unreadable),
}

impl Incoming {
    pub(crate) fn body(&self) -> &Bytes {
        match self {
            Self::Event(delivery) => delivery.body(),
            Self::Unreadable(unreadable) => unreadable.body(),
        }
    }
}

impl From<Delivery> for Incoming {
    fn from(delivery: Delivery) -> Self {
        Self::Event(delivery)
    }
}

impl From<Unreadable> for Incoming {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// The bytes of a body. `Debug` shows their number only, because bodies hold names and links.
///
/// With serde it is a text in base64, byte for byte, for stores that keep it in a JSON document.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Body(Bytes);

impl serde::Serialize for Body {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> serde::Deserialize<'de> for Body {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'_, str>::deserialize(deserializer)?;
        STANDARD.decode(&*text).map(Self::from).map_err(serde::de::Error::custom)
    }
}

impl Deref for Body {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.0
    }
}

impl PartialEq<Bytes> for Body {
    fn eq(&self, other: &Bytes) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&Bytes> for Body {
    fn eq(&self, other: &&Bytes) -> bool {
        self.0 == **other
    }
}

impl PartialEq<&[u8]> for Body {
    fn eq(&self, other: &&[u8]) -> bool {
        *self.0 == **other
    }
}

impl PartialEq<&str> for Body {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self(bytes.into())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::{HandlerError, Retry};

    #[test]
    fn an_error_of_data_as_shows_no_values_and_is_permanent() {
        let body = r#"{"idempotencyKey":"k","eventType":"X","data":{"name":"Ada"}}"#;
        let delivery = Delivery::parse("main", Timestamp::from_secs(0), body.into()).expect("an envelope");
        let error = delivery
            .data_as::<std::collections::BTreeMap<String, u32>>()
            .expect_err("a name is not a number");
        assert!(error.to_string().contains("line 1") && !error.to_string().contains("Ada"), "{error}");
        assert_eq!(HandlerError::from(error).when_to_retry(), Retry::Never);
        assert_eq!(HandlerError::from("anything else").when_to_retry(), Retry::Backoff);
    }

    #[test]
    fn half_a_surrogate_pair_in_a_name_affects_only_itself() {
        let body =
            r#"{"\ud800":1,"idempotencyKey":"k","eventType":"X","data":{"a":{"\udfff":1,"b":"Ada\ud83d"}}}"#;
        let delivery = Delivery::parse("main", Timestamp::from_secs(0), body.into()).expect("an envelope");
        let data: serde_json::Value = delivery.data_as().expect("read");
        assert_eq!(data, serde_json::json!({"a": {"\u{fffd}": 1, "b": "Ada\u{fffd}"}}));
    }
}
