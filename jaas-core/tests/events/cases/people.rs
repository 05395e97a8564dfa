//! Oddities of participants: claims of their JWT.

use jaas_core::Room;
use jaas_core::event::{DisconnectReason, Participant};
use serde_json::Value;

use crate::parsing::*;

pub(crate) const CHECKS: &[Check] = checks! {
    "moderator-bool" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.moderator, Some(true));
    }
    "moderator-string" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.moderator, Some(true));
    }
    "moderator-string-false" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.moderator, Some(false));
    }
    "moderator-absent" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.moderator, None);
        ben_is_sound(&e.participant);
    }
    "moderator-null" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.moderator, None);
        ben_is_sound(&e.participant);
    }
    "moderator-after-role-changed" => ParticipantLeft(_, e) {
        assert_eq!((e.participant.moderator, &e.disconnect_reason), (Some(false), &LEFT));
    }
    "numeric-user-id" => ParticipantJoined(_, e) {
        assert_eq!((text(&e.participant.id), text(&e.participant.name)), (Some("4711"), Some(BEN.name)));
    }
    "numeric-user-id-beyond-u64" => ParticipantJoined(_, e) {
        assert_eq!(text(&e.participant.id), Some("98765432109876543210"));
    }
    "huge-number-claim" => ParticipantJoined(_, e) {
        assert_eq!(text(&e.participant.id), Some("1e999"));
        assert_eq!(text(&e.participant.participant_id), Some(BEN.participant_id));
    }
    "huge-number-in-unknown-claim" => ParticipantJoined(_, e) {
        ben_is_sound(&e.participant);
    }
    "nested-jwt-claims" => ParticipantJoined(d, e) {
        ben_is_sound(&e.participant);
        assert_eq!((e.participant.moderator, &e.room), (Some(false), &Room::Main));
        assert_eq!(d.envelope.timestamp, at(1_795_420_804_215));
        let claims: Value = d.data_as().expect("JSON");
        assert_eq!((&claims["roles"][1]["of"], &claims["school"]["address"]["geo"][0]), (&"math".into(), &59.9.into()));
        assert_eq!(claims[""], "empty key");
    }
    "hidden-from-recorder-string" => ParticipantJoined(_, e) {
        assert_eq!(e.participant.hidden_from_recorder, Some(true));
    }
    "hidden-from-recorder-bool" => ParticipantJoinedLobby(_, e) {
        assert_eq!(e.participant.hidden_from_recorder, Some(true));
        assert_eq!(e.participant.moderator, Some(false));
    }
    "group-as-object" => ParticipantJoined(d, e) {
        assert_eq!(e.participant.group, None);
        ben_is_sound(&e.participant);
        assert_eq!(d.data_as::<Value>().expect("JSON")["group"]["id"], 3);
    }
    "group-absent" => ParticipantJoined(_, e) {
        let p = &e.participant;
        assert_eq!((text(&p.group), text(&p.email), text(&p.avatar)), (None, None, None));
        ben_is_sound(p);
    }
    "guest-without-user-fields" => ParticipantJoined(_, e) {
        let p = &e.participant;
        assert_eq!((text(&p.id), text(&p.name), text(&p.email), p.moderator), (None, None, None, None));
        assert_eq!(text(&p.participant_id), Some(BEN.participant_id));
        assert_eq!((text(&p.participant_jid), text(&p.participant_full_jid)), (Some(BEN.jid), Some(BEN.full_jid)));
    }
    "kicked-without-id" => ParticipantLeft(_, e) {
        assert_eq!((text(&e.participant.id), &e.disconnect_reason), (None, &Some(DisconnectReason::Kicked)));
        assert_eq!(text(&e.participant.participant_id), Some(BEN.participant_id));
    }
    "unicode-names" => ParticipantJoined(_, e) {
        let name = "Zoë 李小龍 \u{202e}שלום\u{202c} \u{1f469}\u{1f3fd}\u{200d}\u{1f3eb} e\u{301}\u{a0}\u{200b}";
        assert_eq!(text(&e.participant.name), Some(name));
        assert_eq!(text(&e.participant.group), Some("Mathé \u{1f9ee}"));
    }
    "lone-surrogate-name" => ParticipantJoined(_, e) {
        let name = text(&e.participant.name).expect("a name");
        assert!(name.starts_with("Ben \u{fffd}"), "{name:?}");
        assert_eq!(text(&e.participant.id), Some(BEN.id));
    }
    "lone-surrogate-in-unknown-claim" => ParticipantJoined(_, e) {
        ben_is_sound(&e.participant);
    }
    "nul-in-name" => ParticipantJoined(_, e) {
        assert_eq!(text(&e.participant.name), Some("Ben\0Example"));
        assert_eq!(text(&e.participant.id), Some(BEN.id));
    }
};

/// Whether the fields beside the odd one decode.
fn ben_is_sound(participant: &Participant) {
    assert_eq!((text(&participant.name), text(&participant.id)), (Some(BEN.name), Some(BEN.id)));
    assert_eq!(text(&participant.participant_jid), Some(BEN.jid));
    assert_eq!(text(&participant.participant_id), Some(BEN.participant_id));
}
