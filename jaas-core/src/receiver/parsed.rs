//! The content of a request.

use std::sync::Arc;

use bytes::Bytes;

use super::Path;
use crate::delivery::{Delivery, Incoming, Unreadable};
use crate::envelope::{Envelope, Fields};
use crate::settings::{self, SettingsRequest, SettingsRequestError};
use crate::timestamp::Timestamp;

/// The body of an authentic request, by its kind.
pub(super) enum Parsed {
    Event(Delivery),
    Question(Box<Question>),
    Unreadable(Unreadable),
}

/// A question for a settings service.
pub(super) struct Question {
    /// On the settings path this includes bodies that do not name a meeting.
    pub(super) request: Result<SettingsRequest, SettingsRequestError>,
    /// The same body for a receiver without a settings service.
    pub(super) without_service: Incoming,
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
        let asked_about = asks.then(|| match &fields {
            Ok(fields) => settings::asked_about(fields),
            Err(_) => Err(SettingsRequestError::NotAnObject),
        });
        let request = asked_about
            .map(|fqn| fqn.map(|fqn| SettingsRequest::new(endpoint.clone(), now, fqn, body.clone())));
        let received = match envelope {
            Ok(envelope) => Incoming::Event(Delivery::new(endpoint, now, envelope, body)),
            Err(reason) => Incoming::Unreadable(Unreadable::new(endpoint, now, reason, body)),
        };
        match (request, received) {
            (Some(request), without_service) => {
                Self::Question(Box::new(Question { request, without_service }))
            }
            (None, Incoming::Event(delivery)) => Self::Event(delivery),
            (None, Incoming::Unreadable(unreadable)) => Self::Unreadable(unreadable),
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
            assert!(matches!(parse(body, path), Parsed::Event(_)));
        }
    }

    #[test]
    fn on_the_settings_path_every_body_that_is_not_an_event_is_a_question() {
        for body in ["", "[]", "{", "{}", r#"{"idempotencyKey":"k"}"#, r#"{"eventType":"X"}"#] {
            assert!(matches!(parse(body, Path::Events), Parsed::Unreadable(_)), "{body}");
            let Parsed::Question(question) = parse(body, Path::Settings) else { panic!("{body}") };
            assert!(question.request.is_err(), "{body}");
        }
    }

    #[test]
    fn a_question_keeps_the_delivery_for_a_receiver_without_a_service() {
        let Parsed::Question(question) = parse(r#"{"fqn":"a/r"}"#, Path::Events) else { panic!("asked") };
        assert_eq!(question.request.expect("a question").fqn, "a/r");
        assert!(matches!(question.without_service, Incoming::Unreadable(_)));
        let body = r#"{"fqn":"a/r","eventType":"SETTINGS_PROVISIONING","idempotencyKey":"k"}"#;
        let Parsed::Question(question) = parse(body, Path::Events) else { panic!("asked") };
        assert!(matches!(question.without_service, Incoming::Event(_)));
    }
}
