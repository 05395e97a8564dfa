//! The content of a request.

use std::sync::Arc;

use bytes::Bytes;

use super::Path;
use crate::delivery::{Delivery, Incoming, Unreadable};
use crate::envelope::{Envelope, Fields};
use crate::settings::{self, SettingsRequest, SettingsRequestError};
use crate::timestamp::Timestamp;

/// The body of an authentic request.
pub(super) enum Parsed {
    /// An event or an unreadable body, for the dispatcher.
    Incoming(Incoming),
    /// A question for the settings service, and the delivery it is for a receiver without one. On the settings path this
    /// includes bodies that do not name a meeting.
    Question(Result<SettingsRequest, SettingsRequestError>, Incoming),
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
        match question {
            Some(question) => Self::Question(question, incoming),
            None => Self::Incoming(incoming),
        }
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
            assert!(matches!(parse(body, path), Parsed::Incoming(Incoming::Event(_))));
        }
    }

    #[test]
    fn on_the_settings_path_every_body_that_is_not_an_event_is_a_question() {
        for body in ["", "[]", "{", "{}", r#"{"idempotencyKey":"k"}"#, r#"{"eventType":"X"}"#] {
            let among_events = parse(body, Path::Events);
            assert!(matches!(among_events, Parsed::Incoming(Incoming::Unreadable(_))), "{body}");
            assert!(matches!(parse(body, Path::Settings), Parsed::Question(Err(_), _)), "{body}");
        }
    }

    #[test]
    fn a_question_keeps_the_delivery_for_a_receiver_without_a_service() {
        let Parsed::Question(Ok(question), Incoming::Unreadable(_)) = parse(r#"{"fqn":"a/r"}"#, Path::Events)
        else {
            panic!("not a question");
        };
        assert_eq!(question.fqn, "a/r");
        let body = r#"{"fqn":"a/r","eventType":"SETTINGS_PROVISIONING","idempotencyKey":"k"}"#;
        assert!(matches!(parse(body, Path::Events), Parsed::Question(Ok(_), Incoming::Event(_))));
    }
}
