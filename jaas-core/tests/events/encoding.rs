//! A payload decodes what it encodes.

use jaas_core::event::{self, Event, EventKind, Payload};
use jaas_testkit::fixture;
use serde_json::Value;

use crate::parsing::*;

macro_rules! reads_back {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        fn reads_back(event: &Event) -> bool {
            match event {
                $(Event::$Event(payload) => Payload::decode(&payload.encode()).as_ref() == Ok(payload),)*
                _ => true,
            }
        }
    };
}
jaas_core::for_each_event!(reads_back);

#[test]
fn every_payload_decodes_as_it_was_encoded() {
    for fixture in [fixture::EVENTS, fixture::DOCUMENTED, fixture::CASES].concat() {
        let event = read(fixture.body).event();
        assert!(reads_back(&event), "{}: {event:?}", fixture.name);
    }
}

#[test]
fn every_field_of_a_fixture_is_written_as_the_sender_wrote_it() {
    macro_rules! written {
        ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
            vec![$(($wire, event::$Event::decode(read(fixture::of(EventKind::$Event).body).data()).map(|p| p.encode())),)*]
        };
    }
    for (name, written) in jaas_core::for_each_event!(written) {
        let kind = EventKind::from_wire(name);
        let sent: Value = read(fixture::of(kind).body).data_as().expect("JSON");
        let written: Value = serde_json::from_str(&written.expect("a payload")).expect("JSON");
        match &sent {
            Value::Object(fields) => {
                for (field, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                    assert_eq!(written.get(field), Some(value), "{name}.{field}");
                }
            }
            sent => assert_eq!(&written, sent, "{name}"),
        }
    }
}
