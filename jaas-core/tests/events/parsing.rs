//! Helpers to parse a body, and values to compare with.

use futures_util::FutureExt as _;
use jaas_core::event::{DisconnectReason, Event, EventKind, Participant, Payload as _};
use jaas_core::{
    AppId, BreakoutRoomId, Context, CustomerId, Delivery, EventHandler, Handled, Jid, Link, ParticipantId,
    Personal, PollId, RecordingSessionId, Room, SessionId, Timestamp, UserId,
};
use jaas_testkit::{HandlerCall, Recorder};
use serde_json::Value;

// The one meeting of the fixtures and the cases.
pub(crate) const CUSTOMER: &str = "c2824d584eac4489a1e32e4e164d5a3c";
pub(crate) const APP: &str = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c";
pub(crate) const FQN: &str = "vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c/math";
pub(crate) const SESSION: &str = "7f4c1a52-6a63-4c1e-9d2b-8f7f5e0c9a10";
pub(crate) const CONFERENCE: &str =
    "math@conference.vpaas-magic-cookie-c2824d584eac4489a1e32e4e164d5a3c.8x8.vc";
pub(crate) const BREAKOUT: &str = "0d5c6f0e-6f0b-4c39-8a57-2b9f1d0e7c44";

pub(crate) const RECEIVED_AT: Timestamp = Timestamp::from_secs(1_795_430_000);

/// Parses a body whose envelope is valid.
pub(crate) fn read(body: &str) -> Delivery {
    Delivery::parse("main", RECEIVED_AT, body.to_owned().into())
        .unwrap_or_else(|unreadable| panic!("{}: {body}", unreadable.reason))
        .with_attempt(1)
}

/// Gives a delivery to a handler that has every method, and returns which one was called with what.
pub(crate) fn dispatch(delivery: &Delivery) -> HandlerCall {
    let recorder = Recorder::new();
    assert_eq!(handle(&recorder, delivery), Handled::Done);
    let mut seen = recorder.seen();
    assert_eq!(seen.len(), 1, "one method is called");
    seen.remove(0)
}

/// Gives a delivery to a handler that does not wait.
pub(crate) fn handle<H: EventHandler + ?Sized>(handler: &H, delivery: &Delivery) -> Handled {
    let mut tx = ();
    let mut cx = Context::new(delivery, &mut tx);
    let event = delivery.event();
    let result = handler.any_event(&mut cx, &event).now_or_never();
    result.expect("a handler that does not wait").expect("a handler that does not fail")
}

/// Compares the typed payload of a body with its snapshot: the method that is called, the fields, whose `Debug` hides people and
/// links, and what the payload writes, which shows them. `cargo insta review` shows what has changed.
pub(crate) fn assert_typed(set: &str, name: &str, delivery: &Delivery) {
    let call = dispatch(delivery);
    assert_eq!(call.method.as_str(), name);
    let written: Value = serde_json::from_str(&encoded(&call.event)).expect("JSON");
    let written = serde_json::to_string_pretty(&written).expect("JSON");
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{set}-{name}"), format!("{:#?}\n\n{written}", call.event));
    });
}

macro_rules! encoded {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        /// What a typed payload writes.
        fn encoded(event: &Event) -> String {
            match event {
                $(Event::$Event(payload) => payload.encode(),)*
                other => panic!("not typed: {other:?}"),
            }
        }
    };
}
jaas_core::for_each_event!(encoded);

/// A check of one body of a table.
pub(crate) struct Check {
    pub(crate) name: &'static str,
    pub(crate) kind: EventKind,
    pub(crate) check: fn(&Delivery, &Event),
}

/// A table of checks. Each names a body, its event, and what must be true of the delivery and the payload.
macro_rules! checks {
    ($($name:literal => $Event:ident($delivery:pat, $payload:pat) $body:block)*) => {
        &[$($crate::parsing::Check {
            name: $name,
            kind: jaas_core::event::EventKind::$Event,
            check: |delivery, event| {
                let $delivery = delivery;
                let jaas_core::event::Event::$Event($payload) = event else { panic!("{event:?}") };
                $body
            },
        },)*]
    };
}

/// A field that is text behind its type.
pub(crate) trait Text {
    fn text(&self) -> &str;
}

macro_rules! text_fields {
    ($($Type:ty = $method:ident;)*) => {$(
        impl Text for $Type {
            fn text(&self) -> &str {
                self.$method()
            }
        }
    )*};
}

text_fields! {
    AppId = as_str;
    CustomerId = as_str;
    Jid = as_str;
    Link = expose;
    ParticipantId = as_str;
    Personal = expose;
    PollId = as_str;
    RecordingSessionId = as_str;
    SessionId = as_str;
    String = as_str;
    UserId = as_str;
}

/// A field's text, for comparison.
pub(crate) fn text<T: Text>(field: &Option<T>) -> Option<&str> {
    field.as_ref().map(Text::text)
}

/// A time in ms, for comparison.
pub(crate) fn at(millis: i64) -> Option<Timestamp> {
    Some(Timestamp::from_millis(millis))
}

/// A breakout room.
pub(crate) fn breakout(id: &str) -> Room {
    Room::Breakout { id: Some(BreakoutRoomId::new(id)) }
}

pub(crate) const LEFT: Option<DisconnectReason> = Some(DisconnectReason::Left);

/// A person in the meeting.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
    pub(crate) id: &'static str,
    pub(crate) avatar: &'static str,
    pub(crate) jid: &'static str,
    pub(crate) full_jid: &'static str,
    pub(crate) participant_id: &'static str,
}

pub(crate) const ADA: Person = Person {
    name: "Ada Example",
    email: "ada@example.com",
    id: "user-ada",
    avatar: "https://example.com/avatars/ada.png",
    jid: "2c5d3a30-0b7e-4c06-9a83-1f1e8e1b6a1a@8x8.vc",
    full_jid: "2c5d3a30-0b7e-4c06-9a83-1f1e8e1b6a1a@8x8.vc/Kq7Zt1Xa",
    participant_id: "4a1f9c02",
};

pub(crate) const BEN: Person = Person {
    name: "Ben Example",
    email: "ben@example.com",
    id: "user-ben",
    avatar: "https://example.com/avatars/ben.png",
    jid: "6dd5566b-0a36-4bfe-85f3-3f79685d8af4@8x8.vc",
    full_jid: "6dd5566b-0a36-4bfe-85f3-3f79685d8af4@8x8.vc/oGHh5j2y",
    participant_id: "b7d20e64",
};

pub(crate) const CEM: Person = Person {
    name: "Cem Example",
    email: "cem@example.com",
    id: "user-cem",
    avatar: "https://example.com/avatars/cem.png",
    jid: "17abf65d-a9cc-4f8b-9b08-1e7d07f8b495@8x8.vc",
    full_jid: "17abf65d-a9cc-4f8b-9b08-1e7d07f8b495@8x8.vc/W3dN8sQe",
    participant_id: "e05f3b18",
};

impl Person {
    /// Whether every field of a participant with a complete JWT is this person's.
    pub(crate) fn assert_is(&self, participant: &Participant) {
        self.assert_is_user(participant);
        assert_eq!(text(&participant.participant_jid), Some(self.jid));
        assert_eq!(text(&participant.participant_full_jid), Some(self.full_jid));
        assert_eq!(text(&participant.participant_id), Some(self.participant_id));
    }

    /// Whether the user is this person, in any presence.
    pub(crate) fn assert_is_user(&self, participant: &Participant) {
        assert_eq!(text(&participant.name), Some(self.name));
        assert_eq!(text(&participant.email), Some(self.email));
        assert_eq!(text(&participant.id), Some(self.id));
        assert_eq!(text(&participant.avatar), Some(self.avatar));
        assert_eq!(participant.hidden_from_recorder, Some(false));
    }
}
