//! The question.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::delivery::Body;
use crate::lenient;
use crate::{Fqn, Timestamp};

/// The `eventType` of a question that has one (seen).
pub const EVENT_TYPE: &str = "SETTINGS_PROVISIONING";

/// What JaaS asks before a meeting: which settings should it start with?
///
/// The body is `{"fqn":"<AppID>/<room>"}` (documented), or the same with `"eventType":"SETTINGS_PROVISIONING"` (seen).
/// It is no event: it has no key and no time, it is not delivered again, and the answer goes into the response.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_core::settings::SettingsRequest;
///
/// let body = br#"{"fqn":"vpaas-magic-cookie-1/Team%20Room","region":"eu"}"#;
/// let request = SettingsRequest::read("main", Timestamp::from_secs(1_760_000_000), body.as_slice().into())?;
/// assert_eq!((request.room(), &*request.room_key()), ("Team%20Room", "team room"));
/// assert_eq!(request.field::<String>("region"), Some("eu".to_owned()));
/// # Ok::<(), jaas_core::settings::NotAQuestion>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct SettingsRequest {
    /// The name of the endpoint it came to.
    pub endpoint: Arc<str>,
    /// When it came.
    pub received_at: Timestamp,
    /// The meeting's name, as it was spelt.
    pub fqn: Fqn,
    body: Body,
}

/// Why a body is no settings question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAQuestion {
    /// It is no JSON object.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// It names no meeting.
    #[error("`fqn` is missing, empty or no string, so it is not known which meeting is asked about")]
    NoFqn,
    /// It is an event.
    #[error("`eventType` is another one than SETTINGS_PROVISIONING")]
    AnotherType,
    /// It has an `idempotencyKey` and no `eventType`.
    #[error("it has an `idempotencyKey`, which only events have, and no `eventType`")]
    HasAKey,
}

impl SettingsRequest {
    /// Reads a body. Keys beside `fqn` and `eventType` are tolerated, and so is a byte order mark.
    ///
    /// # Errors
    /// When it is no question.
    pub fn read(
        endpoint: impl Into<Arc<str>>,
        received_at: Timestamp,
        body: Bytes,
    ) -> Result<Self, NotAQuestion> {
        let fields = Fields::read(&body).ok_or(NotAQuestion::NotAnObject)?;
        if !fields.is_asked()? {
            return Err(NotAQuestion::HasAKey);
        }
        let fqn = fields.fqn.and_then(|raw| lenient::string(raw.get()));
        let fqn = fqn.filter(|fqn| !fqn.contains('\0')).ok_or(NotAQuestion::NoFqn)?;
        Ok(Self { endpoint: endpoint.into(), received_at, fqn: Fqn::new(fqn), body: body.into() })
    }

    /// The room as it was spelt: what stands in `fqn` after the first `/`.
    pub fn room(&self) -> &str {
        self.fqn.room()
    }

    /// The room in the spelling used for comparison: percent-decoded, then lower-cased.
    pub fn room_key(&self) -> String {
        self.fqn.room_key()
    }

    /// The body, byte for byte as it came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// A further key of the body, for what this crate does not know; `None` when it is absent or no `T`.
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

/// Whether a body is a question, also one that does not say which meeting it is about.
pub(crate) fn is_question(body: &[u8]) -> bool {
    Fields::read(body).is_some_and(|fields| {
        fields.is_asked().is_ok_and(|asked| asked) && (fields.fqn.is_some() || fields.event_type.is_some())
    })
}

#[derive(Default)]
struct Fields<'a> {
    event_type: Option<&'a RawValue>,
    idempotency_key: Option<&'a RawValue>,
    fqn: Option<&'a RawValue>,
}

impl<'a> Fields<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let body = lenient::without_bom(std::str::from_utf8(body).ok()?);
        let mut json = serde_json::Deserializer::from_str(body);
        let fields = json.deserialize_map(FieldsVisitor).ok()?;
        json.end().ok()?;
        Some(fields)
    }

    /// Whether this is a question by its type, or by having neither type nor key.
    fn is_asked(&self) -> Result<bool, NotAQuestion> {
        let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\""));
        if given(self.event_type) {
            let event_type = self.event_type.and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
            return match event_type {
                Some(event_type) if event_type == EVENT_TYPE => Ok(true),
                _ => Err(NotAQuestion::AnotherType),
            };
        }
        Ok(!given(self.idempotency_key))
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(lenient::Key(key)) = map.next_key()? {
            let raw = Some(map.next_value()?);
            match &*key {
                "eventType" => fields.event_type = raw,
                "idempotencyKey" => fields.idempotency_key = raw,
                "fqn" => fields.fqn = raw,
                _ => {}
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<String, NotAQuestion> {
        let request = SettingsRequest::read("main", Timestamp::from_secs(0), body.to_owned().into());
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
            assert_eq!(read(body).as_deref(), Ok("a/r"), "{body}");
            assert!(is_question(body.as_bytes()), "{body}");
        }
        for fqn in ["room", "a/b/c", "A/B%2Fc", "a/", "a/\u{1f600}", "a/%zz"] {
            let body = serde_json::json!({ "fqn": fqn }).to_string();
            assert_eq!(read(&body).as_deref(), Ok(fqn));
        }
    }

    #[test]
    fn what_is_no_question_says_why() {
        for (body, why, is_one) in [
            ("", NotAQuestion::NotAnObject, false),
            ("[]", NotAQuestion::NotAnObject, false),
            ("{} {}", NotAQuestion::NotAnObject, false),
            ("{}", NotAQuestion::NoFqn, false),
            (r#"{"fqn":""}"#, NotAQuestion::NoFqn, true),
            (r#"{"fqn":{}}"#, NotAQuestion::NoFqn, true),
            (r#"{"fqn":"a\u0000"}"#, NotAQuestion::NoFqn, true),
            (r#"{"eventType":"SETTINGS_PROVISIONING"}"#, NotAQuestion::NoFqn, true),
            (r#"{"eventType":"ROOM_CREATED","fqn":"a/r"}"#, NotAQuestion::AnotherType, false),
            (r#"{"eventType":7,"fqn":"a/r"}"#, NotAQuestion::AnotherType, false),
            (r#"{"idempotencyKey":"k","fqn":"a/r"}"#, NotAQuestion::HasAKey, false),
        ] {
            assert_eq!(read(body), Err(why), "{body}");
            assert_eq!(is_question(body.as_bytes()), is_one, "{body}");
        }
    }

    #[test]
    fn a_further_key_is_read_behind_a_mark_and_beside_an_odd_name() {
        let body = "\u{feff}{\"fqn\":\"a/r\",\"\\ud800\":1,\"region\":\"eu\"}";
        let request =
            SettingsRequest::read("main", Timestamp::from_secs(0), body.into()).expect("a question");
        assert_eq!(request.field::<String>("region").as_deref(), Some("eu"));
    }

    #[test]
    fn debug_shows_no_body() {
        let request =
            SettingsRequest::read("main", Timestamp::from_secs(0), r#"{"fqn":"a/r","token":"t0"}"#.into());
        assert!(!format!("{request:?}").contains("t0"));
    }
}
