//! What one event shows of what should follow.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::delivery::Delivery;
use crate::event::Event;
use crate::id::ParticipantId;
use crate::meetings::{Change, Edge, Place, Via, Who};
use crate::named::named_enum;
use crate::timestamp::Timestamp;

named_enum! {
    /// What was seen.
    #[non_exhaustive]
    pub enum Seen {
        /// A room opened.
        Opened = "opened",
        /// A room closed.
        Closed = "closed",
        /// A participant or a call came to a room.
        Joined = "joined",
        /// A participant or a call left a room.
        Left = "left",
        /// A recording began.
        RecordingStarted = "recording_started",
        /// A recording ended.
        RecordingEnded = "recording_ended",
        /// A recording was uploaded.
        RecordingUploaded = "recording_uploaded",
        /// Something that was said was transcribed. One is kept for each session.
        Phrase = "phrase",
        /// A transcription was uploaded.
        TranscriptionUploaded = "transcription_uploaded",
        /// A device of a participant or a phone is on the bill. One is kept for each participant.
        Usage = "usage",
        /// A receiver of an endpoint ran. One is kept for each hour, with the latest time.
        Listening = "listening",
        /// An authentic delivery came to an endpoint. One is kept for each hour, with the latest time.
        Heard = "heard",
        /// An endpoint refused what claims to be authentic, since `began_at`. One is kept for each run of refusals.
        Refused = "refused",
    }
}

/// What one event shows. It has no name, address or link of anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sighting {
    /// What.
    pub what: Seen,
    /// Which one of its kind in its session: the `idempotencyKey` of the event, or else what there is one of.
    pub slot: String,
    /// When it happened.
    pub at: Timestamp,
    /// When the application wrote it down, which is later.
    pub recorded_at: Timestamp,
    /// Which room, of rooms and participants.
    pub place: Place,
    /// Which connection: the `participantId`; of visitors, who have none, a hash of the address. Empty when it is
    /// about none.
    pub presence: String,
    /// How they take part.
    pub via: Via,
    /// When an uploaded recording began, if the event says, or a run of refusals.
    pub began_at: Option<Timestamp>,
    /// When an uploaded recording ended, if the event says.
    pub ended_at: Option<Timestamp>,
}

/// What the hash of an address begins with. Endpoint ids are hexadecimal digits.
const HASHED: &str = "jid:";

impl Sighting {
    /// A sighting of nobody, in the main room.
    pub fn new(what: Seen, slot: impl Into<String>, at: Timestamp, recorded_at: Timestamp) -> Self {
        Self {
            what,
            slot: slot.into(),
            at,
            recorded_at,
            place: Place::Main,
            presence: String::new(),
            via: Via::Participant,
            began_at: None,
            ended_at: None,
        }
    }

    /// What a delivery shows that is written down now; empty for events of which nothing follows, and for those
    /// without a session.
    pub fn of(delivery: &Delivery, event: &Event, now: Timestamp) -> Vec<Self> {
        let envelope = &delivery.envelope;
        if envelope.session_id.is_none() {
            return Vec::new();
        }
        let key = envelope.idempotency_key.as_str();
        let new = |what, slot: &str| Self::new(what, slot, delivery.occurred_at(), now);
        match event {
            Event::RecordingStarted(_) => vec![new(Seen::RecordingStarted, key)],
            Event::RecordingEnded(_) => vec![new(Seen::RecordingEnded, key)],
            Event::RecordingUploaded(uploaded) => vec![Self {
                began_at: uploaded.start_timestamp,
                ended_at: uploaded.end_timestamp,
                ..new(Seen::RecordingUploaded, key)
            }],
            Event::TranscriptionChunkReceived(_) => vec![new(Seen::Phrase, "")],
            Event::TranscriptionUploaded(_) => vec![new(Seen::TranscriptionUploaded, "")],
            Event::Usage(usage) => usage
                .0
                .iter()
                .enumerate()
                .filter(|(_, entry)| entry.visitor != Some(true))
                .map(|(index, entry)| match &entry.participant_id {
                    Some(id) => Self { presence: id.to_string(), ..new(Seen::Usage, id.as_str()) },
                    None => new(Seen::Usage, &format!("{index}/{key}")),
                })
                .collect(),
            _ => Edge::of_event(delivery, event)
                .and_then(|edge| Self::of_edge(edge, key, now))
                .into_iter()
                .collect(),
        }
    }

    fn of_edge(edge: Edge, key: &str, now: Timestamp) -> Option<Self> {
        let (what, place, who) = match edge.change {
            Change::Opened { room } => (Seen::Opened, room, None),
            Change::Closed { room } => (Seen::Closed, room, None),
            Change::Joined { place, who } => (Seen::Joined, place, Some(who)),
            Change::Left { place, who, .. } => (Seen::Left, place, Some(who)),
        };
        // Moderators produce no lobby events, and whether admission does is not known.
        if place.is_lobby() {
            return None;
        }
        let via = who.as_ref().map_or(Via::Participant, |who| who.via);
        let presence = who.as_ref().map(presence).unwrap_or_default();
        Some(Self { place, presence, via, ..Self::new(what, key, edge.at, now) })
    }

    /// The endpoint id, if there is one.
    pub fn participant(&self) -> Option<ParticipantId> {
        participant_of(&self.presence)
    }

    /// The same as an edge, of participants and rooms.
    pub(super) fn edge(&self, session: &crate::id::SessionId) -> Option<Edge> {
        let who = || Who::new(self.presence.as_str(), self.via);
        let place = self.place.clone();
        let change = match self.what {
            Seen::Opened => Change::Opened { room: place },
            Seen::Closed => Change::Closed { room: place },
            Seen::Joined => Change::Joined { place, who: who() },
            Seen::Left => Change::Left { place, who: who(), reason: None },
            _ => return None,
        };
        Some(Edge::new(session.clone(), crate::id::Fqn::new(""), self.at, change))
    }
}

/// The endpoint id of a presence.
pub(super) fn participant_of(presence: &str) -> Option<ParticipantId> {
    let has_id = !presence.is_empty() && !presence.starts_with(HASHED);
    has_id.then(|| ParticipantId::new(presence))
}

fn presence(who: &Who) -> String {
    if let Some(id) = &who.participant_id {
        return id.to_string();
    }
    let hash = Sha256::digest(who.presence.as_bytes());
    let mut text = HASHED.to_owned();
    for byte in hash.iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
