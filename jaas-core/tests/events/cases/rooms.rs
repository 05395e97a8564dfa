//! Oddities of joining and leaving, of rooms, roles and calls.

use jaas_core::event::{CallDirection, DisconnectReason, RoleParty};
use jaas_core::{Jid, Room};

use crate::parsing::*;

pub(crate) const CHECKS: &[Check] = checks! {
    "participant-joined-main-room" => ParticipantJoined(_, e) {
        BEN.assert_is(&e.participant);
        assert_eq!((text(&e.participant.conference), &e.room), (Some(CONFERENCE), &Room::Main));
    }
    "participant-left-main-room" => ParticipantLeft(_, e) {
        BEN.assert_is(&e.participant);
        assert_eq!((&e.room, &e.disconnect_reason), (&Room::Main, &LEFT));
    }
    "rejoin-new-participant-id" => ParticipantJoined(_, e) {
        BEN.assert_is_user(&e.participant);
        assert_eq!(text(&e.participant.participant_id), Some("c8e31f75"));
        assert_ne!(text(&e.participant.participant_jid), Some(BEN.jid));
    }
    "two-tabs-of-one-user" => ParticipantJoined(_, e) {
        BEN.assert_is_user(&e.participant);
        assert_eq!(text(&e.participant.participant_id), Some("d9f42086"));
    }
    "breakout-left-main-room" => ParticipantLeft(_, e) {
        BEN.assert_is(&e.participant);
        assert_eq!(e.disconnect_reason, Some(DisconnectReason::SwitchRoom));
        assert!(e.is_room_switch());
        assert_eq!(e.room, Room::Main);
    }
    "breakout-join" => ParticipantJoined(d, e) {
        BEN.assert_is_user(&e.participant);
        assert_eq!(text(&e.participant.participant_id), Some("f1064298"));
        assert_eq!((&e.room, e.room.breakout_id().is_some()), (&breakout(BREAKOUT), true));
        assert_eq!((text(&d.envelope.session_id), d.envelope.fqn.as_str()), (Some(SESSION), FQN));
    }
    "breakout-room-created" => RoomCreated(d, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(CONFERENCE), &breakout(BREAKOUT)));
        assert_eq!(text(&d.envelope.session_id), Some(SESSION));
    }
    "breakout-room-destroyed" => RoomDestroyed(d, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(CONFERENCE), &breakout(BREAKOUT)));
        assert_eq!(text(&d.envelope.session_id), Some(SESSION));
        assert!(e.media_types.is_empty());
    }
    "room-created-main-room" => RoomCreated(_, e) {
        assert_eq!((text(&e.conference), &e.room), (Some(CONFERENCE), &Room::Main));
    }
    "room-destroyed-media-types" => RoomDestroyed(_, e) {
        assert_eq!(e.media_types, ["AUDIO", "VIDEO", "DESKTOP", "HOLOGRAM"]);
        assert_eq!(e.room, Room::Main);
    }
    "unknown-disconnect-reason" => ParticipantLeft(_, e) {
        assert_eq!(e.disconnect_reason, Some(DisconnectReason::Other("moved_to_hall".to_owned())));
        assert!(!e.is_room_switch());
    }
    "lobby-without-breakout-fields" => ParticipantLeftLobby(_, e) {
        CEM.assert_is(&e.participant);
        assert_eq!((&e.room, &e.disconnect_reason), (&Room::Main, &None));
    }
    "visitor-joined" => ParticipantJoined(_, e) {
        CEM.assert_is_user(&e.participant);
        assert_eq!((e.participant.is_visitor, text(&e.participant.participant_id)), (Some(true), None));
        assert_eq!(e.room, Room::Main);
    }
    "visitor-left-without-reason" => ParticipantLeft(_, e) {
        CEM.assert_is_user(&e.participant);
        assert_eq!((e.participant.is_visitor, text(&e.participant.participant_id)), (Some(true), None));
        assert_eq!((&e.room, &e.disconnect_reason), (&Room::Main, &None));
    }
    "flip-to-another-device" => ParticipantJoined(_, e) {
        BEN.assert_is_user(&e.participant);
        assert_eq!((e.participant.flip, text(&e.participant.participant_id)), (Some(true), Some("a2175309")));
    }
    "role-changed-full" => RoleChanged(_, e) {
        assert_eq!(text(&e.role), Some("moderator"));
        for (party, who) in [(&e.granted_by, ADA), (&e.granted_to, BEN)] {
            let party = party.as_ref().expect("a party");
            assert_eq!(text(&party.participant_jid), Some(who.full_jid));
            assert_eq!((text(&party.participant_id), text(&party.id)), (Some(who.participant_id), Some(who.id)));
        }
    }
    "role-changed-jid-only" => RoleChanged(_, e) {
        assert_eq!(text(&e.role), Some("co-host"));
        for (party, who) in [(&e.granted_by, ADA), (&e.granted_to, BEN)] {
            let party = party.as_ref().expect("a party");
            assert_eq!(party.participant_jid.as_ref().map(Jid::bare), Some(who.jid));
            assert_eq!((text(&party.participant_id), text(&party.id)), (None, None));
        }
    }
    "role-changed-granted-to-nobody" => RoleChanged(_, e) {
        assert_eq!((text(&e.role), &e.granted_to), (None, &Some(RoleParty::default())));
        assert_eq!(e.granted_by.as_ref().and_then(|party| text(&party.participant_jid)), Some(ADA.full_jid));
    }
    "subject-update-main-room" => ParticipantSubjectUpdate(_, e) {
        assert_eq!((text(&e.subject), text(&e.group), &e.room), (None, None, &Room::Main));
        assert_eq!((text(&e.participant_jid), text(&e.id)), (Some(BEN.jid), Some(BEN.id)));
    }
    "dial-in-ended-without-reason" => DialInEnded(_, e) {
        assert_eq!(text(&e.participant_full_jid), Some("a07864b9-0b80-4505-a137-d1fd8e62d123@8x8.vc/x1T9aBcD"));
        assert_eq!(text(&e.participant_id), Some("47bc002e"));
    }
    "dial-out-ended-with-reason" => DialOutEnded(_, e) {
        assert_eq!(e.disconnect_reason, Some(DisconnectReason::Kicked));
        assert_eq!(text(&e.participant_id), Some("58cd113f"));
    }
    "sip-ended-with-reason" => SipCallOutEnded(_, e) {
        // A word of the sender's, not one that this crate does not know.
        assert_eq!(e.disconnect_reason, Some(DisconnectReason::Unknown));
        assert_eq!(text(&e.participant_full_jid), Some("32a04eb7-dd8e-4fd9-8a34-fa4c16ee7613@8x8.vc/a4W2dEfG"));
    }
    "dial-unknown-direction" => DialOutStarted(_, e) {
        assert_eq!(e.direction, Some(CallDirection::Other("transfer".to_owned())));
        assert_eq!((text(&e.nick), text(&e.participant_id)), (None, Some("58cd113f")));
    }
};
