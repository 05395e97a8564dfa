//! Participants who came, left, or changed something.

use crate::id::{Jid, ParticipantId, Room, UserId};
use crate::lenient::{open_enum, payload};
use crate::private::Personal;

payload! {
    /// Who a participant is: the common fields of joining, leaving and the lobby events.
    ///
    /// The sender starts from a copy of `context.user` in the participant's JWT and adds its own fields (seen in the
    /// sender's modules). So any field can be absent, above all a guest's `name`, `email` and `id`; your own claims are
    /// in the raw data.
    ///
    /// Two ids: [`id`](Self::id) is the user in *your* system and survives a new join;
    /// [`participant_id`](Self::participant_id) is one connection, and two tabs of one user have two. Visitors have
    /// no `participant_id`: [`presence`](Self::presence) identifies the connection of every participant.
    pub struct Participant {
        /// Whether the JWT makes the participant a moderator; on the wire a bool or `"true"`/`"false"`
        /// (documented). It does not follow `ROLE_CHANGED`.
        moderator: Option<bool> = "moderator",
        /// The name given on the pre-join screen, else the JWT's (seen in the sender's modules).
        name: Option<Personal> = "name",
        /// The group of the JWT (`context.group`), in the documented examples the AppID.
        group: Option<String> = "group",
        /// The e-mail address of the JWT.
        email: Option<Personal> = "email",
        /// The user id of the JWT; can be absent for guests and for participants who were kicked.
        id: Option<UserId> = "id",
        /// The participant's address, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The participant's address with its resource: what chat files call `jid` (asserted by jitsi-meet's
        /// tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id, created with the connection and kept on a trip to a breakout room; visitors do not have one
        /// (seen in the sender's modules).
        participant_id: Option<ParticipantId> = "participantId",
        /// The link to the participant's picture.
        avatar: Option<Personal> = "avatar",
        /// Whether recordings leave this participant out; a claim of the JWT.
        hidden_from_recorder: Option<bool> = "hidden-from-recorder",
        /// The address of the room that was entered or left. In a breakout room it is that room's address, unlike in
        /// `ROOM_CREATED` (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        /// Whether the participant moved the call to another device: `true` on the join of the new device
        /// and on the departure of the old one (seen in the sender's modules).
        flip: Option<bool> = "flip",
        /// Whether the participant is a visitor, who only watches (seen in the sender's modules).
        is_visitor: Option<bool> = "isVisitor",
        /// `visitor` for visitors (asserted by jitsi-meet's tests); for others, what a claim of the JWT says.
        /// [`is_visitor`](crate::meetings::is_visitor) looks at this and the other marks of a visitor.
        role: Option<String> = "role",
    }

    /// A participant entered a room of the meeting.
    ///
    /// - It can arrive before `ROOM_CREATED` (documented).
    /// - A reload or a reconnect has a new participant id. Going to a breakout room is `PARTICIPANT_LEFT` with
    ///   [`SwitchRoom`](DisconnectReason::SwitchRoom) and another join **with the same participant id**, and so is
    ///   coming back: one id can join and leave several times in one session (seen in the sender's modules).
    /// - A stay is session, participant id, room and time of joining; never session and participant id alone.
    /// - Phones and SIP devices have `DIAL_IN_STARTED`, `DIAL_OUT_STARTED`, `SIP_CALL_IN_STARTED` and
    ///   `SIP_CALL_OUT_STARTED` instead of this event (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantJoined {
        ..flatten {
            /// Who entered.
            participant: Participant,
            /// The room that was entered; visitors do not have the field and count as in the main room.
            room: Room,
        }
    }

    /// A participant left a room of the meeting.
    ///
    /// - Pair it with the latest `PARTICIPANT_JOINED` before it of the same session, participant id and room.
    /// - It may never arrive; then the main room's `ROOM_DESTROYED` ends the presence.
    /// - A change of rooms is a departure too: see [`is_room_switch`](Self::is_room_switch).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantLeft {
        /// Why; visitors leave without a reason (seen in the sender's modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        ..flatten {
            /// Who left.
            participant: Participant,
            /// The room that was left; visitors do not have the field and count as in the main room.
            room: Room,
        }
    }

    /// A participant changed the subject of a room.
    ///
    /// - Not documented: everything here was seen in the sender's modules.
    /// - It names the user, not the presence: there is no participant id. All fields about the person are absent when
    ///   no participant made the change.
    /// - In a breakout room, session and `fqn` are those of the breakout room itself.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantSubjectUpdate {
        /// The address of the participant who changed it, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The e-mail address of the JWT.
        email: Option<Personal> = "email",
        /// The user id of the JWT.
        id: Option<UserId> = "id",
        /// The name of the participant who changed it.
        name: Option<Personal> = "name",
        /// The new subject; absent when it was cleared.
        subject: Option<Personal> = "subject",
        /// The group of the JWT.
        group: Option<String> = "group",
        ..flatten {
            /// The room whose subject changed.
            room: Room,
        }
    }

    /// A participant made another participant a moderator.
    ///
    /// - It reports only what one participant grants to another: not the loss of the role, and not the role that comes
    ///   from a JWT (seen in the sender's modules).
    /// - It has no `isBreakout`; in a breakout room, session and `fqn` are those of the breakout room itself
    ///   (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RoleChanged {
        /// The role that was given: `moderator` in the documented example.
        role: Option<String> = "role",
        /// Who gave it.
        granted_by: Option<RoleParty> = "grantedBy",
        /// Who received it.
        granted_to: Option<RoleParty> = "grantedTo",
    }

    /// One side of a [`RoleChanged`].
    pub struct RoleParty {
        /// The participant's address *with* its resource (documented): `participantFullJid` elsewhere.
        participant_jid: Option<Jid> = "participantJid",
        /// The endpoint id (asserted by jitsi-meet's tests).
        participant_id: Option<ParticipantId> = "participantId",
        /// The user id of the JWT (seen in the sender's modules).
        id: Option<UserId> = "id",
    }
}

open_enum! {
    /// Why a participant left.
    pub enum DisconnectReason {
        /// The participant hung up or closed the page.
        Left = "left",
        /// A moderator removed the participant.
        Kicked = "kicked",
        /// The connection was lost. `unknown` is one of the sender's words; a word that *this crate* does not know is
        /// [`Other`](Self::Other).
        Unknown = "unknown",
        /// The participant went from the main room to a breakout room or back, and is still in the meeting.
        SwitchRoom = "switch_room",
        /// The participant's client stopped after an error.
        UnrecoverableError = "unrecoverable_error",
    }
}

impl Participant {
    /// Identifies this connection within its session, in a join and in the leave that belongs to it: the
    /// [`participant_id`](Self::participant_id), else the bare address. Visitors do not have a `participant_id` (seen
    /// in the sender's modules), so their address alone identifies them.
    ///
    /// `None` when the event does not name a participant. Two presences are the same only within one session, and one
    /// presence can have several stays: a trip to a breakout room keeps it. An address may contain the name of a user,
    /// so do not log the returned text.
    ///
    /// ```
    /// use jaas_core::event::Participant;
    /// use jaas_core::{Jid, ParticipantId};
    ///
    /// let mut visitor = Participant::default();
    /// visitor.participant_full_jid = Some(Jid::new("q1w2@visitors.meet.jitsi/8f3a"));
    /// assert_eq!(visitor.presence(), Some("q1w2@visitors.meet.jitsi"));
    ///
    /// let mut participant = visitor;
    /// participant.participant_id = Some(ParticipantId::new("5f2c1a9e"));
    /// assert_eq!(participant.presence(), Some("5f2c1a9e"));
    /// ```
    pub fn presence(&self) -> Option<&str> {
        let id = self.participant_id.as_ref().map(ParticipantId::as_str);
        let address = || self.participant_jid.as_ref().or(self.participant_full_jid.as_ref()).map(Jid::bare);
        id.or_else(address)
    }
}

impl ParticipantLeft {
    /// Whether the participant only went to another room of the same meeting; a `PARTICIPANT_JOINED` for that room
    /// belongs to it.
    pub fn is_room_switch(&self) -> bool {
        self.disconnect_reason == Some(DisconnectReason::SwitchRoom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;
    use crate::id::BreakoutRoomId;

    #[test]
    fn moderator_decodes_from_a_bool_and_from_a_string() {
        for (data, moderator) in [
            (r#"{"moderator":true}"#, Some(true)),
            (r#"{"moderator":"true"}"#, Some(true)),
            (r#"{"moderator":false}"#, Some(false)),
            (r#"{"moderator":"false"}"#, Some(false)),
            (r#"{"moderator":null}"#, None),
            (r#"{"moderator":""}"#, None),
            ("{}", None),
        ] {
            let joined = ParticipantJoined::decode(data).expect("an object");
            assert_eq!(joined.participant.moderator, moderator, "{data}");
        }
    }

    #[test]
    fn the_shared_fields_decode_beside_the_fields_of_the_event() {
        let left = ParticipantLeft::decode(
            r#"{"id":7,"hidden-from-recorder":"true","participantId":"3988218d","flip":false,
                "context":{"any":["claim"]},"disconnectReason":"switch_room","isBreakout":true,
                "breakoutRoomId":"b1"}"#,
        )
        .expect("an object");
        let participant = &left.participant;
        assert_eq!(participant.id, Some(UserId::new("7")));
        assert_eq!((participant.hidden_from_recorder, participant.flip), (Some(true), Some(false)));
        assert_eq!(participant.participant_id, Some(ParticipantId::new("3988218d")));
        assert_eq!(left.room, Room::Breakout { id: Some(BreakoutRoomId::new("b1")) });
        assert!(left.is_room_switch());
    }

    #[test]
    fn a_presence_is_the_participant_id_else_the_bare_address() {
        for (data, presence) in [
            (r#"{"participantId":"3988218d","participantJid":"v@meet.jitsi"}"#, Some("3988218d")),
            (
                r#"{"participantJid":"v@meet.jitsi","participantFullJid":"v@meet.jitsi/r"}"#,
                Some("v@meet.jitsi"),
            ),
            (r#"{"participantId":"","participantJid":"v@meet.jitsi/r"}"#, Some("v@meet.jitsi")),
            (r#"{"participantId":null,"participantFullJid":"v@meet.jitsi/r"}"#, Some("v@meet.jitsi")),
            (r#"{"id":"google|1","name":"Ada"}"#, None),
        ] {
            let joined = ParticipantJoined::decode(data).expect("an object");
            assert_eq!(joined.participant.presence(), presence, "{data}");
        }
    }

    #[test]
    fn a_lost_connection_is_a_known_reason() {
        let reason = |word: &str| {
            let data = format!(r#"{{"disconnectReason":"{word}"}}"#);
            ParticipantLeft::decode(&data).expect("an object").disconnect_reason
        };
        assert_eq!(reason("unknown"), Some(DisconnectReason::Unknown));
        assert_eq!(reason("abducted"), Some(DisconnectReason::Other("abducted".to_owned())));
        assert_eq!(reason(""), None);
    }

    #[test]
    fn each_party_of_a_role_change_keeps_its_three_ids_apart() {
        let changed = RoleChanged::decode(
            r#"{"role":"moderator","grantedTo":{"participantJid":"u@8x8.vc/oGHh5j2yMsyj"},
                "grantedBy":{"participantJid":"m@8x8.vc/dF6p","participantId":"m1","id":"google|1"}}"#,
        )
        .expect("an object");
        let by = changed.granted_by.expect("a party");
        assert_eq!(
            (by.participant_id, by.id),
            (Some(ParticipantId::new("m1")), Some(UserId::new("google|1")))
        );
        let to = changed.granted_to.expect("a party");
        assert_eq!(to.participant_jid.as_ref().map(Jid::bare), Some("u@8x8.vc"));
        assert_eq!((to.participant_id, to.id), (None, None));
    }
}
