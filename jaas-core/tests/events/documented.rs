//! The examples of 8x8's page, which we must not correct: each reaches its own method with its fields typed.

use jaas_testkit::fixture;
use serde_json::Value;

use crate::parsing::*;

#[test]
fn every_example_is_typed_when_only_its_key_is_replaced() {
    for (n, fixture) in fixture::DOCUMENTED.iter().enumerate() {
        let key = format!("documented-{n}");
        let delivery = read(&fixture::with_key(fixture.body, &key).expect("a key"));
        assert_eq!(delivery.envelope.idempotency_key, *key);
        assert_eq!(delivery.envelope.event_type, fixture.name);
        assert_typed("documented", fixture.name, &delivery);
    }
    assert_eq!(fixture::DOCUMENTED.len(), 33);
}

#[test]
fn the_tenant_is_always_the_one_in_fqn() {
    for fixture in fixture::DOCUMENTED {
        let wire: Value = serde_json::from_str(fixture.body).expect("JSON");
        let envelope = read(fixture.body).envelope;
        let fqn = wire["fqn"].as_str().expect("an fqn");
        let (tenant, room) = fqn.split_once('/').expect("a tenant");
        assert_eq!((text(&envelope.app_id), envelope.fqn.room()), (Some(tenant), room), "{}", fixture.name);
        assert_eq!(text(&envelope.customer_id), wire["customerId"].as_str(), "{}", fixture.name);
        assert_eq!(text(&envelope.session_id), wire["sessionId"].as_str(), "{}", fixture.name);
        assert_eq!(envelope.timestamp.map(|at| at.as_millis()), wire["timestamp"].as_i64());
    }
}
