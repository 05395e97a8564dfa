//! What should follow what was seen in a session: a pure function of the set of sightings.

mod endpoints;
mod recordings;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::rule::{Rule, Rules};
use super::sighting::{Seen, Sighting, participant_of};
use crate::id::{ParticipantId, SessionId};
use crate::meetings::{Edge, Place, stays};
use crate::timestamp::Timestamp;

/// Something that should follow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expectation {
    /// What.
    pub rule: Rule,
    /// Of which one in the session: the `idempotencyKey` of what was seen, the endpoint id, or the room.
    pub subject: String,
    /// Other names of the same one. What was seen may have arrived in another order.
    pub also: Vec<String>,
    /// The participant, if it is about one with an endpoint id.
    pub participant: Option<ParticipantId>,
    /// When what was seen happened.
    pub seen_at: Timestamp,
    /// From when on it is a gap, unless it is met.
    pub due_at: Timestamp,
    /// Whether it has come.
    pub met: bool,
}

/// Everything that should follow in a session. The sightings may be in any order, and each there any number of times;
/// `last_seen` is when any event of the session was recorded last.
pub fn expectations(
    rules: &Rules,
    session: &SessionId,
    last_seen: Timestamp,
    sightings: &[Sighting],
) -> Vec<Expectation> {
    let view = View::new(rules, last_seen, sightings);
    let mut all = Vec::new();
    view.rooms(&mut all);
    view.stays(session, &mut all);
    view.transcription(&mut all);
    recordings::add(&view, &mut all);
    usage::add(&view, session, &mut all);
    endpoints::add(&view, &mut all);
    all
}

/// The sightings of a session, each once.
struct View<'a> {
    rules: &'a Rules,
    last_seen: Timestamp,
    silent_at: Timestamp,
    sightings: Vec<&'a Sighting>,
    /// When what happened at a time was recorded at the latest.
    recorded: BTreeMap<Timestamp, Timestamp>,
    main_closed_at: Option<Timestamp>,
}

impl<'a> View<'a> {
    fn new(rules: &'a Rules, last_seen: Timestamp, sightings: &'a [Sighting]) -> Self {
        let mut unique: BTreeMap<(Timestamp, Seen, &str), &Sighting> = BTreeMap::new();
        let mut recorded: BTreeMap<Timestamp, Timestamp> = BTreeMap::new();
        for sighting in sightings {
            unique.insert((sighting.at, sighting.what, &sighting.slot), sighting);
            let known = recorded.entry(sighting.at).or_insert(sighting.recorded_at);
            *known = (*known).max(sighting.recorded_at);
        }
        let silent_at = last_seen.saturating_add(rules.silent_for());
        let sightings = unique.into_values().collect();
        let mut view = Self { rules, last_seen, silent_at, sightings, recorded, main_closed_at: None };
        view.main_closed_at = view.closed_at(&Place::Main);
        view
    }

    fn seen(&self, what: Seen) -> impl Iterator<Item = &'a Sighting> {
        self.sightings.iter().copied().filter(move |sighting| sighting.what == what)
    }

    /// When a room closed for the last time, unless it opened again after that.
    fn closed_at(&self, room: &Place) -> Option<Timestamp> {
        let last = |what| self.seen(what).filter(|seen| seen.place == *room).map(|seen| seen.at).max();
        let closed = last(Seen::Closed)?;
        last(Seen::Opened).is_none_or(|opened| opened <= closed).then_some(closed)
    }

    /// So long after what happened then was recorded.
    fn after(&self, at: Timestamp, wait: Duration) -> Timestamp {
        let recorded = self.recorded.get(&at).copied().unwrap_or(at);
        recorded.saturating_add(wait)
    }

    /// So long after the meeting has closed, or when it is silent.
    fn after_the_end(&self, wait: Duration) -> Timestamp {
        self.main_closed_at.map_or(self.silent_at, |closed| self.after(closed, wait))
    }

    fn rooms(&self, all: &mut Vec<Expectation>) {
        let Some(wait) = self.rules.wait(Rule::RoomNotClosed) else { return };
        let mut rooms: BTreeMap<&Place, Timestamp> = BTreeMap::new();
        for sighting in self.seen(Seen::Opened).chain(self.seen(Seen::Joined)) {
            let since = rooms.entry(&sighting.place).or_insert(sighting.at);
            *since = (*since).min(sighting.at);
        }
        for (room, seen_at) in rooms {
            let due_at = if *room == Place::Main { self.silent_at } else { self.after_the_end(wait) };
            let met = self.closed_at(room).is_some();
            all.push(Expectation {
                met,
                ..Expectation::new(Rule::RoomNotClosed, room.to_string(), seen_at, due_at)
            });
        }
    }

    fn stays(&self, session: &SessionId, all: &mut Vec<Expectation>) {
        let Some(wait) = self.rules.wait(Rule::StayNotLeft) else { return };
        let mut joins: BTreeMap<(&str, &Place, Timestamp), BTreeSet<&str>> = BTreeMap::new();
        for joined in self.seen(Seen::Joined) {
            joins.entry((&joined.presence, &joined.place, joined.at)).or_default().insert(&joined.slot);
        }
        for stay in stays(&self.edges(session)) {
            let due_at = stay.left_at.map_or(self.silent_at, |at| self.after(at, wait));
            let slots = joins.get(&(stay.who.presence.as_str(), &stay.place, stay.joined_at));
            let mut slots = slots.into_iter().flatten().map(|slot| (*slot).to_owned());
            let Some(subject) = slots.next() else { continue };
            all.push(Expectation {
                also: slots.collect(),
                participant: participant_of(&stay.who.presence),
                met: stay.left_at.is_some() && !stay.estimated,
                ..Expectation::new(Rule::StayNotLeft, subject, stay.joined_at, due_at)
            });
        }
    }

    fn transcription(&self, all: &mut Vec<Expectation>) {
        let Some(wait) = self.rules.wait(Rule::TranscriptionNotUploaded) else { return };
        let Some(phrase) = self.seen(Seen::Phrase).next() else { return };
        let due_at = self.after_the_end(wait).max(self.after(phrase.at, wait));
        all.push(Expectation {
            met: self.seen(Seen::TranscriptionUploaded).next().is_some(),
            ..Expectation::new(Rule::TranscriptionNotUploaded, "transcription", phrase.at, due_at)
        });
    }

    fn edges(&self, session: &SessionId) -> Vec<Edge> {
        self.sightings.iter().filter_map(|sighting| sighting.edge(session)).collect()
    }
}

impl Expectation {
    fn new(rule: Rule, subject: impl Into<String>, seen_at: Timestamp, due_at: Timestamp) -> Self {
        let (also, participant) = (Vec::new(), None);
        Self { rule, subject: subject.into(), also, participant, seen_at, due_at, met: false }
    }
}
