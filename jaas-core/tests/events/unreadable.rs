//! Bodies whose envelope cannot be parsed, and why.

use std::collections::BTreeMap;
use std::fs;

use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::{Delivery, EnvelopeErrorKind, Unreadable};

use crate::parsing::RECEIVED_AT;

fn unreadable(body: &[u8]) -> Unreadable {
    Delivery::parse("main", RECEIVED_AT, body.to_vec().into()).expect_err("unreadable")
}

#[test]
fn every_body_without_an_envelope_is_kept_with_the_reason() {
    let object = (EnvelopeErrorKind::NotAnObject, "the body is not a JSON object");
    let missing = |message| (EnvelopeErrorKind::Missing, message);
    let not_json = |message| (EnvelopeErrorKind::NotJson, message);
    let expected = BTreeMap::from([
        ("array.json", object),
        ("empty-idempotency-key.json", missing("`idempotencyKey` is missing or empty")),
        ("empty.txt", object),
        ("event-type-number.json", (EnvelopeErrorKind::NotAString, "`eventType` is not a string")),
        ("no-event-type.json", missing("`eventType` is missing or empty")),
        ("no-idempotency-key.json", missing("`idempotencyKey` is missing or empty")),
        ("not-json.txt", object),
        ("not-utf8.bin", (EnvelopeErrorKind::NotUtf8, "the body is not UTF-8 (byte 0)")),
        ("null.json", object),
        ("string.json", object),
        ("trailing-garbage.json", not_json("the body is not JSON: trailing characters at line 14 column 1")),
        ("truncated.json", not_json("the body is not JSON: EOF while parsing a string at line 11 column 12")),
    ]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../jaas-testkit/unreadable");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let body = fs::read(&path).expect("the file");
        let unreadable = unreadable(&body);
        let reason = (unreadable.reason.kind(), &*unreadable.reason.to_string());
        assert_eq!(Some(&reason), expected.get(name), "{name}");
        assert_eq!((&unreadable.body()[..], unreadable.received_at), (&body[..], RECEIVED_AT), "{name}");
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn a_key_or_type_that_no_store_could_keep_is_refused() {
    let body =
        |key: &str, event_type: &str| format!(r#"{{"idempotencyKey":"{key}","eventType":"{event_type}"}}"#);
    let longest = "é".repeat(MAX_INDEXED_BYTES / 2);
    assert!(Delivery::parse("main", RECEIVED_AT, body(&longest, "X").into()).is_ok());
    assert!(Delivery::parse("main", RECEIVED_AT, body("k", &longest).into()).is_ok());
    let long = "é".repeat(MAX_INDEXED_BYTES / 2 + 1);
    for (name, body) in [("idempotencyKey", body(&long, "X")), ("eventType", body("k", &long))] {
        let reason = unreadable(body.as_bytes()).reason;
        assert_eq!(reason.kind(), EnvelopeErrorKind::TooLong);
        assert_eq!(reason.to_string(), format!("`{name}` is 256 bytes long, and at most 255 can be stored"));
    }
    for (name, body) in [("idempotencyKey", body(r"k\u0000", "X")), ("eventType", body("k", r"X\u0000"))] {
        let reason = unreadable(body.as_bytes()).reason;
        assert_eq!(
            (reason.kind(), reason.to_string()),
            (EnvelopeErrorKind::Nul, format!("`{name}` contains U+0000"))
        );
    }
}

/// Everything else in the envelope may be odd: such a mistake of the sender must not cost the event.
#[test]
fn no_other_field_of_the_envelope_prevents_parsing() {
    let long = format!("\"{}\"", "x".repeat(1000));
    for field in ["customerId", "appId", "sessionId", "timestamp", "fqn", "data", "other"] {
        for value in
            ["null", "true", "-1", "1e999", "\"\"", r#""a\u0000b""#, r#""\ud800""#, "[[]]", "{}", &long]
        {
            let body = format!(r#"{{"idempotencyKey":"k","eventType":"ROOM_CREATED","{field}":{value}}}"#);
            let read = Delivery::parse("main", RECEIVED_AT, body.into());
            assert!(read.is_ok(), "{field}: {value}: {}", read.expect_err("unreadable").reason);
        }
    }
}
