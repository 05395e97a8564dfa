//! The members of a body, as written: the common basis of an envelope and a settings question.

use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{EnvelopeError, EnvelopeErrorKind};
use crate::lenient;

/// The known members, undecoded, of one parse of a body.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    /// The body.
    pub(super) text: &'a str,
    pub(crate) idempotency_key: Option<&'a RawValue>,
    pub(crate) event_type: Option<&'a RawValue>,
    pub(super) app_id: Option<&'a RawValue>,
    pub(super) customer_id: Option<&'a RawValue>,
    pub(super) session_id: Option<&'a RawValue>,
    pub(crate) fqn: Option<&'a RawValue>,
    pub(super) timestamp: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Parses a body without its `data`. A byte order mark before it is skipped.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let body = std::str::from_utf8(body).map_err(|error| {
            let message = format!("the body is not UTF-8 (byte {})", error.valid_up_to());
            EnvelopeError::new(EnvelopeErrorKind::NotUtf8, message)
        })?;
        let text = lenient::without_bom(body);
        if !text.trim_ascii_start().starts_with('{') {
            return Err(EnvelopeError::not_an_object());
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let fields = json.deserialize_map(FieldsVisitor).map_err(|error| EnvelopeError::not_json(&error))?;
        json.end().map_err(|error| EnvelopeError::not_json(&error))?;
        Ok(Self { text: body, ..fields })
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    // By hand because a derived struct refuses a repeated key, and real bodies repeat `appId`.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(lenient::Key(key)) = map.next_key()? {
            let raw = Some(map.next_value()?);
            match &*key {
                "idempotencyKey" => fields.idempotency_key = raw,
                "eventType" => fields.event_type = raw,
                "appId" => fields.app_id = raw,
                "customerId" => fields.customer_id = raw,
                "sessionId" => fields.session_id = raw,
                "fqn" => fields.fqn = raw,
                "timestamp" => fields.timestamp = raw,
                "data" => fields.data = raw,
                _ => {}
            }
        }
        Ok(fields)
    }
}
