//! The members of a body, as written: the common basis of an envelope and a settings question.

use super::{EnvelopeError, EnvelopeErrorKind};
use crate::lenient;

/// The known members, undecoded, of one parse of a body.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    /// The body.
    pub(super) text: &'a str,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) event_type: Option<&'a str>,
    pub(super) app_id: Option<&'a str>,
    pub(super) customer_id: Option<&'a str>,
    pub(super) session_id: Option<&'a str>,
    pub(crate) fqn: Option<&'a str>,
    pub(super) timestamp: Option<&'a str>,
    pub(super) data: Option<&'a str>,
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
        let mut fields = Self { text: body, ..Self::default() };
        let members = lenient::members_of(text, |name, raw| {
            let field = match name {
                "idempotencyKey" => &mut fields.idempotency_key,
                "eventType" => &mut fields.event_type,
                "appId" => &mut fields.app_id,
                "customerId" => &mut fields.customer_id,
                "sessionId" => &mut fields.session_id,
                "fqn" => &mut fields.fqn,
                "timestamp" => &mut fields.timestamp,
                "data" => &mut fields.data,
                _ => return,
            };
            // Real bodies repeat `appId`. The last one counts.
            *field = Some(raw);
        });
        members.map_err(|error| EnvelopeError::not_json(&error))?;
        Ok(fields)
    }
}
