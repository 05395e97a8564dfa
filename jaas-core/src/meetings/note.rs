//! What one event says about a meeting besides who is where.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::delivery::Delivery;
use crate::event::{Event, PollUser, Reaction};
use crate::id::{IdempotencyKey, Jid, ParticipantId, PollId, SessionId, UserId};
use crate::private::Personal;
use crate::timestamp::Timestamp;

use super::transcript::Phrase;

/// What one event says about a meeting besides who is where: who spoke for how long, who was asked and answered, reacted,
/// rated, and which devices count.
///
/// Two notes of the same session and event are copies, and count once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Note {
    /// The sitting.
    pub session: SessionId,
    /// The key of the event.
    pub event: IdempotencyKey,
    /// When it happened.
    pub at: Timestamp,
    /// What it says.
    pub said: Said,
}

/// What a [`Note`] says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Said {
    /// `USAGE`: these devices joined, as the sender names them.
    Devices(Vec<Personal>),
    /// `SPEAKER_STATS`: so long each connection spoke.
    Talk(Vec<Talk>),
    /// `POLL_CREATED`.
    Asked(Asked),
    /// `POLL_ANSWER`.
    Answered(Answered),
    /// `REACTIONS`: a participant reacted.
    Reacted(Vec<Reacted>),
    /// `AGGREGATED_REACTIONS`: the reactions of the whole meeting once more.
    AllReactions(Vec<Reacted>),
    /// `FEEDBACK`.
    Rated(Rating),
    /// `TRANSCRIPTION_CHUNK_RECEIVED`.
    Phrase(Phrase),
}

/// How long one connection spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Talk {
    /// The full address of the connection.
    pub jid: Jid,
    /// The user id of the JWT.
    pub user_id: Option<UserId>,
    /// How long this was the dominant speaker.
    pub talked: Duration,
}

impl Talk {
    /// A connection that spoke for this time.
    pub fn new(jid: Jid, user_id: Option<UserId>, talked: Duration) -> Self {
        Self { jid, user_id, talked }
    }
}

/// A poll that was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// The poll.
    pub poll: PollId,
    /// The user id of who asked.
    pub user_id: Option<UserId>,
    /// The endpoint id of who asked.
    pub participant_id: Option<ParticipantId>,
    /// The question.
    pub question: Option<Personal>,
    /// The options: the key and the text of each.
    pub options: Vec<(i64, Option<Personal>)>,
}

impl Asked {
    /// A poll of which nothing else is known.
    pub fn new(poll: PollId) -> Self {
        Self { poll, user_id: None, participant_id: None, question: None, options: Vec::new() }
    }
}

/// One participant's answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answered {
    /// The poll.
    pub poll: PollId,
    /// Who answered: the address, or else the endpoint id, or else the user id, or else the key of the event.
    pub voter: String,
    /// The user id of the JWT.
    pub user_id: Option<UserId>,
    /// The keys of the options that are ticked, in order.
    pub ticked: Vec<i64>,
}

impl Answered {
    /// An answer with nothing ticked.
    pub fn new(poll: PollId, voter: impl Into<String>) -> Self {
        Self { poll, voter: voter.into(), user_id: None, ticked: Vec::new() }
    }
}

/// How often a user reacted in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reacted {
    /// The user id of the JWT; `None` for all guests together.
    pub user_id: Option<UserId>,
    /// The reaction.
    pub reaction: Reaction,
    /// How often.
    pub count: u64,
}

impl Reacted {
    /// A reaction, so many times.
    pub fn new(user_id: Option<UserId>, reaction: Reaction, count: u64) -> Self {
        Self { user_id, reaction, count }
    }
}

/// What a participant thought of the meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rating {
    /// The sitting.
    pub session: SessionId,
    /// When it was given.
    pub at: Timestamp,
    /// The user id of the JWT; guests do not have one.
    pub user_id: Option<UserId>,
    /// From 1 to 5; `None` without a rating.
    pub stars: Option<u8>,
    /// What the participant wrote.
    pub comments: Option<Personal>,
}

impl Rating {
    /// A rating without stars and comments.
    pub fn new(session: SessionId, at: Timestamp) -> Self {
        Self { session, at, user_id: None, stars: None, comments: None }
    }
}

impl Note {
    /// The note of a delivery; `None` for events that say nothing of the kind, and for those without a session or a time.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        Self::of_event(delivery, &delivery.event())
    }

    /// The same when the payload is decoded already, as in a handler.
    pub fn of_event(delivery: &Delivery, event: &Event) -> Option<Self> {
        let envelope = &delivery.envelope;
        let (session, at) = (envelope.session_id.clone()?, envelope.timestamp?);
        let event_key = envelope.idempotency_key.clone();
        let said = said(delivery, event, &session, at)?;
        Some(Self { session, event: event_key, at, said })
    }

    /// A note from its parts.
    pub fn new(session: SessionId, event: IdempotencyKey, at: Timestamp, said: Said) -> Self {
        Self { session, event, at, said }
    }
}

fn said(delivery: &Delivery, event: &Event, session: &SessionId, at: Timestamp) -> Option<Said> {
    Some(match event {
        Event::Usage(usage) => {
            Said::Devices(usage.0.iter().filter_map(|entry| entry.device_id.clone()).collect())
        }
        Event::SpeakerStats(stats) => {
            let talk = |(jid, stat): (&Jid, &crate::event::SpeakerStat)| {
                Some(Talk::new(jid.clone(), stat.id.clone(), stat.time()?))
            };
            Said::Talk(stats.0.iter().filter_map(talk).collect())
        }
        Event::PollCreated(created) => {
            let mut asked = Asked::new(created.poll_id.clone()?);
            let user = created.user.clone().unwrap_or_default();
            (asked.user_id, asked.participant_id) = (user.id, user.participant_id);
            asked.question = created.question.clone();
            let options = created.answers.iter().enumerate();
            asked.options = options.map(|(index, one)| (key_at(one.key, index), one.name.clone())).collect();
            Said::Asked(asked)
        }
        Event::PollAnswer(answer) => {
            let user = answer.user.clone().unwrap_or_default();
            let voter = voter(&user).unwrap_or_else(|| delivery.envelope.idempotency_key.to_string());
            let mut answered = Answered::new(answer.poll_id.clone()?, voter);
            answered.user_id = user.id;
            let ticked = answer.answers.iter().enumerate().filter(|(_, one)| one.value == Some(true));
            answered.ticked = ticked.map(|(index, one)| key_at(one.key, index)).collect();
            answered.ticked.sort_unstable();
            answered.ticked.dedup();
            Said::Answered(answered)
        }
        Event::Reactions(reactions) => {
            let user = reactions.user_id.as_ref();
            Said::Reacted(counted(reactions.reactions.iter().map(|reaction| (user, reaction))))
        }
        Event::AggregatedReactions(all) => {
            let each = all.0.iter().filter_map(|one| Some((one.user_id.as_ref(), one.reaction.as_ref()?)));
            Said::AllReactions(counted(each))
        }
        Event::Feedback(feedback) => {
            let mut rating = Rating::new(session.clone(), at);
            rating.user_id = feedback.user_id.clone();
            rating.stars = feedback.stars();
            rating.comments =
                feedback.comments.clone().filter(|comments| !comments.expose().trim().is_empty());
            Said::Rated(rating)
        }
        Event::TranscriptionChunkReceived(chunk) => Said::Phrase(Phrase::of_chunk(delivery, chunk)?),
        _ => return None,
    })
}

/// The key of an option; options without one count from 1, as in the documented example.
fn key_at(key: Option<i64>, index: usize) -> i64 {
    key.unwrap_or_else(|| i64::try_from(index).unwrap_or(i64::MAX - 1) + 1)
}

fn voter(user: &PollUser) -> Option<String> {
    let jid = user.participant_jid.as_ref().map(|jid| jid.bare().to_owned());
    let participant = || user.participant_id.as_ref().map(ToString::to_string);
    let id = || user.id.as_ref().map(ToString::to_string);
    jid.or_else(participant).or_else(id)
}

/// How often each user reacted in each way.
pub(super) fn counted<'a>(
    each: impl IntoIterator<Item = (Option<&'a UserId>, &'a Reaction)>,
) -> Vec<Reacted> {
    let mut counts: BTreeMap<(Option<&UserId>, &str), u64> = BTreeMap::new();
    for (user, reaction) in each {
        *counts.entry((user, reaction.as_str())).or_default() += 1;
    }
    let reacted = |((user, name), count): ((Option<&UserId>, &str), u64)| {
        Reacted::new(user.cloned(), name.into(), count)
    };
    counts.into_iter().map(reacted).collect()
}
