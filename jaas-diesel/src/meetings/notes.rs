//! Notes as rows: what events say besides who is where. A row is inserted once and never changed.

use std::time::Duration;

use jaas_core::event::{Event, Reaction};
use jaas_core::meetings::{Answered, Asked, Mark, Month, Note, Phrase, Rating, Reacted, Said, Talk};
use jaas_core::{
    Delivery, Fqn, IdempotencyKey, Jid, ParticipantId, Personal, PollId, SessionId, Timestamp, UserId,
};
use serde_json::json;

use super::rows::{RoomKey, indexed};
use super::{Meetings, Names};
use crate::rows::text;

/// A table of notes. Each begins with the session, the key of the event and the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoteTable {
    pub(crate) name: &'static str,
    /// Its other columns.
    pub(crate) columns: &'static str,
}

impl NoteTable {
    const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns }
    }
}

const MARKS: NoteTable = NoteTable::new("jaas_marks", "kind");
const DEVICES: NoteTable = NoteTable::new("jaas_devices", "device, tenant, month");
const TALK: NoteTable = NoteTable::new("jaas_talk", "jid, user_id, talked_ms");
const POLLS: NoteTable = NoteTable::new("jaas_polls", "poll_id, user_id, participant_id, question, options");
const ANSWERS: NoteTable = NoteTable::new("jaas_poll_answers", "poll_id, voter, user_id, ticked");
const REACTIONS: NoteTable = NoteTable::new("jaas_reactions", "user_id, reaction, amount, aggregated");
const FEEDBACK: NoteTable = NoteTable::new("jaas_feedback", "user_id, stars, comments");
const PHRASES: NoteTable =
    NoteTable::new("jaas_phrases", "message_id, participant_id, user_id, name, language, said");

/// All of them.
pub(crate) const NOTE_TABLES: [NoteTable; 8] =
    [MARKS, DEVICES, TALK, POLLS, ANSWERS, REACTIONS, FEEDBACK, PHRASES];

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Text(Option<String>),
    Number(i64),
    /// A column that is a `SMALLINT`.
    Small(Option<i16>),
    /// A column that is an `INTEGER`.
    Int(i32),
}

/// The rows of one event for one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteRows {
    pub(crate) table: NoteTable,
    pub(crate) session: String,
    pub(crate) key: String,
    pub(crate) at: i64,
    pub(crate) rows: Vec<Vec<Cell>>,
}

impl NoteRows {
    /// The rows that keep what an event says, as far as the application wants it kept.
    pub(crate) fn of(delivery: &Delivery, event: &Event, meetings: &Meetings) -> Vec<Self> {
        let envelope = &delivery.envelope;
        let mut all = Vec::new();
        let mut add = |table, session: &SessionId, at: Timestamp, rows: Vec<Vec<Cell>>| {
            if !rows.is_empty() {
                let (session, key) = (indexed(session.as_str()), indexed(envelope.idempotency_key.as_str()));
                all.push(Self { table, session, key, at: at.as_millis(), rows });
            }
        };
        if let Some(mark) = Mark::of(delivery) {
            add(MARKS, &mark.session, mark.at, vec![vec![key(mark.kind.as_str())]]);
        }
        if let Some(note) = Note::of_event(delivery, event) {
            let (table, rows) = rows(&note, &envelope.fqn, meetings);
            add(table, &note.session, note.at, rows);
        }
        all
    }
}

fn rows(note: &Note, fqn: &Fqn, meetings: &Meetings) -> (NoteTable, Vec<Vec<Cell>>) {
    let personal = |value: Option<&Personal>| {
        Cell::Text(value.filter(|_| meetings.names == Names::Keep).map(|value| text(value.expose())))
    };
    match &note.said {
        Said::Devices(devices) => (DEVICES, device_rows(devices, note.at, fqn, meetings)),
        Said::Talk(talk) => {
            let row = |one: &Talk| {
                let talked = i64::try_from(one.talked.as_millis()).unwrap_or(i64::MAX);
                vec![key(one.jid.as_str()), id(one.user_id.as_ref()), Cell::Number(talked)]
            };
            (TALK, talk.iter().map(row).collect())
        }
        Said::Asked(asked) => {
            let keep = |name: &Option<Personal>| {
                name.as_ref().filter(|_| meetings.names == Names::Keep).map(|name| text(name.expose()))
            };
            let options = asked.options.iter().map(|(key, name)| json!([key, keep(name)]));
            let options = serde_json::Value::from_iter(options).to_string();
            let row = vec![
                key(asked.poll.as_str()),
                id(asked.user_id.as_ref()),
                id(asked.participant_id.as_ref()),
                personal(asked.question.as_ref()),
                Cell::Text(Some(options)),
            ];
            (POLLS, vec![row])
        }
        Said::Answered(answer) => {
            let ticked = json!(answer.ticked).to_string();
            let (poll, voter) = (key(answer.poll.as_str()), key(&answer.voter));
            (ANSWERS, vec![vec![poll, voter, id(answer.user_id.as_ref()), Cell::Text(Some(ticked))]])
        }
        Said::Reacted(reacted) => (REACTIONS, reacted.iter().map(|one| reaction(one, 0)).collect()),
        Said::AllReactions(reacted) => (REACTIONS, reacted.iter().map(|one| reaction(one, 1)).collect()),
        Said::Rated(rating) => {
            let (user, stars) = (id(rating.user_id.as_ref()), Cell::Small(rating.stars.map(i16::from)));
            (FEEDBACK, vec![vec![user, stars, personal(rating.comments.as_ref())]])
        }
        Said::Phrase(_) if !meetings.phrases => (PHRASES, Vec::new()),
        Said::Phrase(phrase) => {
            let row = vec![
                key(&phrase.id),
                id(phrase.participant_id.as_ref()),
                id(phrase.user_id.as_ref()),
                personal(phrase.name.as_ref()),
                Cell::Text(phrase.language.as_deref().map(text)),
                Cell::Text(Some(text(phrase.text.expose()))),
            ];
            (PHRASES, vec![row])
        }
        // What a later version of the core says has no table here.
        _ => (MARKS, Vec::new()),
    }
}

fn device_rows(devices: &[Personal], at: Timestamp, fqn: &Fqn, meetings: &Meetings) -> Vec<Vec<Cell>> {
    let Some((hash, month)) = meetings.devices.as_ref().zip(Month::of(at)) else { return Vec::new() };
    let tenant = RoomKey::of(fqn).tenant;
    let row = |device: &Personal| {
        vec![key(&hash.hash(device.expose())), key(&tenant), Cell::Int(month_number(month))]
    };
    devices.iter().map(row).collect()
}

/// The month as its column has it.
pub(crate) fn month_number(month: Month) -> i32 {
    i32::from(month.year()) * 100 + i32::from(month.month())
}

/// The month of a column.
pub(crate) fn month(number: i32) -> Option<Month> {
    let (year, month) = (number.div_euclid(100), number.rem_euclid(100));
    Month::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?)
}

fn reaction(one: &Reacted, aggregated: i16) -> Vec<Cell> {
    let user = one.user_id.as_ref().map_or("", UserId::as_str);
    let count = i64::try_from(one.count).unwrap_or(i64::MAX);
    vec![key(user), key(one.reaction.as_str()), Cell::Number(count), Cell::Small(Some(aggregated))]
}

fn key(text: &str) -> Cell {
    Cell::Text(Some(indexed(text)))
}

fn id<T: AsRef<str>>(id: Option<&T>) -> Cell {
    Cell::Text(id.map(|id| indexed(id.as_ref())))
}

/// What all rows begin with: the session, the key of the event, the time.
type Head = (String, String, i64);

fn note((session, event, at): Head, said: impl FnOnce(&SessionId, Timestamp) -> Said) -> Note {
    let (session, at) = (SessionId::new(session), Timestamp::from_millis(at));
    let said = said(&session, at);
    Note::new(session, IdempotencyKey::new(event), at, said)
}

pub(crate) type TalkRow = (Head, (String, Option<String>, i64));

pub(crate) fn talk((head, (jid, user, millis)): TalkRow) -> Note {
    let talked = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    note(head, |_, _| Said::Talk(vec![Talk::new(Jid::new(jid), user.map(UserId::new), talked)]))
}

pub(crate) type PollRow = (Head, (String, Option<String>, Option<String>, Option<String>, String));

pub(crate) fn poll((head, (poll, user, participant, question, options)): PollRow) -> Note {
    let mut asked = Asked::new(PollId::new(poll));
    asked.user_id = user.map(UserId::new);
    asked.participant_id = participant.map(ParticipantId::new);
    asked.question = question.map(Personal::new);
    let options: Vec<(i64, Option<String>)> = serde_json::from_str(&options).unwrap_or_default();
    asked.options = options.into_iter().map(|(key, name)| (key, name.map(Personal::new))).collect();
    note(head, |_, _| Said::Asked(asked))
}

pub(crate) type AnswerRow = (Head, (String, String, Option<String>, String));

pub(crate) fn answer((head, (poll, voter, user, ticked)): AnswerRow) -> Note {
    let mut answered = Answered::new(PollId::new(poll), voter);
    answered.user_id = user.map(UserId::new);
    answered.ticked = serde_json::from_str(&ticked).unwrap_or_default();
    note(head, |_, _| Said::Answered(answered))
}

pub(crate) type ReactionRow = (Head, (String, String, i64, i16));

pub(crate) fn reacted((head, (user, reaction, amount, aggregated)): ReactionRow) -> Note {
    let user = Some(user).filter(|user| !user.is_empty()).map(UserId::new);
    let count = u64::try_from(amount).unwrap_or(0);
    let one = vec![Reacted::new(user, Reaction::from(&*reaction), count)];
    note(head, |_, _| if aggregated == 0 { Said::Reacted(one) } else { Said::AllReactions(one) })
}

pub(crate) type FeedbackRow = (Head, (Option<String>, Option<i16>, Option<String>));

pub(crate) fn rating(((session, _, at), (user, stars, comments)): FeedbackRow) -> Rating {
    let mut rating = Rating::new(SessionId::new(session), Timestamp::from_millis(at));
    rating.user_id = user.map(UserId::new);
    rating.stars = stars.and_then(|stars| u8::try_from(stars).ok());
    rating.comments = comments.map(Personal::new);
    rating
}

pub(crate) type PhraseRow =
    (Head, (String, Option<String>, Option<String>, Option<String>, Option<String>, String));

pub(crate) fn phrase(
    ((session, _, at), (message, participant, user, name, language, said)): PhraseRow,
) -> Phrase {
    let at = Timestamp::from_millis(at);
    let mut phrase = Phrase::new(SessionId::new(session), message, at, Personal::new(said));
    phrase.participant_id = participant.map(ParticipantId::new);
    phrase.user_id = user.map(UserId::new);
    phrase.name = name.map(Personal::new);
    phrase.language = language;
    phrase
}
