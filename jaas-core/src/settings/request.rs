//! The question.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::delivery::Body;
use crate::envelope::Fields;
use crate::id::Fqn;
use crate::lenient;
use crate::timestamp::Timestamp;

/// The `eventType` of a question that has one (seen).
pub const EVENT_TYPE: &str = "SETTINGS_PROVISIONING";

/// What JaaS asks before a meeting: with which settings should it start?
///
/// The body is `{"fqn":"<AppID>/<room>"}` (documented), or the same with `"eventType":"SETTINGS_PROVISIONING"` (seen).
/// It is not an event: it does not have a key or a time, it is not delivered again, and the answer is the response.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_core::settings::SettingsRequest;
///
/// let body = br#"{"fqn":"vpaas-magic-cookie-1/Team%20Room","region":"eu"}"#;
/// let request = SettingsRequest::parse("main", Timestamp::from_secs(1_760_000_000), body.as_slice().into())?;
/// assert_eq!((request.room(), &*request.room_key()), ("Team%20Room", "team room"));
/// assert_eq!(request.field::<String>("region"), Some("eu".to_owned()));
/// # Ok::<(), jaas_core::settings::SettingsRequestError>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SettingsRequest {
    /// The name of the endpoint that received it.
    pub endpoint: Arc<str>,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The meeting's name, as spelled in the question.
    pub fqn: Fqn,
    body: Body,
}

/// Why a body is not a settings question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsRequestError {
    /// It is not a JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// It does not name a meeting.
    #[error("`fqn` is missing, empty or not a string, so the question does not name a meeting")]
    NoFqn,
    /// It is an event.
    #[error("`eventType` is not SETTINGS_PROVISIONING")]
    AnotherType,
    /// It has an `idempotencyKey` and no `eventType`.
    #[error("the body has an `idempotencyKey`, which only events have, and no `eventType`")]
    HasAKey,
}

impl SettingsRequest {
    /// Parses a body. Other keys than `fqn` and `eventType` are tolerated, and so is a byte order mark.
    ///
    /// # Errors
    /// When it is not a question.
    pub fn parse(
        endpoint: impl Into<Arc<str>>,
        received_at: Timestamp,
        body: Bytes,
    ) -> Result<Self, SettingsRequestError> {
        let fqn = asked_about(&Fields::parse(&body).map_err(|_| SettingsRequestError::NotAnObject)?)?;
        Ok(Self::new(endpoint.into(), received_at, fqn, body))
    }

    pub(crate) fn new(endpoint: Arc<str>, received_at: Timestamp, fqn: Fqn, body: Bytes) -> Self {
        Self { endpoint, received_at, fqn, body: body.into() }
    }

    /// The room as spelled: the text in `fqn` after the first `/`.
    pub fn room(&self) -> &str {
        self.fqn.room()
    }

    /// The room in the spelling used for comparison: percent-decoded, then lower-cased.
    pub fn room_key(&self) -> String {
        self.fqn.room_key()
    }

    /// The body, byte for byte as received.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Another key of the body, for fields this crate does not know; `None` when it is absent or not a `T`.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let body = lenient::without_bom(std::str::from_utf8(&self.body).ok()?);
        let mended = lenient::without_lone_surrogates(body);
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(mended.as_deref().unwrap_or(body)).ok()?;
        serde_json::from_value(object.get(name)?.clone()).ok()
    }
}

impl fmt::Debug for SettingsRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsRequest")
            .field("endpoint", &self.endpoint)
            .field("received_at", &self.received_at)
            .field("fqn", &self.fqn)
            .field("body", &self.body)
            .finish()
    }
}

/// Whether this is a question, even one that does not name a meeting.
pub(crate) fn is_question(fields: &Fields<'_>) -> bool {
    is_asked(fields).is_ok_and(|asked| asked) && (fields.fqn.is_some() || fields.event_type.is_some())
}

/// Whether this is a question by its type, or because it has neither type nor key.
fn is_asked(fields: &Fields<'_>) -> Result<bool, SettingsRequestError> {
    let given = |raw: Option<&str>| raw.is_some_and(|raw| !matches!(raw, "null" | "\"\""));
    if given(fields.event_type) {
        let event_type = fields.event_type.and_then(lenient::strict_text);
        return match event_type {
            Some(event_type) if event_type == EVENT_TYPE => Ok(true),
            _ => Err(SettingsRequestError::AnotherType),
        };
    }
    Ok(!given(fields.idempotency_key))
}

/// The meeting in the question.
pub(crate) fn asked_about(fields: &Fields<'_>) -> Result<Fqn, SettingsRequestError> {
    if !is_asked(fields)? {
        return Err(SettingsRequestError::HasAKey);
    }
    let fqn = fields.fqn.and_then(lenient::string);
    fqn.filter(|fqn| !fqn.contains('\0')).map(Fqn::new).ok_or(SettingsRequestError::NoFqn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_one(body: &str) -> bool {
        Fields::parse(body.as_bytes()).is_ok_and(|fields| is_question(&fields))
    }

    fn parse(body: &str) -> Result<String, SettingsRequestError> {
        let request = SettingsRequest::parse("main", Timestamp::from_secs(0), body.to_owned().into());
        request.map(|request| request.fqn.into_string())
    }

    #[test]
    fn a_question_is_known_with_and_without_its_type_and_whatever_else_it_carries() {
        for body in [
            r#"{"fqn":"a/r"}"#,
            r#"{"eventType":"SETTINGS_PROVISIONING","fqn":"a/r"}"#,
            r#"{"fqn":"a/r","eventType":"SETTINGS_PROVISIONING","idempotencyKey":"k","timestamp":1,"data":{}}"#,
            r#" {"x":[{"fqn":"no"}],"fqn":"a\/r","eventType":null,"idempotencyKey":""} "#,
            r#"{"fqn":"b/s","fqn":"a/r"}"#,
            "\u{feff}{\"fqn\":\"a/r\"}",
            r#"{"\ud800":1,"fqn":"a/r"}"#,
        ] {
            assert_eq!(parse(body).as_deref(), Ok("a/r"), "{body}");
            assert!(is_one(body), "{body}");
        }
        for fqn in ["room", "a/b/c", "A/B%2Fc", "a/", "a/\u{1f600}", "a/%zz"] {
            let body = serde_json::json!({ "fqn": fqn }).to_string();
            assert_eq!(parse(&body).as_deref(), Ok(fqn));
        }
    }

    #[test]
    fn a_body_that_is_not_a_question_says_why() {
        for (body, why, asks) in [
            ("", SettingsRequestError::NotAnObject, false),
            ("[]", SettingsRequestError::NotAnObject, false),
            ("{} {}", SettingsRequestError::NotAnObject, false),
            ("{}", SettingsRequestError::NoFqn, false),
            (r#"{"fqn":""}"#, SettingsRequestError::NoFqn, true),
            (r#"{"fqn":{}}"#, SettingsRequestError::NoFqn, true),
            (r#"{"fqn":"a\u0000"}"#, SettingsRequestError::NoFqn, true),
            (r#"{"eventType":"SETTINGS_PROVISIONING"}"#, SettingsRequestError::NoFqn, true),
            (r#"{"eventType":"ROOM_CREATED","fqn":"a/r"}"#, SettingsRequestError::AnotherType, false),
            (r#"{"eventType":7,"fqn":"a/r"}"#, SettingsRequestError::AnotherType, false),
            (r#"{"idempotencyKey":"k","fqn":"a/r"}"#, SettingsRequestError::HasAKey, false),
        ] {
            assert_eq!(parse(body), Err(why), "{body}");
            assert_eq!(is_one(body), asks, "{body}");
        }
    }

    #[test]
    fn a_further_key_decodes_behind_a_mark_and_beside_an_odd_name() {
        let body = "\u{feff}{\"fqn\":\"a/r\",\"\\ud800\":1,\"region\":\"eu\"}";
        let request =
            SettingsRequest::parse("main", Timestamp::from_secs(0), body.into()).expect("a question");
        assert_eq!(request.field::<String>("region").as_deref(), Some("eu"));
    }

    #[test]
    fn debug_shows_no_body() {
        let request =
            SettingsRequest::parse("main", Timestamp::from_secs(0), r#"{"fqn":"a/r","token":"t0"}"#.into());
        assert!(!format!("{request:?}").contains("t0"));
    }
}
