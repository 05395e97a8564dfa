//! The testkit's fixture of each event: every documented field is there as a typed value.

use jaas_core::Fqn;
use jaas_core::event::EventKind;
use jaas_testkit::fixture;
use serde_json::Value;

use crate::parsing::*;

#[test]
fn every_documented_field_is_typed() {
    for fixture in fixture::EVENTS {
        assert_typed("fixture", fixture.name, &read(fixture.body));
    }
}

#[test]
fn every_fixture_has_the_envelope_of_its_event() {
    let mut keys = Vec::new();
    for fixture in fixture::EVENTS {
        let wire: Value = serde_json::from_str(fixture.body).expect("JSON");
        let delivery = read(fixture.body);
        let envelope = &delivery.envelope;
        assert_eq!((envelope.kind.as_str(), &*envelope.event_type), (fixture.name, fixture.name));
        assert_eq!(Some(envelope.idempotency_key.as_str()), wire["idempotencyKey"].as_str());
        assert_eq!(text(&envelope.app_id), Some(APP), "{}", fixture.name);
        assert_eq!(envelope.app_id.as_ref().and_then(|app| app.customer_id()), Some(CUSTOMER));
        assert_eq!(text(&envelope.customer_id), Some(CUSTOMER), "{}", fixture.name);
        assert_eq!(text(&envelope.session_id), Some(SESSION), "{}", fixture.name);
        assert_eq!((&envelope.fqn, envelope.fqn.room()), (&Fqn::new(FQN), "math"));
        assert_eq!(envelope.timestamp.map(|at| at.as_millis()), wire["timestamp"].as_i64());
        assert_eq!(Some(delivery.occurred_at()), envelope.timestamp);
        assert_eq!(delivery.data_as::<Value>().expect("JSON"), wire["data"], "{}", fixture.name);
        assert_eq!(delivery.body(), fixture.body);
        keys.push(envelope.idempotency_key.clone());
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), EventKind::ALL.len());
}
