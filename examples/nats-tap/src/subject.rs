//! Where an event is published, and under which id.

use jaas_core::{Delivery, file_name};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The first token of each subject; the stream has all subjects below it.
pub(crate) const ROOT: &str = "jaas";

/// Stands for an absent part. No part is encoded to it.
const ABSENT: &str = "~";

/// A longer part is replaced by a hash, so that a subject fits the 4 KiB of a line of the protocol.
const MAX_TOKEN: usize = 200;

/// A dot separates the tokens of a subject, `*` and `>` are wildcards, and blanks end it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// `jaas.<app>.<type>.<session>`, each part percent-encoded: `jaas.vpaas-magic-cookie-1.ROOM_CREATED.7f4c1a52`.
pub(crate) fn subject(delivery: &Delivery) -> String {
    let envelope = &delivery.envelope;
    let app = token(envelope.app_id.as_ref().map(|id| id.as_str()));
    let session = token(envelope.session_id.as_ref().map(|id| id.as_str()));
    format!("{ROOT}.{app}.{}.{session}", token(Some(&envelope.event_type)))
}

/// Identifies the event among all messages: the stream drops a second message with the same id.
pub(crate) fn message_id(delivery: &Delivery) -> String {
    let encoded = |text| utf8_percent_encode(text, ENCODED);
    format!("{}/{}", encoded(&delivery.endpoint), encoded(delivery.envelope.idempotency_key.as_str()))
}

fn token(text: Option<&str>) -> String {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return ABSENT.to_owned() };
    let token = utf8_percent_encode(text, ENCODED).to_string();
    if token.len() > MAX_TOKEN { file_name(text) } else { token }
}

#[cfg(test)]
mod tests {
    use jaas_core::Timestamp;

    use super::*;

    fn delivery(endpoint: &str, body: &str) -> Delivery {
        Delivery::parse(endpoint, Timestamp::from_secs(1), body.to_owned().into()).expect("an envelope")
    }

    #[test]
    fn parts_that_nats_would_misread_are_encoded() {
        let body = r#"{"idempotencyKey":"a/b\r\nc","eventType":"ODD.TYPE *","sessionId":"> .\u0007é","fqn":"app.1/r"}"#;
        let delivery = delivery("one/two", body);
        assert_eq!(subject(&delivery), "jaas.app%2E1.ODD%2ETYPE%20%2A.%3E%20%2E%07%C3%A9");
        assert_eq!(message_id(&delivery), "one%2Ftwo/a%2Fb%0D%0Ac");
    }

    #[test]
    fn absent_parts_and_long_ones_are_tokens_too() {
        let absent = delivery("main", r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED"}"#);
        assert_eq!(subject(&absent), "jaas.~.ROOM_CREATED.~");
        let literal =
            delivery("main", r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","sessionId":"~"}"#);
        assert_eq!(subject(&literal), "jaas.~.ROOM_CREATED.%7E");
        let long = |end: &str| {
            let session = format!("{}{end}", "é".repeat(100));
            let body =
                format!(r#"{{"idempotencyKey":"k","eventType":"ROOM_CREATED","sessionId":"{session}"}}"#);
            subject(&delivery("main", &body))
        };
        assert!(long("a").len() < 100 && long("a") != long("b"), "{}", long("a"));
    }
}
