//! The content of a request.

use std::sync::Arc;

use bytes::Bytes;

use super::Path;
use crate::delivery::{Delivery, Incoming, Unreadable};
use crate::envelope::{Envelope, Fields};
use crate::settings::{self, SettingsRequest, SettingsRequestError};
use crate::timestamp::Timestamp;

/// The body of an authentic request.
pub(super) struct Parsed {
    /// The delivery for a receiver without a settings service.
    pub(super) incoming: Incoming,
    /// The question for a settings service, if the body is one. On the settings path this includes bodies that do not name
    /// a meeting.
    pub(super) question: Option<Result<SettingsRequest, SettingsRequestError>>,
}

impl Parsed {
    /// Parses a body, once.
    pub(super) fn parse(endpoint: Arc<str>, now: Timestamp, body: Bytes, path: Path) -> Self {
        let fields = Fields::parse(&body);
        let envelope = match &fields {
            Ok(fields) => Envelope::decode(fields),
            Err(reason) => Err(reason.clone()),
        };
        let asks =
            (path == Path::Settings && envelope.is_err()) || fields.as_ref().is_ok_and(settings::is_question);
        let question = asks.then(|| {
            let fqn = match &fields {
                Ok(fields) => settings::asked_about(fields),
                Err(_) => Err(SettingsRequestError::NotAnObject),
            };
            fqn.map(|fqn| SettingsRequest::new(endpoint.clone(), now, fqn, body.clone()))
        });
        let incoming = match envelope {
            Ok(envelope) => Incoming::Event(Delivery::new(endpoint, now, envelope, body)),
            Err(reason) => Incoming::Unreadable(Unreadable::new(endpoint, now, reason, body)),
        };
        Self { incoming, question }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &'static str, path: Path) -> Parsed {
        Parsed::parse("main".into(), Timestamp::from_secs(0), Bytes::from_static(body.as_bytes()), path)
    }

    #[test]
    fn the_data_of_an_event_is_not_parsed() {
        // Any attempt to decode this data as numbers or text would fail.
        let body =
            r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","data":{"conference":1e999,"x":"\ud800"}}"#;
        for path in [Path::Events, Path::Settings] {
            let parsed = parse(body, path);
            assert!(matches!(parsed.incoming, Incoming::Event(_)) && parsed.question.is_none());
        }
    }

    #[test]
    fn on_the_settings_path_every_body_that_is_not_an_event_is_a_question() {
        for body in ["", "[]", "{", "{}", r#"{"idempotencyKey":"k"}"#, r#"{"eventType":"X"}"#] {
            let parsed = parse(body, Path::Events);
            assert!(matches!(parsed.incoming, Incoming::Unreadable(_)), "{body}");
            assert!(parsed.question.is_none(), "{body}");
            assert!(parse(body, Path::Settings).question.expect("a question").is_err(), "{body}");
        }
    }

    #[test]
    fn a_question_keeps_the_delivery_for_a_receiver_without_a_service() {
        let parsed = parse(r#"{"fqn":"a/r"}"#, Path::Events);
        assert_eq!(parsed.question.expect("asked").expect("a question").fqn, "a/r");
        assert!(matches!(parsed.incoming, Incoming::Unreadable(_)));
        let body = r#"{"fqn":"a/r","eventType":"SETTINGS_PROVISIONING","idempotencyKey":"k"}"#;
        let parsed = parse(body, Path::Events);
        assert!(matches!(parsed.incoming, Incoming::Event(_)) && parsed.question.is_some());
    }
}
