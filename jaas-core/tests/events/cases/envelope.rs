//! Oddities of the envelope.

use std::time::Duration;

use jaas_core::event::{Payload as _, RecordingUploaded, UnknownReason};
use jaas_core::{Delivery, Fqn, Room};
use serde_json::Value;

use crate::parsing::*;

pub(crate) const CHECKS: &[Check] = checks! {
    "duplicate-app-id" => RecordingStarted(d, e) {
        assert_eq!(text(&d.envelope.app_id), Some(APP));
        assert_eq!(text(&d.envelope.customer_id), Some("143ce1379c35426aa80a902a0204ed09"));
        assert_eq!(text(&e.conference), Some(CONFERENCE));
    }
    "duplicate-app-id-first-agrees" => RecordingEnded(d, e) {
        assert_eq!((text(&d.envelope.app_id), text(&e.conference)), (Some(APP), Some(CONFERENCE)));
    }
    "app-id-missing" => LiveStreamEnded(d, e) {
        assert_eq!((text(&d.envelope.app_id), text(&e.conference)), (Some(APP), Some(CONFERENCE)));
    }
    "app-id-missing-poll" => PollAnswer(d, e) {
        assert_eq!((text(&d.envelope.app_id), d.envelope.timestamp), (Some(APP), at(1_795_421_422_904)));
        assert_eq!((e.answers.len(), e.answers[0].value), (1, Some(true)));
        assert_eq!(e.user.as_ref().and_then(|user| text(&user.participant_id)), Some(BEN.participant_id));
    }
    "key-not-a-uuid" => RecordingUploaded(d, _) {
        assert_eq!(d.envelope.idempotency_key, "a3f18c07d-12a6-4908-8f38-f21ae2451fc0");
    }
    "key-not-a-uuid-long-tail" => TranscriptionChunkReceived(d, _) {
        assert_eq!(d.envelope.idempotency_key, "5b0e6d20-41e3-4944-9c37-46b786abf1113");
    }
    "key-order-reversed" => RoomCreated(d, e) {
        assert_eq!(d.envelope.idempotency_key, "fd439621-9129-4516-8379-32eea81133e9");
        assert_eq!((text(&d.envelope.session_id), d.envelope.timestamp), (Some(SESSION), at(1_795_420_800_000)));
        assert_eq!((text(&e.conference), &e.room), (Some(CONFERENCE), &Room::Main));
    }
    "fqn-without-slash" => Feedback(d, e) {
        assert_eq!((d.envelope.fqn.app_id(), d.envelope.fqn.room()), (None, APP));
        assert_eq!((text(&d.envelope.app_id), e.stars()), (Some(APP), Some(4)));
    }
    "fqn-with-two-slashes" => Reactions(d, _) {
        assert_eq!((d.envelope.fqn.app_id(), d.envelope.fqn.room()), (Some(APP), "algebra/math"));
    }
    "fqn-upper-case-percent-encoded" => Feedback(d, _) {
        assert_eq!(d.envelope.fqn.room(), "Math%20%C3%9Cbung");
        is_the_exercise_room(d);
    }
    "fqn-lower-case-percent-encoded" => ParticipantJoined(d, _) {
        assert_eq!(d.envelope.fqn.room(), "math%20%c3%bcbung");
        is_the_exercise_room(d);
    }
    "fqn-not-encoded" => RtcstatsUploaded(d, _) {
        assert_eq!(d.envelope.fqn.room(), "Math Übung");
        is_the_exercise_room(d);
    }
    "fqn-stray-percent" => Reactions(d, _) {
        assert_eq!(d.envelope.fqn.room(), "math%ff100%");
        assert_eq!(d.envelope.fqn.room_key(), "math\u{fffd}100%");
        assert!(d.envelope.fqn.same_room(&Fqn::new(format!("{APP}/MATH%FF100%"))));
    }
    "fqn-empty-room" => RoomCreated(d, _) {
        assert_eq!((d.envelope.fqn.app_id(), d.envelope.fqn.room()), (Some(APP), ""));
        assert_eq!(text(&d.envelope.app_id), Some(APP));
    }
    "fqn-emoji" => RoomCreated(d, _) {
        assert_eq!(d.envelope.fqn.room(), "math\u{1f9ee}");
        assert!(d.envelope.fqn.same_room(&Fqn::new(format!("{APP}/Math%F0%9F%A7%AE"))));
    }
    "fqn-very-long" => RoomCreated(d, _) {
        assert_eq!((d.envelope.fqn.as_str().len(), d.envelope.fqn.room().len()), (2100, 2048));
        assert_eq!(text(&d.envelope.app_id), Some(APP));
    }
    "nul-in-session-id" => RoomCreated(d, e) {
        // Odd, and so absent: it must not cost the event.
        assert_eq!(d.envelope.session_id, None);
        assert_eq!((text(&d.envelope.app_id), text(&e.conference)), (Some(APP), Some(CONFERENCE)));
    }
    "envelope-null-fields" => RoomCreated(d, e) {
        knows_nothing_but_the_event(d);
        assert_eq!(text(&e.conference), Some(CONFERENCE));
    }
    "envelope-fields-absent" => RoomCreated(d, e) {
        knows_nothing_but_the_event(d);
        assert_eq!(text(&e.conference), Some(CONFERENCE));
    }
    "envelope-wrong-types" => RoomCreated(d, e) {
        let envelope = &d.envelope;
        assert_eq!((text(&envelope.customer_id), text(&envelope.app_id)), (Some("42"), None));
        assert_eq!((text(&envelope.session_id), envelope.timestamp), (None, None));
        assert_eq!((envelope.fqn.as_str(), text(&e.conference)), ("7", Some(CONFERENCE)));
    }
    "timestamp-as-string" => RoomCreated(d, _) {
        assert_eq!(d.envelope.timestamp, at(1_795_420_800_000));
    }
    "timestamp-as-float" => RoomCreated(d, _) {
        assert_eq!(d.envelope.timestamp, at(1_795_420_800_000));
    }
    "unknown-event-type" => Unknown(d, reason) {
        assert_eq!((&*d.envelope.event_type, reason), ("WHITEBOARD_OPENED", &UnknownReason::Type));
        assert_eq!(d.data_as::<Value>().expect("JSON")["whiteboardId"], "w-1");
    }
    "certified-rec-uploaded" => Unknown(d, reason) {
        assert_eq!((&*d.envelope.event_type, reason), ("CERTIFIED_REC_UPLOADED", &UnknownReason::Type));
        let recording = RecordingUploaded::decode(d.data()).expect("the same shape");
        assert_eq!(recording.duration(), Some(Duration::from_secs(2458)));
        assert_eq!(text(&recording.recording_session_id), Some("rec-7f4c1a52-0001"));
    }
    "unknown-fields" => RoomCreated(d, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(CONFERENCE), &Room::Main));
        assert_eq!((text(&d.envelope.app_id), text(&d.envelope.session_id)), (Some(APP), Some(SESSION)));
        assert_eq!(d.data_as::<Value>().expect("JSON")["region"]["shards"][1], 2);
    }
};

fn is_the_exercise_room(delivery: &Delivery) {
    let fqn = &delivery.envelope.fqn;
    assert_eq!((fqn.app_id(), &*fqn.room_key()), (Some(APP), "math übung"));
    for room in ["Math%20%C3%9Cbung", "math%20%c3%bcbung", "Math Übung"] {
        assert!(fqn.same_room(&Fqn::new(format!("{APP}/{room}"))), "{room}");
    }
    assert!(!fqn.same_room(&Fqn::new(FQN)));
}

fn knows_nothing_but_the_event(delivery: &Delivery) {
    let envelope = &delivery.envelope;
    assert_eq!((text(&envelope.customer_id), text(&envelope.app_id)), (None, None));
    assert_eq!((text(&envelope.session_id), envelope.timestamp), (None, None));
    assert_eq!((envelope.fqn.as_str(), delivery.occurred_at()), ("", RECEIVED_AT));
}
