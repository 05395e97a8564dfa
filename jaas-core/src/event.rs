//! The events JaaS sends: their kinds, their payloads, and the table from which both come.
//!
//! 8x8 calls its list "some of" the events, and it grows. An event that this version does not know reaches
//! [`EventHandler::unknown`](crate::EventHandler::unknown) and is never an error.
//!
//! Wire facts in this module's docs name their source: *documented* (8x8's pages), *asserted by jitsi-meet's tests*,
//! *seen in jitsi-meet's client*, *seen in the sender's modules* (its published Prosody modules) or *seen in
//! receivers*.

/// The fields on the wire of a [`Room`](crate::Room), which is not made by `payload!`.
macro_rules! Room {
    (wires) => {
        "`isBreakout` `breakoutRoomId`"
    };
}

// The table of fields of each payload is a macro with its name.
#[macro_use]
mod document;
#[macro_use]
mod feedback;
#[macro_use]
mod live_stream;
#[macro_use]
mod lobby;
#[macro_use]
mod participant;
#[macro_use]
mod poll;
#[macro_use]
mod reaction;
#[macro_use]
mod recording;
#[macro_use]
mod room;
#[macro_use]
mod stats;
#[macro_use]
mod telephony;
#[macro_use]
mod transcript;
#[macro_use]
mod usage;

use std::fmt;

pub use self::document::*;
pub use self::feedback::*;
pub use self::live_stream::*;
pub use self::lobby::*;
pub use self::participant::*;
pub use self::poll::*;
pub use self::reaction::*;
pub use self::recording::*;
pub use self::room::*;
pub use self::stats::*;
pub use self::telephony::*;
pub use self::transcript::*;
pub use self::usage::*;
use crate::lenient::{Decode, Undecoded, Write};
pub use crate::lenient::{DecodeError, DecodeErrorKind};

/// Calls a macro with the table of events: one row per event with its doc line, its name in Rust (payload
/// type and variant), its name on the wire, and its handler method.
///
/// This is the only list of events in the workspace. To add one, add a row, a payload with that name in `event/`
/// (`pub event` in `payload!`), and a fixture `jaas-testkit/fixtures/<WIRE_NAME>.json`; leaving any of them out does
/// not compile. `CONTRIBUTING.md` has an example.
#[doc(hidden)]
#[macro_export]
macro_rules! for_each_event {
    ($($callback:ident)::+) => { $($callback)::+! {
        /// A room or breakout room opened.
        RoomCreated "ROOM_CREATED" room_created;
        /// A room or breakout room closed.
        RoomDestroyed "ROOM_DESTROYED" room_destroyed;
        /// A participant joined a room or breakout room.
        ParticipantJoined "PARTICIPANT_JOINED" participant_joined;
        /// A participant left a room or breakout room.
        ParticipantLeft "PARTICIPANT_LEFT" participant_left;
        /// A participant began to wait in the lobby.
        ParticipantJoinedLobby "PARTICIPANT_JOINED_LOBBY" participant_joined_lobby;
        /// A participant stopped waiting in the lobby.
        ParticipantLeftLobby "PARTICIPANT_LEFT_LOBBY" participant_left_lobby;
        /// A participant changed the room's subject.
        ParticipantSubjectUpdate "PARTICIPANT_SUBJECT_UPDATE" participant_subject_update;
        /// A participant became a moderator.
        RoleChanged "ROLE_CHANGED" role_changed;
        /// A recording started.
        RecordingStarted "RECORDING_STARTED" recording_started;
        /// A recording ended.
        RecordingEnded "RECORDING_ENDED" recording_ended;
        /// A recording can be downloaded, for 24 hours.
        RecordingUploaded "RECORDING_UPLOADED" recording_uploaded;
        /// A 90 second piece of a recording can be downloaded, for 24 hours.
        VideoSegmentUploaded "VIDEO_SEGMENT_UPLOADED" video_segment_uploaded;
        /// The room closed: screenshots of what was shared can be downloaded, for 24 hours.
        ScreenSharingHistory "SCREEN_SHARING_HISTORY" screen_sharing_history;
        /// A live stream started.
        LiveStreamStarted "LIVE_STREAM_STARTED" live_stream_started;
        /// A live stream ended.
        LiveStreamEnded "LIVE_STREAM_ENDED" live_stream_ended;
        /// A SIP device called in.
        SipCallInStarted "SIP_CALL_IN_STARTED" sip_call_in_started;
        /// A SIP device that had called in hung up.
        SipCallInEnded "SIP_CALL_IN_ENDED" sip_call_in_ended;
        /// A SIP device was called.
        SipCallOutStarted "SIP_CALL_OUT_STARTED" sip_call_out_started;
        /// A call to a SIP device ended.
        SipCallOutEnded "SIP_CALL_OUT_ENDED" sip_call_out_ended;
        /// A telephone called in.
        DialInStarted "DIAL_IN_STARTED" dial_in_started;
        /// A telephone that had called in hung up.
        DialInEnded "DIAL_IN_ENDED" dial_in_ended;
        /// A telephone was called.
        DialOutStarted "DIAL_OUT_STARTED" dial_out_started;
        /// A call to a telephone ended.
        DialOutEnded "DIAL_OUT_ENDED" dial_out_ended;
        /// A participant rated the meeting.
        Feedback "FEEDBACK" feedback;
        /// Devices that count towards the bill joined; not sent for a lone participant.
        Usage "USAGE" usage;
        /// The main room closed: how long each participant spoke.
        SpeakerStats "SPEAKER_STATS" speaker_stats;
        /// A participant left: their WebRTC statistics can be downloaded, for 48 hours.
        RtcstatsUploaded "RTCSTATS_UPLOADED" rtcstats_uploaded;
        /// A poll was opened.
        PollCreated "POLL_CREATED" poll_created;
        /// A participant answered a poll.
        PollAnswer "POLL_ANSWER" poll_answer;
        /// A participant reacted, once or several times in a short while.
        Reactions "REACTIONS" reactions;
        /// The meeting ended: all its reactions, in one list.
        AggregatedReactions "AGGREGATED_REACTIONS" aggregated_reactions;
        /// A transcription started.
        TranscriptionStarted "TRANSCRIPTION_STARTED" transcription_started;
        /// A transcription ended.
        TranscriptionEnded "TRANSCRIPTION_ENDED" transcription_ended;
        /// The meeting ended: its transcription can be downloaded, for 24 hours.
        TranscriptionUploaded "TRANSCRIPTION_UPLOADED" transcription_uploaded;
        /// A participant said a phrase, and it was transcribed.
        TranscriptionChunkReceived "TRANSCRIPTION_CHUNK_RECEIVED" transcription_chunk_received;
        /// The meeting ended: its chat can be downloaded, for 24 hours.
        ChatUploaded "CHAT_UPLOADED" chat_uploaded;
        /// A document was added to the meeting.
        DocumentAdded "DOCUMENT_ADDED" document_added;
        /// A document was removed from the meeting.
        DocumentDeleted "DOCUMENT_DELETED" document_deleted;
    } };
}

/// The typed `data` of one event type.
///
/// Decoding is lenient: it fails only when `data` as a whole has the wrong shape. A field that is absent,
/// `null`, empty or of an unexpected type is `None`; the raw data still has it.
///
/// ```
/// use jaas_core::event::{ParticipantJoined, Payload};
///
/// let joined = ParticipantJoined::decode(r#"{"moderator":"true","name":{"odd":1},"participantId":"3988218d"}"#)?;
/// assert_eq!(joined.participant.moderator, Some(true));
/// assert_eq!(joined.participant.name, None);
/// # Ok::<(), jaas_core::event::DecodeError>(())
/// ```
pub trait Payload: sealed::Sealed + Clone + fmt::Debug + Send + Sync + 'static {
    /// The event type whose `data` this is.
    const KIND: EventKind;

    /// Decodes the payload from `data`, which is JSON text.
    ///
    /// # Errors
    /// When `data` is not an object (or list, for the types that are lists).
    fn decode(data: &str) -> Result<Self, DecodeError>;

    /// Writes `data` as the sender would, for code that plays the sender: JSON text that [`decode`](Self::decode)
    /// decodes to an equal payload. Fields that are `None` are left out, and an empty text decodes to `None`.
    ///
    /// The text holds the names and links that `Debug` hides, but not the raw data that the payload does not know. To
    /// keep an event, keep its raw body.
    fn encode(&self) -> String;
}

mod sealed {
    pub trait Sealed {}
}

/// Why an event goes to [`EventHandler::unknown`](crate::EventHandler::unknown) instead of its method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownReason {
    /// This version does not know the event type.
    #[error("the event type is not known to this version")]
    Type,
    /// The type is known, but `data` has the wrong shape.
    #[error(transparent)]
    Data(#[from] DecodeError),
}

/// An event that has no method, or could not be given to it.
///
/// The envelope is in the context as for any event; [`Context::data`](crate::Context::data) has the raw `data`.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct UnknownEvent<'a> {
    /// `eventType` as received.
    pub event_type: &'a str,
    /// Why the event came here.
    pub reason: &'a UnknownReason,
}

macro_rules! define_events {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        /// The name of what happened.
        ///
        /// ```
        /// use jaas_core::event::EventKind;
        ///
        /// assert_eq!(EventKind::from_wire("ROOM_CREATED"), EventKind::RoomCreated);
        /// assert_eq!(EventKind::from_wire("WHITEBOARD_OPENED"), EventKind::Unknown);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $(#[doc = $doc] $Event,)*
            /// An event type that this version does not know.
            Unknown,
        }

        impl EventKind {
            /// Every kind this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$Event,)*];

            /// How many kinds there are, [`Unknown`](Self::Unknown) among them.
            pub(crate) const MANY: usize = Self::ALL.len() + 1;

            /// Returns the kind with this `eventType`, or [`Unknown`](Self::Unknown).
            pub fn from_wire(event_type: &str) -> Self {
                match event_type {
                    $($wire => Self::$Event,)*
                    _ => Self::Unknown,
                }
            }

            /// The `eventType` on the wire; `UNKNOWN` for [`Unknown`](Self::Unknown).
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$Event => $wire,)*
                    Self::Unknown => "UNKNOWN",
                }
            }
        }

        $(
            impl sealed::Sealed for $Event {}

            impl Payload for $Event {
                const KIND: EventKind = EventKind::$Event;

                fn decode(data: &str) -> Result<Self, DecodeError> {
                    Decode::parse_data(data, &mut Undecoded::default())
                }

                fn encode(&self) -> String {
                    self.write().unwrap_or_default().to_string()
                }
            }
        )*

        /// One event with its typed payload.
        ///
        /// ```
        /// use jaas_core::event::{Event, EventKind};
        ///
        /// match Event::parse(EventKind::Feedback, r#"{"rating":5}"#) {
        ///     Event::Feedback(feedback) => assert_eq!(feedback.rating, Some(5)),
        ///     Event::Unknown(reason) => panic!("{reason}"),
        ///     _ => {}
        /// }
        /// ```
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Event {
            $(#[doc = $doc] $Event($Event),)*
            /// An event for which this version has no type.
            Unknown(UnknownReason),
        }

        impl Event {
            /// Parses the payload of an event of this kind; a payload that does not decode is
            /// [`Unknown`](Self::Unknown).
            pub fn parse(kind: EventKind, data: &str) -> Self {
                Self::parse_within(kind, data, &mut Undecoded::default())
            }

            pub(crate) fn parse_within(kind: EventKind, data: &str, undecoded: &mut Undecoded) -> Self {
                match kind {
                    $(EventKind::$Event => match Decode::parse_data(data, undecoded) {
                        Ok(payload) => Self::$Event(payload),
                        Err(error) => Self::Unknown(UnknownReason::Data(error)),
                    },)*
                    EventKind::Unknown => Self::Unknown(UnknownReason::Type),
                }
            }

            /// Passes on each link in the payload, with the wire name of its field.
            #[cfg(feature = "archive")]
            pub(crate) fn links(&self, found: &mut dyn FnMut(&'static str, &str)) {
                match self {
                    $(Self::$Event(payload) => payload.links("data", found),)*
                    Self::Unknown(_) => {}
                }
            }

            /// The kind of this event; also [`EventKind::Unknown`] for a known type whose data did not decode.
            pub fn kind(&self) -> EventKind {
                match self {
                    $(Self::$Event(_) => EventKind::$Event,)*
                    Self::Unknown(_) => EventKind::Unknown,
                }
            }
        }
    };
}

for_each_event!(define_events);

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_wire_name_and_parses_back() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_wire(kind.as_str()), *kind);
        }
        assert_eq!(EventKind::from_wire("UNKNOWN"), EventKind::Unknown);
        assert_eq!(EventKind::from_wire("room_created"), EventKind::Unknown);
    }

    #[test]
    fn data_of_the_wrong_shape_is_unknown_with_the_reason() {
        let Event::Unknown(reason) = Event::parse(EventKind::RoomCreated, "\"text\"") else {
            panic!("unknown")
        };
        assert_eq!(reason.to_string(), "`data` is a string, where an object was expected");
    }
}
