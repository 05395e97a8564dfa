//! The simulator: scripts by hand, random meetings, the sender, and what holds in any order.
#![allow(clippy::expect_used, clippy::panic)]

mod causality;
mod independence;
mod projection;
mod random;
mod script;
mod sender;
mod shapes;

use jaas_core::event::EventKind;

macro_rules! kinds {
    ($($Event:ident)*) => { &[$(EventKind::$Event,)*] };
}

/// The events that the simulator can emit. A new event joins them when it has an action in
/// `jaas-testkit/src/simulator/meeting/`.
const SIMULATED: &[EventKind] = kinds! {
    RoomCreated RoomDestroyed ParticipantJoined ParticipantLeft ParticipantJoinedLobby ParticipantLeftLobby
    ParticipantSubjectUpdate RoleChanged RecordingStarted RecordingEnded RecordingUploaded VideoSegmentUploaded
    ScreenSharingHistory LiveStreamStarted LiveStreamEnded SipCallInStarted SipCallInEnded SipCallOutStarted
    SipCallOutEnded DialInStarted DialInEnded DialOutStarted DialOutEnded Feedback Usage SpeakerStats
    RtcstatsUploaded PollCreated PollAnswer Reactions AggregatedReactions TranscriptionStarted
    TranscriptionEnded TranscriptionUploaded TranscriptionChunkReceived ChatUploaded DocumentAdded
    DocumentDeleted
};
