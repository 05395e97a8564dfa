//! From edges to stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::edge::{Change, Edge, Place, Who};
use crate::event::DisconnectReason;
use crate::id::SessionId;
use crate::timestamp::Timestamp;

/// One presence in one place, from one joining on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stay {
    /// The sitting.
    pub session: SessionId,
    /// Who. What the joining does not say is taken from the other edges of the presence.
    pub who: Who,
    /// Where.
    pub place: Place,
    /// When they came.
    pub joined_at: Timestamp,
    /// When they left; `None` while they are there.
    pub left_at: Option<Timestamp>,
    /// Whether [`left_at`](Self::left_at) is an estimate, because no leave was received.
    pub estimated: bool,
    /// Why they left, if the sender says.
    pub reason: Option<DisconnectReason>,
}

impl Stay {
    /// A stay that goes on.
    pub fn new(session: SessionId, who: Who, place: Place, joined_at: Timestamp) -> Self {
        Self { session, who, place, joined_at, left_at: None, estimated: false, reason: None }
    }

    /// Whether they left only to go to another room of the same meeting.
    pub fn is_room_switch(&self) -> bool {
        self.reason == Some(DisconnectReason::SwitchRoom)
    }

    /// Compares by the time of joining, and then by what distinguishes stays of the same time.
    pub fn by_time(&self, other: &Self) -> Ordering {
        self.place_in_time().cmp(&other.place_in_time())
    }

    /// What stays are sorted by.
    fn place_in_time(&self) -> (Timestamp, &SessionId, &str, &Place) {
        (self.joined_at, &self.session, &self.who.presence, &self.place)
    }
}

/// The stays of all presences, first come first; those in the lobby too. The edges may be of several sessions, in any order,
/// and each any number of times.
///
/// The stays of one presence depend on the edges of that presence and on those of rooms that closed, and on nothing else.
pub fn stays<'a>(edges: impl IntoIterator<Item = &'a Edge>) -> Vec<Stay> {
    let mut sessions: BTreeMap<&SessionId, Session<'a>> = BTreeMap::new();
    for edge in edges {
        sessions.entry(&edge.session).or_default().add(edge);
    }
    let mut stays: Vec<Stay> = sessions.into_iter().flat_map(|(id, session)| session.stays(id)).collect();
    stays.sort_by(Stay::by_time);
    stays
}

#[derive(Default)]
struct Session<'a> {
    closings: BTreeMap<&'a Place, BTreeSet<Timestamp>>,
    presences: BTreeMap<&'a str, Presence<'a>>,
}

/// The edges of one connection.
#[derive(Default)]
struct Presence<'a> {
    joins: BTreeMap<&'a Place, BTreeMap<Timestamp, Vec<&'a Who>>>,
    leaves: BTreeMap<&'a Place, BTreeMap<Timestamp, Option<&'a DisconnectReason>>>,
    everything: Vec<(Timestamp, &'a Who)>,
}

impl<'a> Session<'a> {
    fn add(&mut self, edge: &'a Edge) {
        if let Some(who) = edge.who() {
            self.presences.entry(&who.presence).or_default().everything.push((edge.at, who));
        }
        match &edge.change {
            Change::Opened { .. } => {}
            Change::Closed { room } => {
                self.closings.entry(room).or_default().insert(edge.at);
            }
            Change::Joined { place, who } => {
                let joins = &mut self.presences.entry(&who.presence).or_default().joins;
                joins.entry(place).or_default().entry(edge.at).or_default().push(who);
            }
            Change::Left { place, who, reason } => {
                let leaves = &mut self.presences.entry(&who.presence).or_default().leaves;
                let known = leaves.entry(place).or_default().entry(edge.at).or_default();
                // Of two that differ, always the same.
                *known = match (*known, reason.as_ref()) {
                    (Some(one), Some(other)) if other.as_str() < one.as_str() => Some(other),
                    (one, other) => one.or(other),
                };
            }
        }
    }

    fn stays(&self, id: &SessionId) -> Vec<Stay> {
        let all = self.presences.values();
        all.flat_map(|presence| presence.stays(id, &self.closings)).collect()
    }
}

impl Presence<'_> {
    fn stays(&self, session: &SessionId, closings: &BTreeMap<&Place, BTreeSet<Timestamp>>) -> Vec<Stay> {
        let mut stays = Vec::new();
        for (&place, joins) in &self.joins {
            let nothing = BTreeMap::new();
            let mut leaves = self.leaves.get(place).unwrap_or(&nothing).iter().peekable();
            let mut times = joins.iter().peekable();
            while let Some((&joined_at, own)) = times.next() {
                let until = times.peek().map(|(again, _)| **again);
                // Leaves before the first joining have none that belongs to them.
                while leaves.next_if(|(at, _)| **at < joined_at).is_some() {}
                let leave = leaves.next_if(|(at, _)| until.is_none_or(|until| **at <= until));
                let estimate = || self.estimate(place, joined_at, closings);
                let mut stay = Stay::new(session.clone(), self.who(own), place.clone(), joined_at);
                stay.left_at = leave.map(|(at, _)| *at).or_else(estimate);
                stay.estimated = leave.is_none() && stay.left_at.is_some();
                stay.reason = leave.and_then(|(_, reason)| reason.cloned());
                stays.push(stay);
            }
        }
        stays
    }

    /// When a stay ended whose leave is not known: as soon as something happened that is not possible while it goes on.
    fn estimate(
        &self,
        place: &Place,
        joined_at: Timestamp,
        closings: &BTreeMap<&Place, BTreeSet<Timestamp>>,
    ) -> Option<Timestamp> {
        let elsewhere = self.joins.values().flat_map(BTreeMap::keys).filter(|at| **at > joined_at);
        let closed =
            |room: &Place| closings.get(room).and_then(|times| times.range(joined_at..).next()).copied();
        [elsewhere.min().copied(), closed(place), closed(&Place::Main)].into_iter().flatten().min()
    }

    /// What the edges of the joining say, and for the rest what the first other edge says.
    fn who(&self, own: &[&Who]) -> Who {
        // Copies may differ; in any order the same is taken.
        macro_rules! first {
            ($field:ident) => {{
                let own = own.iter().filter_map(|who| who.$field.as_ref()).min();
                let said = self.everything.iter().filter_map(|(at, who)| Some((at, who.$field.as_ref()?)));
                own.or_else(|| said.min().map(|(_, value)| value)).cloned()
            }};
        }
        let presence = own.first().map(|who| who.presence.clone()).unwrap_or_default();
        let via = self.everything.iter().map(|(_, who)| who.via).max().unwrap_or_default();
        Who {
            user_id: first!(user_id),
            participant_id: first!(participant_id),
            jid: first!(jid),
            name: first!(name),
            email: first!(email),
            address: first!(address),
            ..Who::new(presence, via)
        }
    }
}
