//! The common fields around every event.

mod fields;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use self::fields::Fields;
use crate::event::EventKind;
use crate::id::{AppId, CustomerId, Fqn, IdempotencyKey, SessionId};
use crate::lenient::{self, Field, Undecoded};
use crate::timestamp::Timestamp;

/// The longest `idempotencyKey`, `eventType` and `sessionId` that is stored, in bytes. Every store must distinguish
/// strings of this length. Nothing is ever cut: a longer key or type makes the envelope invalid, and a longer session
/// decodes to none.
pub const MAX_INDEXED_BYTES: usize = 255;

/// The common fields of an event. `data` is not parsed; see [`Delivery::data`](crate::Delivery::data).
///
/// Only `eventType` and `idempotencyKey` are required. Every other field is `None` (or empty, for `fqn`) when absent or
/// odd, because a mistake of the sender in it must not lose an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// Identifies the event: two deliveries with the same key are the same event.
    pub idempotency_key: IdempotencyKey,
    /// What happened.
    pub kind: EventKind,
    /// `eventType` as received; differs from `kind` only when that is [`EventKind::Unknown`].
    pub event_type: Cow<'static, str>,
    /// The tenant: the part of `fqn` before its first `/`, or else `appId`.
    ///
    /// `fqn` decides because two of 8x8's published examples carry `appId` twice with different values, and
    /// three carry none.
    pub app_id: Option<AppId>,
    /// The JaaS customer.
    pub customer_id: Option<CustomerId>,
    /// The session of the room.
    pub session_id: Option<SessionId>,
    /// The meeting's name; empty when absent.
    pub fqn: Fqn,
    /// When it happened: the source of truth for order (documented).
    pub timestamp: Option<Timestamp>,
    data: Option<Range<usize>>,
    /// Which of the fields were present and did not fit.
    undecoded: Box<[&'static str]>,
}

impl Envelope {
    /// Parses the envelope of a body without parsing its `data`. A byte order mark before it is skipped.
    ///
    /// ```
    /// use jaas_core::event::EventKind;
    /// use jaas_core::Envelope;
    ///
    /// let body = br#"{"idempotencyKey":"k-1","eventType":"ROOM_CREATED","fqn":"vpaas-magic-cookie-1/math","data":{}}"#;
    /// let envelope = Envelope::parse(body)?;
    /// assert_eq!(envelope.kind, EventKind::RoomCreated);
    /// assert_eq!(envelope.app_id.as_ref().unwrap(), &"vpaas-magic-cookie-1");
    /// # Ok::<(), jaas_core::EnvelopeError>(())
    /// ```
    ///
    /// # Errors
    /// When the body is not a JSON object, or `eventType` or `idempotencyKey` is missing, not a string, empty, longer
    /// than [`MAX_INDEXED_BYTES`], or contains U+0000, which not every database can store.
    pub fn parse(body: &[u8]) -> Result<Self, EnvelopeError> {
        Self::decode(&Fields::parse(body)?)
    }

    /// Decodes the common fields of a parsed body.
    pub(crate) fn decode<'a>(fields: &Fields<'a>) -> Result<Self, EnvelopeError> {
        let event_type = required("eventType", fields.event_type)?;
        let kind = EventKind::from_wire(&event_type);
        let mut undecoded = Undecoded::default();
        let mut text = |name, raw: Option<&'a str>, fits: fn(&Cow<'_, str>) -> bool| {
            let raw = raw?;
            undecoded.checked(name, raw, lenient::text(raw).filter(fits))
        };
        // A text that a database could not store is as odd as a value of the wrong type: it stays in the body.
        let fqn = Fqn::new(text("fqn", fields.fqn, |fqn| !has_nul(fqn)).unwrap_or_default());
        let is_storable = |session: &Cow<'_, str>| check_storable("sessionId", session).is_ok();
        let session_id = text("sessionId", fields.session_id, is_storable).map(SessionId::new);
        let app_id = text("appId", fields.app_id, |_| true);
        let app_id = fqn.app_id().map(AppId::from).or_else(|| app_id.map(AppId::new));
        let customer_id = text("customerId", fields.customer_id, |_| true).map(CustomerId::new);
        let timestamp =
            fields.timestamp.and_then(|raw| undecoded.checked("timestamp", raw, Timestamp::parse(raw)));
        Ok(Self {
            idempotency_key: IdempotencyKey::new(required("idempotencyKey", fields.idempotency_key)?),
            kind,
            event_type: match kind {
                EventKind::Unknown => event_type.into_owned().into(),
                known => known.as_str().into(),
            },
            app_id,
            customer_id,
            session_id,
            fqn,
            timestamp,
            data: fields.data.map(|raw| range_within(fields.text, raw)),
            undecoded: undecoded.fields().into(),
        })
    }

    /// Which of the fields did not fit.
    pub(crate) fn undecoded(&self) -> &[&'static str] {
        &self.undecoded
    }

    /// The position of `data` in the body from which this envelope was parsed.
    pub(crate) fn data_range(&self) -> Option<Range<usize>> {
        self.data.clone()
    }
}

fn required<'a>(name: &'static str, raw: Option<&'a str>) -> Result<Cow<'a, str>, EnvelopeError> {
    let missing = || EnvelopeError::new(EnvelopeErrorKind::Missing, format!("`{name}` is missing or empty"));
    let text = lenient::strict_text(raw.ok_or_else(missing)?).ok_or_else(|| {
        EnvelopeError::new(EnvelopeErrorKind::NotAString, format!("`{name}` is not a string"))
    })?;
    if text.is_empty() {
        return Err(missing());
    }
    check_storable(name, &text)?;
    Ok(text)
}

/// Refuses what a database would cut or refuse.
#[expect(clippy::ptr_arg, reason = "whether the text is borrowed says whether it had escapes")]
fn check_storable(name: &'static str, text: &Cow<'_, str>) -> Result<(), EnvelopeError> {
    if has_nul(text) {
        return Err(EnvelopeError::new(EnvelopeErrorKind::Nul, format!("`{name}` contains U+0000")));
    }
    if text.len() > MAX_INDEXED_BYTES {
        let bytes = text.len();
        let message =
            format!("`{name}` is {bytes} bytes long, and at most {MAX_INDEXED_BYTES} can be stored");
        return Err(EnvelopeError::new(EnvelopeErrorKind::TooLong, message));
    }
    Ok(())
}

#[expect(clippy::ptr_arg, reason = "whether the text is borrowed says whether it had escapes")]
fn has_nul(text: &Cow<'_, str>) -> bool {
    // JSON has it as an escape only, and text with escapes is not borrowed.
    matches!(text, Cow::Owned(text) if text.contains('\0'))
}

/// `part` was borrowed from `whole`, so its address gives its position.
fn range_within(whole: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    start..start + part.len()
}

/// Why the envelope of authentic bytes cannot be parsed. They are quarantined, not refused. The message never quotes the
/// body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EnvelopeError {
    kind: EnvelopeErrorKind,
    message: Cow<'static, str>,
}

/// Why bytes are not a valid envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EnvelopeErrorKind {
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not a JSON object.
    NotAnObject,
    /// The body is not JSON.
    NotJson,
    /// A required field is missing or empty.
    Missing,
    /// A required field is not a string.
    NotAString,
    /// A required field contains the character U+0000, which not every database can store.
    Nul,
    /// A required field is too long to be stored unharmed.
    TooLong,
}

impl EnvelopeError {
    pub(crate) fn new(kind: EnvelopeErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Bytes that are not a JSON object, such as an empty body.
    pub fn not_an_object() -> Self {
        Self::new(EnvelopeErrorKind::NotAnObject, "the body is not a JSON object")
    }

    fn not_json(error: &serde_json::Error) -> Self {
        Self::new(EnvelopeErrorKind::NotJson, format!("the body is not JSON: {error}"))
    }

    /// Why the envelope cannot be parsed.
    pub fn kind(&self) -> EnvelopeErrorKind {
        self.kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Envelope, EnvelopeError> {
        Envelope::parse(body.as_bytes())
    }

    #[test]
    fn a_repeated_app_id_parses_and_the_tenant_in_fqn_decides() {
        let envelope = parse(r#"{"appId":"a","idempotencyKey":"k","eventType":"X","appId":"b","fqn":"c/r"}"#)
            .expect("readable");
        assert_eq!(envelope.app_id, Some(AppId::new("c")));
        let envelope =
            parse(r#"{"appId":"a","idempotencyKey":"k","eventType":"X","fqn":"r"}"#).expect("readable");
        assert_eq!(envelope.app_id, Some(AppId::new("a")));
    }

    #[test]
    fn odd_common_fields_are_absent() {
        let envelope = parse(
            r#"{"idempotencyKey":"k","eventType":"X","sessionId":"a\u0000","timestamp":"soon","fqn":"b\u0000","customerId":{},"appId":true}"#,
        )
        .expect("readable");
        assert_eq!(
            (envelope.session_id, envelope.timestamp, envelope.customer_id, envelope.app_id),
            (None, None, None, None)
        );
        assert_eq!(envelope.fqn, "");
    }

    #[test]
    fn a_body_without_an_envelope_says_why() {
        let long = format!(r#"{{"idempotencyKey":"{}","eventType":"X"}}"#, "k".repeat(300));
        for (body, reason) in [
            (&b""[..], "the body is not a JSON object"),
            (b"[]", "the body is not a JSON object"),
            (b"\xff\xfe{}", "the body is not UTF-8 (byte 0)"),
            (b"{\"a\":", "the body is not JSON: EOF while parsing a value at line 1 column 5"),
            (b"{} {}", "the body is not JSON: trailing characters at line 1 column 4"),
            (b"{\"idempotencyKey\":\"k\"}", "`eventType` is missing or empty"),
            (b"{\"eventType\":\"X\"}", "`idempotencyKey` is missing or empty"),
            (b"{\"eventType\":\"X\",\"idempotencyKey\":\"\"}", "`idempotencyKey` is missing or empty"),
            (b"{\"eventType\":\"X\",\"idempotencyKey\":\"a\\u0000\"}", "`idempotencyKey` contains U+0000"),
            (b"{\"eventType\":\"X\",\"idempotencyKey\":1}", "`idempotencyKey` is not a string"),
            (long.as_bytes(), "`idempotencyKey` is 300 bytes long, and at most 255 can be stored"),
        ] {
            assert_eq!(Envelope::parse(body).expect_err("no envelope").to_string(), reason);
        }
    }

    #[test]
    fn data_is_found_byte_for_byte() {
        let body = r#"{"idempotencyKey":"k","eventType":"X","data": {"a" : 1e999, "a":2} , "z":1}"#;
        let range = parse(body).expect("readable").data_range().expect("data");
        assert_eq!(&body[range], r#"{"a" : 1e999, "a":2}"#);
        let behind_a_mark = format!("\u{feff} {body}");
        let range = parse(&behind_a_mark).expect("readable").data_range().expect("data");
        assert_eq!(&behind_a_mark[range], r#"{"a" : 1e999, "a":2}"#);
    }

    #[test]
    fn data_nested_without_end_is_not_followed() {
        let body = format!(
            r#"{{"idempotencyKey":"k","eventType":"X","data":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(parse(&body).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_parse_without_a_panic(body: Vec<u8>) {
            let _ = Envelope::parse(&body);
        }
    }
}
