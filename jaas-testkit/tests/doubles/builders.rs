//! Every event can be built, changed, and converted into what a test needs.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::time::Duration;

use jaas_core::event::{DisconnectReason, Event, EventKind, Payload as _};
use jaas_core::{Auth, Inbox, Incoming, Receiver, Room, Timestamp, store::MemoryStore};
use jaas_testkit::event::{
    self, EventBuilder, HasDisconnectReason, HasLink, HasName, HasParticipantId, HasRoom, HasUserId,
};
use jaas_testkit::{Recorder, Signer, fixture};
use serde_json::{Value, json};

macro_rules! every_builder {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        vec![$((EventKind::$Event, event::$method().untyped()),)*]
    };
}

#[tokio::test]
async fn every_event_of_the_table_has_a_builder_that_reaches_its_method() {
    let builders: Vec<(EventKind, EventBuilder)> = jaas_core::for_each_event!(every_builder);
    assert_eq!(builders.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), EventKind::ALL);
    for (kind, builder) in builders.into_iter().chain([(EventKind::Unknown, event::of(EventKind::Unknown))]) {
        assert_eq!(builder.event().kind(), kind);
        assert_eq!(event::of(kind).event(), builder.event());
        let recorder = Recorder::new();
        builder.handle(&recorder).await.expect("handled");
        assert_eq!(recorder.seen()[0].method, kind);
    }
}

#[test]
fn a_builder_starts_as_its_fixture_in_the_main_room_under_a_unique_key() {
    let mut keys = BTreeSet::new();
    for kind in EventKind::ALL {
        let mut expected: Value = serde_json::from_str(fixture::of(*kind).body).expect("JSON");
        let mut built = event::of(*kind).json();
        keys.insert(built["idempotencyKey"].to_string());
        built["idempotencyKey"] = expected["idempotencyKey"].clone();
        if let Some(data) = expected["data"].as_object_mut().filter(|data| data.contains_key("isBreakout")) {
            data.insert("isBreakout".to_owned(), false.into());
            data.remove("breakoutRoomId");
        }
        assert_eq!(built, expected);
    }
    assert_eq!(keys.len(), EventKind::ALL.len());
}

#[test]
fn a_clone_is_the_same_delivery_until_it_is_given_a_fresh_key() {
    let first = event::room_created();
    assert_eq!(first.clone().body(), first.body());
    assert_ne!(
        first.clone().fresh().delivery().envelope.idempotency_key,
        first.delivery().envelope.idempotency_key
    );
    assert_eq!(first.key("mine").delivery().envelope.idempotency_key, "mine");
}

#[test]
fn the_envelope_is_set_as_a_whole_meeting_would_have_it() {
    let built = event::participant_joined()
        .in_room("algebra")
        .of_app("vpaas-magic-cookie-7")
        .in_session("s-1")
        .at(Timestamp::from_secs(100))
        .later(Duration::from_millis(5))
        .received_at(Timestamp::from_secs(200))
        .to_endpoint("second");
    let delivery = built.delivery();
    let envelope = &delivery.envelope;
    assert_eq!(envelope.fqn, "vpaas-magic-cookie-7/algebra");
    assert_eq!(envelope.app_id.as_ref().expect("an app"), &"vpaas-magic-cookie-7");
    assert_eq!(envelope.customer_id.as_ref().expect("a customer"), &"7");
    assert_eq!(envelope.session_id.as_ref().expect("a session"), &"s-1");
    assert_eq!(envelope.timestamp, Some(Timestamp::from_millis(100_005)));
    assert_eq!((&*delivery.endpoint, delivery.received_at), ("second", Timestamp::from_secs(200)));
    assert_eq!(built.json()["data"]["conference"], "algebra@conference.vpaas-magic-cookie-7.8x8.vc");
    assert_eq!(event::usage().in_room("x").json()["data"], event::usage().json()["data"]);
}

#[test]
fn a_field_that_many_events_share_has_one_setter() {
    let left = event::participant_left()
        .named("Grace")
        .participant("p9")
        .user("u9")
        .in_breakout("b9")
        .because(DisconnectReason::SwitchRoom)
        .payload();
    assert_eq!(left.participant.name.as_ref().expect("a name").expose(), "Grace");
    assert_eq!(left.participant.participant_id.as_ref().expect("an id"), &"p9");
    assert_eq!(left.participant.id.as_ref().expect("a user"), &"u9");
    assert_eq!(left.room, Room::Breakout { id: Some("b9".into()) });
    assert!(left.is_room_switch());

    let poll = event::poll_created()
        .set("data.user", Value::Null)
        .named("Ada")
        .user("u1")
        .participant("p1")
        .payload();
    let user = poll.user.expect("a user");
    assert_eq!(user.name, user.current_name);
    assert_eq!((user.id.expect("an id"), user.participant_id.expect("an id")), ("u1".into(), "p1".into()));

    let history = event::screen_sharing_history().linked_to("https://example.com/f").payload();
    assert_eq!(history.pre_authenticated_link.expect("a link").expose(), "https://example.com/f");
    assert_eq!(history.pre_authenticated_link_v2.expect("a link").expose(), "https://example.com/f");
}

#[test]
fn a_typed_change_touches_nothing_else() {
    let odd =
        event::participant_joined().set("data.moderator", "true").set("data.claims", json!({"deep": [1]}));
    let changed = odd.clone().with(|joined| joined.participant.email = None).named("Grace");
    let mut expected = odd.json();
    expected["data"].as_object_mut().expect("an object").remove("email");
    expected["data"]["name"] = "Grace".into();
    assert_eq!(changed.json(), expected);
    assert_eq!(odd.clone().with(|_| {}).json(), odd.json());
}

#[test]
fn a_change_that_changes_nothing_keeps_the_oddest_data_as_it_is() {
    let mut kept = 0;
    for case in fixture::CASES {
        let Ok(body) = serde_json::from_str::<Value>(case.body) else { continue };
        let data = body["data"].clone();
        macro_rules! with_nothing {
            ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
                match body["eventType"].as_str() {
                    $(Some($wire) if jaas_core::event::$Event::decode(&data.to_string()).is_ok() => {
                        let built = event::$method().set("data", data.clone()).with(|_| {});
                        assert_eq!(built.json()["data"], data, "{}", case.name);
                        kept += 1;
                    })*
                    _ => {}
                }
            };
        }
        jaas_core::for_each_event!(with_nothing);
    }
    assert!(kept > 80, "{kept} of {}", fixture::CASES.len());
}

#[test]
fn payloads_that_are_lists_or_maps_can_be_changed_too() {
    let usage = event::usage().with(|usage| drop(usage.0.pop())).payload();
    assert_eq!(usage.0.len(), 1);
    let stats = event::speaker_stats().with(|stats| {
        for stat in stats.0.values_mut() {
            stat.time = Some(1);
        }
    });
    assert!(stats.payload().0.values().all(|stat| stat.time == Some(1)));
    let none = event::aggregated_reactions().with(|reactions| reactions.0.clear());
    assert_eq!(none.json()["data"], json!([]));
}

#[test]
fn any_field_of_the_body_can_be_set_and_removed() {
    let built = event::recording_uploaded()
        .set("data.participants.1.name", 7)
        .set("data.new.made.here", true)
        .set("timestamp", "soon")
        .without("appId")
        .without("data.participants.0")
        .without("data.share")
        .without("data.nobody.knows")
        .without("nothing");
    let body = built.json();
    assert_eq!(
        body["data"]["participants"],
        json!([{
            "name": 7, "avatar": "https://example.com/avatars/ben.png", "id": "user-ben",
        }])
    );
    assert_eq!(body["data"]["new"], json!({"made": {"here": true}}));
    assert!(body.get("appId").is_none() && body["data"].get("share").is_none());
    assert_eq!(built.delivery().envelope.timestamp, None);

    let text = event::participant_joined().set("data", "text");
    assert!(matches!(text.event(), Event::Unknown(_)));
    for key in ["a/b", "a~b"] {
        let built =
            event::speaker_stats().set(&format!("data.{key}.time"), 1).without(&format!("data.{key}.time"));
        assert_eq!(built.json()["data"][key], json!({}));
    }
}

#[test]
#[should_panic(expected = "PARTICIPANT_JOINED has no field `data.name.first`")]
fn an_impossible_field_is_named() {
    let _ = event::participant_joined().set("data.name.first", "Ada");
}

#[test]
#[should_panic(expected = "`data` is a string, where an object was expected")]
fn a_payload_that_does_not_decode_says_why() {
    let _ = event::participant_joined().set("data", "text").named("Ada");
}

#[test]
fn a_body_without_a_valid_envelope_is_received_as_such() {
    let Incoming::Unreadable(unreadable) = event::room_created().without("idempotencyKey").received() else {
        panic!("unreadable")
    };
    assert!(unreadable.reason.to_string().contains("idempotencyKey"));
    assert!(matches!(event::room_created().into(), Incoming::Event(_)));
}

#[tokio::test]
async fn a_signed_event_is_accepted_by_a_receiver() {
    const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
    const SECRET: &str = "whsec_00000000000000000000000000000000";
    let auth = Auth::signature([SECRET]).expect("a good secret");
    let inbox = Inbox::new(MemoryStore::new());
    let receiver =
        Receiver::builder("main", auth, inbox).clock(|| NOW).build().expect("a good configuration");
    let request = event::room_created().signed(&Signer::new(SECRET).expect("a good secret"), NOW);
    assert_eq!(receiver.receive(request.credentials(), request.body.clone()).await.status(), 200);
}

#[test]
fn debug_shows_nothing_of_the_payload() {
    let shown = format!("{:?}", event::participant_joined().named("Grace"));
    assert!(shown.contains("PARTICIPANT_JOINED") && !shown.contains("Grace"), "{shown}");
}

/// Whether `T` has a trait: the method of the value is found before that of the reference.
struct Has<T>(PhantomData<T>);

macro_rules! probes {
    ($($Trait:ident $Yes:ident $No:ident $has:ident;)*) => {$(
        trait $Yes {
            fn $has(&self) -> bool {
                true
            }
        }
        impl<T: $Trait> $Yes for Has<T> {}
        trait $No {
            fn $has(&self) -> bool {
                false
            }
        }
        impl<T> $No for &Has<T> {}
    )*};
}
probes! {
    HasName Named Nameless has_name;
    HasParticipantId Present Absent has_participant_id;
    HasUserId Used Unused has_user_id;
    HasRoom Roomed Roomless has_room;
    HasLink Linked Unlinked has_link;
    HasDisconnectReason Reasoned Reasonless has_disconnect_reason;
}

/// Events for which 8x8's page has no example, and that still have their setters.
const ALSO_SET: &[&str] = &[
    "DOCUMENT_ADDED",
    "DOCUMENT_DELETED",
    "PARTICIPANT_SUBJECT_UPDATE",
    "TRANSCRIPTION_ENDED",
    "TRANSCRIPTION_STARTED",
];

/// A setter is a convenience: an event may not have one at first, but never one for a field that it lacks.
#[test]
fn every_known_event_has_the_setters_for_its_fields_and_no_other() {
    macro_rules! setters {
        ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {{
            use jaas_core::event::*;
            vec![$((event::$method().json(), [
                ("name", (&Has::<$Event>(PhantomData)).has_name()),
                ("participant", (&Has::<$Event>(PhantomData)).has_participant_id()),
                ("user", (&Has::<$Event>(PhantomData)).has_user_id()),
                ("room", (&Has::<$Event>(PhantomData)).has_room()),
                ("link", (&Has::<$Event>(PhantomData)).has_link()),
                ("reason", (&Has::<$Event>(PhantomData)).has_disconnect_reason()),
            ]),)*]
        }};
    }
    for (body, setters) in jaas_core::for_each_event!(setters) {
        let event_type = body["eventType"].as_str().expect("a type");
        let has_field =
            |names: &[&str]| names.iter().any(|name| body.pointer(&format!("/data/{name}")).is_some());
        // In these two, `participantId` is a user's.
        let user_as_participant = matches!(event_type, "REACTIONS" | "RTCSTATS_UPLOADED");
        // Phones and SIP devices carry their room too, which the documented fields do not.
        let call = event_type.contains("DIAL_") || event_type.contains("SIP_");
        for (what, has) in setters {
            let expected_setter = match what {
                "name" => has_field(&["name", "participantName", "nick", "user/name", "participant/name"]),
                "participant" => {
                    has_field(&["endpointId", "user/participantId", "participant/id"])
                        || has_field(&["participantId"]) && !user_as_participant
                }
                "user" => {
                    has_field(&["id", "userId", "initiatorId", "user/id", "participant/userId"])
                        || has_field(&["participantId"]) && user_as_participant
                }
                "room" => has_field(&["isBreakout"]) || call,
                "link" => has_field(&["preAuthenticatedLink", "statsUrl"]),
                _ => has_field(&["disconnectReason"]) || event_type == "DIAL_OUT_ENDED",
            };
            let complete = fixture::DOCUMENTED.iter().any(|example| example.name == event_type)
                || ALSO_SET.contains(&event_type);
            assert!(expected_setter == has || expected_setter && !complete, "{what} of {event_type}");
        }
    }
}
