//! Bodies that have no readable envelope, and why.

use std::collections::BTreeMap;
use std::fs;

use jaas_core::store::tools::MAX_INDEXED_BYTES;
use jaas_core::{Delivery, EnvelopeError, Unreadable};

use crate::reading::RECEIVED_AT;

fn unreadable(body: &[u8]) -> Unreadable {
    Delivery::parse("main", RECEIVED_AT, body.to_vec().into()).expect_err("unreadable")
}

#[test]
fn every_unreadable_body_of_the_testkit_is_kept_with_the_reason() {
    let missing = |name| EnvelopeError::Missing { name };
    let expected = BTreeMap::from([
        ("array.json", EnvelopeError::NotAnObject),
        ("empty-idempotency-key.json", missing("idempotencyKey")),
        ("empty.txt", EnvelopeError::NotAnObject),
        ("event-type-number.json", EnvelopeError::NotAString { name: "eventType" }),
        ("no-event-type.json", missing("eventType")),
        ("no-idempotency-key.json", missing("idempotencyKey")),
        ("not-json.txt", EnvelopeError::NotAnObject),
        ("not-utf8.bin", EnvelopeError::NotUtf8 { at: 0 }),
        ("null.json", EnvelopeError::NotAnObject),
        ("string.json", EnvelopeError::NotAnObject),
        ("trailing-garbage.json", not_json("trailing characters at line 14 column 1")),
        ("truncated.json", not_json("EOF while parsing a string at line 11 column 12")),
    ]);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../jaas-testkit/unreadable");
    let mut seen = 0;
    for entry in fs::read_dir(folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let body = fs::read(&path).expect("the file");
        let unreadable = unreadable(&body);
        assert_eq!(Some(&unreadable.reason), expected.get(name), "{name}");
        assert_eq!((&unreadable.body()[..], unreadable.received_at), (&body[..], RECEIVED_AT), "{name}");
        seen += 1;
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn a_key_or_type_that_no_store_could_keep_is_not_readable() {
    let body =
        |key: &str, event_type: &str| format!(r#"{{"idempotencyKey":"{key}","eventType":"{event_type}"}}"#);
    let longest = "é".repeat(MAX_INDEXED_BYTES / 2);
    assert!(Delivery::parse("main", RECEIVED_AT, body(&longest, "X").into()).is_ok());
    assert!(Delivery::parse("main", RECEIVED_AT, body("k", &longest).into()).is_ok());
    let long = "é".repeat(MAX_INDEXED_BYTES / 2 + 1);
    for (name, body) in [("idempotencyKey", body(&long, "X")), ("eventType", body("k", &long))] {
        assert_eq!(unreadable(body.as_bytes()).reason, EnvelopeError::TooLong { name, bytes: 256 });
    }
    for (name, body) in [("idempotencyKey", body(r"k\u0000", "X")), ("eventType", body("k", r"X\u0000"))] {
        assert_eq!(unreadable(body.as_bytes()).reason, EnvelopeError::Nul { name });
    }
}

/// Everything else in the envelope may be odd: a mistake of the sender there must not cost the event.
#[test]
fn no_other_field_of_the_envelope_makes_a_body_unreadable() {
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

fn not_json(reason: &str) -> EnvelopeError {
    EnvelopeError::NotJson { reason: reason.to_owned() }
}
