//! What was said.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::csv::rfc3339;
use super::stay::Stay;
use crate::delivery::Delivery;
use crate::event::{Event, TranscriptionChunkReceived};
use crate::id::{ParticipantId, SessionId, UserId};
use crate::private::Personal;
use crate::timestamp::Timestamp;

/// One phrase, transcribed: what one `TRANSCRIPTION_CHUNK_RECEIVED` says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Phrase {
    /// The sitting.
    pub session: SessionId,
    /// The `messageID`, or else the key of the event: what makes two phrases the same.
    pub id: String,
    /// When it was finished.
    pub at: Timestamp,
    /// The endpoint id of who spoke.
    pub participant_id: Option<ParticipantId>,
    /// The user id of the JWT.
    pub user_id: Option<UserId>,
    /// The name of who spoke; asynchronous transcriptions have none (asserted by jitsi-meet's tests).
    pub name: Option<Personal>,
    /// The language, such as `en` or `en-US`.
    pub language: Option<String>,
    /// What was said.
    pub text: Personal,
}

impl Phrase {
    /// A phrase of which neither speaker nor language is known.
    pub fn new(session: SessionId, id: impl Into<String>, at: Timestamp, text: Personal) -> Self {
        let (participant_id, user_id, name, language) = (None, None, None, None);
        Self { session, id: id.into(), at, participant_id, user_id, name, language, text }
    }

    /// The phrase of a delivery; `None` for other events, and for chunks without a session, a time or a text.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        match delivery.event() {
            Event::TranscriptionChunkReceived(chunk) => Self::of_chunk(delivery, &chunk),
            _ => None,
        }
    }

    /// The same when the payload is decoded already, as in a handler.
    pub fn of_chunk(delivery: &Delivery, chunk: &TranscriptionChunkReceived) -> Option<Self> {
        let envelope = &delivery.envelope;
        let speaker = chunk.participant.clone().unwrap_or_default();
        let text = chunk.text.as_ref()?.expose().trim();
        Some(Self {
            session: envelope.session_id.clone()?,
            id: chunk.message_id.clone().unwrap_or_else(|| envelope.idempotency_key.to_string()),
            at: envelope.timestamp?,
            participant_id: speaker.id,
            user_id: speaker.user_id,
            name: speaker.name,
            language: chunk.language.clone(),
            text: Some(text).filter(|text| !text.is_empty()).map(Personal::new)?,
        })
    }
}

/// The phrases of a sitting in the order they were said, each once, with the names of those who spoke.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Transcript {
    /// What times in captions are counted from.
    pub begin: Timestamp,
    /// The phrases.
    pub phrases: Vec<Phrase>,
}

/// How long a caption is shown at most, and at least.
const LONGEST: Duration = Duration::from_secs(7);
const SHORTEST: Duration = Duration::from_secs(1);

impl Transcript {
    /// A transcript that begins at this time: of these phrases in any order. A phrase without a name has that of a stay with
    /// the same endpoint id, or else the same user.
    ///
    /// Of phrases with the same id, the latest is taken.
    pub fn of(begin: Timestamp, phrases: impl IntoIterator<Item = Phrase>, stays: &[Stay]) -> Self {
        let mut by_id: BTreeMap<(SessionId, String), Phrase> = BTreeMap::new();
        let rank = |phrase: &Phrase| (phrase.at, phrase.text.clone(), phrase.name.clone());
        for phrase in phrases {
            let id = (phrase.session.clone(), phrase.id.clone());
            match by_id.get(&id) {
                Some(known) if rank(known) >= rank(&phrase) => {}
                _ => drop(by_id.insert(id, phrase)),
            }
        }
        let mut phrases: Vec<Phrase> = by_id.into_values().collect();
        phrases.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        for phrase in &mut phrases {
            if phrase.name.is_none() {
                phrase.name = name_from(stays, phrase);
            }
        }
        Self { begin, phrases }
    }

    /// A line for each phrase: the time since the beginning, who spoke, and what.
    pub fn to_text(&self) -> String {
        let line = |phrase: &Phrase| {
            let time = clock(phrase.at.duration_since(self.begin));
            let (who, what) = (one_line(speaker(phrase)), one_line(phrase.text.expose()));
            format!("[{}] {who}: {what}\n", time.split('.').next().unwrap_or_default())
        };
        self.phrases.iter().map(line).collect()
    }

    /// Captions in the format WebVTT, for a recording that began when the transcript [begins](Self::begin). The event says
    /// when a phrase was finished, so its caption ends there; it begins earlier by the time it takes to say it, but not before
    /// the caption before it ends.
    pub fn to_webvtt(&self) -> String {
        let mut vtt = "WEBVTT\n".to_owned();
        let mut free = Duration::ZERO;
        for phrase in &self.phrases {
            let said = phrase.text.expose();
            // Some 15 characters a second.
            let takes = Duration::from_millis(said.chars().count() as u64 * 66).clamp(SHORTEST, LONGEST);
            let end = phrase.at.duration_since(self.begin).max(free + Duration::from_millis(1));
            let start = end.saturating_sub(takes).max(free);
            free = end;
            let (who, what) = (escaped(speaker(phrase)), escaped(said));
            vtt.push_str(&format!("\n{} --> {}\n<v {who}>{what}\n", clock(start), clock(end)));
        }
        vtt
    }

    /// The phrases with their times in UTC: `message_id`, `at`, `user_id`, `participant_id`, `name`, `language`, `text`.
    pub fn to_json(&self) -> Value {
        let phrases = self.phrases.iter().map(|phrase| {
            json!({
                "message_id": phrase.id,
                "at": rfc3339(phrase.at, &TimeZone::UTC),
                "user_id": phrase.user_id,
                "participant_id": phrase.participant_id,
                "name": phrase.name.as_ref().map(Personal::expose),
                "language": phrase.language,
                "text": phrase.text.expose(),
            })
        });
        phrases.collect()
    }
}

fn name_from(stays: &[Stay], phrase: &Phrase) -> Option<Personal> {
    let of_session = || stays.iter().filter(|stay| stay.session == phrase.session);
    let same_connection =
        |stay: &&Stay| phrase.participant_id.is_some() && stay.who.participant_id == phrase.participant_id;
    let same_user = |stay: &&Stay| phrase.user_id.is_some() && stay.who.user_id == phrase.user_id;
    let name = |stay: &Stay| stay.who.name.clone();
    of_session()
        .filter(same_connection)
        .find_map(name)
        .or_else(|| of_session().filter(same_user).find_map(name))
}

fn speaker(phrase: &Phrase) -> &str {
    let user = || phrase.user_id.as_ref().map_or("guest", UserId::as_str);
    phrase.name.as_ref().map_or_else(user, Personal::expose)
}

/// `HH:MM:SS.mmm`.
fn clock(since: Duration) -> String {
    let secs = since.as_secs();
    format!("{:02}:{:02}:{:02}.{:03}", secs / 3600, secs / 60 % 60, secs % 60, since.subsec_millis())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text of others within a caption.
fn escaped(text: &str) -> String {
    one_line(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
