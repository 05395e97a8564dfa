//! Setters for fields that many events share. Each exists only for the events that have the field, so a call on another
//! event does not compile.

use jaas_core::event::{
    ChatUploaded, DialInEnded, DialInStarted, DialOutEnded, DialOutStarted, DisconnectReason, DocumentAdded,
    DocumentDeleted, Feedback, ParticipantJoined, ParticipantJoinedLobby, ParticipantLeft,
    ParticipantLeftLobby, ParticipantSubjectUpdate, Payload, PollAnswer, PollCreated, Reactions,
    RecordingUploaded, RoomCreated, RoomDestroyed, RtcstatsUploaded, ScreenSharingHistory, SipCallInEnded,
    SipCallInStarted, SipCallOutEnded, SipCallOutStarted, TranscriptionChunkReceived, TranscriptionEnded,
    TranscriptionStarted, TranscriptionUploaded, VideoSegmentUploaded,
};
use jaas_core::{BreakoutRoomId, Link, ParticipantId, Personal, Room, UserId};

use super::EventBuilder;

impl<P: HasName> EventBuilder<P> {
    /// Sets the name of the person, phone or device.
    ///
    /// ```compile_fail,E0599
    /// jaas_testkit::event::room_created().named("Ada"); // a room has no such name
    /// ```
    pub fn named(self, name: &str) -> Self {
        self.with(|payload| payload.set_name(name.into()))
    }
}

impl<P: HasParticipantId> EventBuilder<P> {
    /// Sets the presence: the endpoint id, created with the connection.
    pub fn participant(self, id: impl Into<ParticipantId>) -> Self {
        self.with(|payload| payload.set_participant_id(id.into()))
    }
}

impl<P: HasUserId> EventBuilder<P> {
    /// Sets the user who is the subject or the cause: the user id of the JWT.
    pub fn user(self, id: impl Into<UserId>) -> Self {
        self.with(|payload| payload.set_user_id(id.into()))
    }
}

impl<P: HasRoom> EventBuilder<P> {
    /// Moves it to this breakout room of its meeting.
    pub fn in_breakout(self, id: impl Into<BreakoutRoomId>) -> Self {
        self.with(|payload| *payload.room_mut() = Room::Breakout { id: Some(id.into()) })
    }
}

impl<P: HasLink> EventBuilder<P> {
    /// Sets the link to the file.
    pub fn linked_to(self, link: &str) -> Self {
        self.with(|payload| payload.set_link(link.into()))
    }
}

impl<P: HasDisconnectReason> EventBuilder<P> {
    /// Sets why the participant left.
    pub fn because(self, reason: DisconnectReason) -> Self {
        self.with(|payload| payload.set_disconnect_reason(reason))
    }
}

/// Payloads that name a person, a phone or a device.
pub trait HasName: Payload {
    /// Sets the name.
    fn set_name(&mut self, name: Personal);
}

/// Payloads about one presence in the meeting.
pub trait HasParticipantId: Payload {
    /// Sets the endpoint id.
    fn set_participant_id(&mut self, id: ParticipantId);
}

/// Payloads about one user.
pub trait HasUserId: Payload {
    /// Sets the user id of the JWT.
    fn set_user_id(&mut self, id: UserId);
}

/// Payloads with the room of the meeting.
pub trait HasRoom: Payload {
    /// The room.
    fn room_mut(&mut self) -> &mut Room;
}

/// Payloads with a link to a file.
pub trait HasLink: Payload {
    /// Sets the link; if there are several, each of them.
    fn set_link(&mut self, link: Link);
}

/// Payloads with the reason why a participant left.
pub trait HasDisconnectReason: Payload {
    /// Sets the reason.
    fn set_disconnect_reason(&mut self, reason: DisconnectReason);
}

/// Which fields of each payload a setter fills.
macro_rules! setters {
    ($($Trait:ident::$method:ident($Value:ty) { $($Payload:ident => |$payload:ident| $($place:expr),+;)* })*) => {$($(
        impl $Trait for $Payload {
            fn $method(&mut self, value: $Value) {
                let $payload = self;
                $($place = Some(value.clone());)+
            }
        }
    )*)*};
}

setters! {
    HasName::set_name(Personal) {
        ParticipantJoined => |joined| joined.participant.name;
        ParticipantLeft => |left| left.participant.name;
        ParticipantJoinedLobby => |joined| joined.participant.name;
        ParticipantLeftLobby => |left| left.participant.name;
        ParticipantSubjectUpdate => |update| update.name;
        SipCallInStarted => |call| call.nick;
        SipCallOutStarted => |call| call.nick;
        DialInStarted => |call| call.nick;
        DialOutStarted => |call| call.nick;
        RtcstatsUploaded => |stats| stats.participant_name;
        PollCreated => |poll| poll.user.get_or_insert_default().name, poll.user.get_or_insert_default().current_name;
        PollAnswer => |poll| poll.user.get_or_insert_default().name, poll.user.get_or_insert_default().current_name;
        Reactions => |reactions| reactions.participant_name;
        TranscriptionChunkReceived => |chunk| chunk.participant.get_or_insert_default().name;
    }
    HasParticipantId::set_participant_id(ParticipantId) {
        ParticipantJoined => |joined| joined.participant.participant_id;
        ParticipantLeft => |left| left.participant.participant_id;
        ParticipantJoinedLobby => |joined| joined.participant.participant_id;
        ParticipantLeftLobby => |left| left.participant.participant_id;
        SipCallInStarted => |call| call.participant_id;
        SipCallInEnded => |call| call.participant_id;
        SipCallOutStarted => |call| call.participant_id;
        SipCallOutEnded => |call| call.participant_id;
        DialInStarted => |call| call.participant_id;
        DialInEnded => |call| call.participant_id;
        DialOutStarted => |call| call.participant_id;
        DialOutEnded => |call| call.participant_id;
        RtcstatsUploaded => |stats| stats.endpoint_id;
        PollCreated => |poll| poll.user.get_or_insert_default().participant_id;
        PollAnswer => |poll| poll.user.get_or_insert_default().participant_id;
        TranscriptionStarted => |transcriber| transcriber.participant_id;
        TranscriptionEnded => |transcriber| transcriber.participant_id;
        TranscriptionChunkReceived => |chunk| chunk.participant.get_or_insert_default().id;
    }
    HasUserId::set_user_id(UserId) {
        ParticipantJoined => |joined| joined.participant.id;
        ParticipantLeft => |left| left.participant.id;
        ParticipantJoinedLobby => |joined| joined.participant.id;
        ParticipantLeftLobby => |left| left.participant.id;
        ParticipantSubjectUpdate => |update| update.id;
        RecordingUploaded => |recording| recording.initiator_id;
        Feedback => |feedback| feedback.user_id;
        RtcstatsUploaded => |stats| stats.user_id;
        PollCreated => |poll| poll.user.get_or_insert_default().id;
        PollAnswer => |poll| poll.user.get_or_insert_default().id;
        Reactions => |reactions| reactions.user_id;
        TranscriptionChunkReceived => |chunk| chunk.participant.get_or_insert_default().user_id;
        DocumentAdded => |document| document.initiator_id;
        DocumentDeleted => |document| document.initiator_id;
    }
    HasLink::set_link(Link) {
        RecordingUploaded => |recording| recording.pre_authenticated_link;
        VideoSegmentUploaded => |segment| segment.pre_authenticated_link;
        ScreenSharingHistory => |history| history.pre_authenticated_link, history.pre_authenticated_link_v2;
        RtcstatsUploaded => |stats| stats.stats_url;
        TranscriptionUploaded => |transcription| transcription.pre_authenticated_link;
        ChatUploaded => |chat| chat.pre_authenticated_link;
        DocumentAdded => |document| document.pre_authenticated_link;
    }
    HasDisconnectReason::set_disconnect_reason(DisconnectReason) {
        ParticipantLeft => |left| left.disconnect_reason;
        ParticipantLeftLobby => |left| left.disconnect_reason;
        SipCallInEnded => |call| call.disconnect_reason;
        SipCallOutEnded => |call| call.disconnect_reason;
        DialOutEnded => |call| call.disconnect_reason;
    }
}

macro_rules! rooms {
    ($($Payload:ident)*) => {$(
        impl HasRoom for $Payload {
            fn room_mut(&mut self) -> &mut Room {
                &mut self.room
            }
        }
    )*};
}

rooms! {
    RoomCreated RoomDestroyed
    ParticipantJoined ParticipantLeft ParticipantJoinedLobby ParticipantLeftLobby ParticipantSubjectUpdate
    SipCallInStarted SipCallInEnded SipCallOutStarted SipCallOutEnded
    DialInStarted DialInEnded DialOutStarted DialOutEnded
    PollCreated PollAnswer
    TranscriptionStarted TranscriptionEnded
}
