//! Coming, going, and what participants may do to each other.

use std::time::Duration;

use jaas_core::event::{DisconnectReason, EventKind};
use jaas_core::{BreakoutRoomId, Jid, ParticipantId, Personal, Timestamp, UserId};

use super::{Breakout, Meeting};
use crate::event;
use crate::simulator::facts::Stay;
use crate::simulator::person::{Claim, Person};

/// A participant in a meeting, from the join until they leave; going to a breakout room and back does not end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Presence(usize);

/// One connection of a person, and the rooms it was in, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) person: Person,
    /// Created with the connection, and kept in every room; visitors do not have one.
    pub(super) participant_id: Option<ParticipantId>,
    pub(super) jid: String,
    pub(super) resource: String,
    pub(super) device: String,
    pub(super) visitor: bool,
    /// Whether this join, or this departure, moves the call to another device.
    pub(super) flips: bool,
    pub(super) promoted: bool,
    pub(super) gone: bool,
    pub(super) room: Option<Breakout>,
    pub(super) visits: Vec<Visit>,
    pub(super) spoke: Duration,
}

/// One stay in one room.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) breakout: Option<BreakoutRoomId>,
    pub(super) joined_at: Timestamp,
    pub(super) left: Option<(Timestamp, Option<DisconnectReason>)>,
}

impl Chain {
    pub(super) fn full_jid(&self) -> String {
        format!("{}/{}", self.jid, self.resource)
    }

    pub(super) fn is_moderator(&self) -> bool {
        self.promoted || self.person.moderator.is_moderator()
    }

    /// The endpoint id, the same in every room.
    pub(super) fn participant_id(&self) -> Option<ParticipantId> {
        self.participant_id.clone()
    }

    pub(super) fn user_id(&self) -> Option<UserId> {
        self.person.user_id.as_deref().map(UserId::new)
    }

    pub(super) fn name(&self) -> Option<Personal> {
        self.person.name.as_deref().map(Personal::new)
    }

    pub(super) fn email(&self) -> Option<Personal> {
        self.person.email.as_deref().map(Personal::new)
    }

    pub(super) fn stays(&self, ended_at: Option<Timestamp>) -> impl Iterator<Item = Stay> {
        self.visits.iter().map(move |visit| Stay {
            user: self.user_id(),
            name: self.person.name.clone(),
            jid: Jid::new(self.full_jid()),
            participant: self.participant_id.clone(),
            breakout: visit.breakout.clone(),
            visitor: self.visitor,
            joined_at: visit.joined_at,
            // A participant who never left was there until the room closed.
            left_at: visit.left.as_ref().map(|(at, _)| *at).or(ended_at),
            estimated: visit.left.is_none() && ended_at.is_some(),
            reason: visit.left.as_ref().and_then(|(_, reason)| reason.clone()),
        })
    }
}

impl Meeting {
    /// A person joins the main room. The first one opens it.
    pub fn join(&mut self, person: &Person) -> Presence {
        self.enter(person.clone(), false, false)
    }

    /// A person joins as a visitor, who only watches: without endpoint id, and without a reason when they leave (seen
    /// in the sender's modules).
    pub fn join_as_visitor(&mut self, person: &Person) -> Presence {
        self.enter(person.clone().moderator_claim(Claim::Bool(false)), true, false)
    }

    /// A participant who has left joins again, on the same device: another endpoint id and address (seen in the
    /// sender's modules).
    pub fn rejoin(&mut self, presence: Presence) -> Presence {
        let chain = self.chain(presence);
        assert!(chain.gone, "{presence:?} is still present; use second_tab, or rejoin after they left");
        let (person, visitor) = (chain.person.clone().on_device(&chain.device), chain.visitor);
        self.enter(person, visitor, false)
    }

    /// A participant joins once more in another tab of the same browser: a separate participant, on the same device.
    pub fn second_tab(&mut self, presence: Presence) -> Presence {
        self.assert_here(presence);
        let chain = self.chain(presence);
        let (person, visitor) = (chain.person.clone().on_device(&chain.device), chain.visitor);
        self.enter(person, visitor, false)
    }

    /// A participant in the main room moves the call to another device: the new one joins with `flip`, the old one
    /// leaves with it (seen in the sender's modules).
    pub fn flip(&mut self, presence: Presence) -> Presence {
        self.assert_in_main_room(presence);
        self.assert_active(presence);
        let device = self.dice.hex(32);
        let chain = self.chain(presence);
        let (person, promoted) = (chain.person.clone().on_device(&device), chain.promoted);
        let new = self.enter(person, false, true);
        self.chain_mut(new).promoted = promoted;
        self.chain_mut(presence).flips = true;
        self.depart(presence, DisconnectReason::Left);
        new
    }

    /// A participant hangs up.
    pub fn leave(&mut self, presence: Presence) {
        self.depart(presence, DisconnectReason::Left);
    }

    /// A participant's connection breaks: they leave for the reason `unknown`.
    pub fn lose_connection(&mut self, presence: Presence) {
        self.depart(presence, DisconnectReason::Unknown);
    }

    /// A participant leaves the main room and no event reports it: for the application they stay until the room closes
    /// (asserted by jitsi-meet's tests).
    pub fn vanish(&mut self, presence: Presence) {
        self.assert_in_main_room(presence);
        self.chain_mut(presence).gone = true;
        self.bill_departure();
    }

    /// The participants in the meeting now, in the order they came.
    pub fn present(&self) -> Vec<Presence> {
        self.presences_where(|chain| !chain.gone)
    }

    /// The participants who have left, vanished or were kicked, in the order they came.
    pub fn gone(&self) -> Vec<Presence> {
        self.presences_where(|chain| chain.gone)
    }

    /// Whether this is a visitor, who only watches.
    pub fn is_visitor(&self, presence: Presence) -> bool {
        self.chain(presence).visitor
    }

    /// The endpoint id, the same in every room of the meeting; visitors do not have one.
    pub fn participant_id(&self, presence: Presence) -> Option<ParticipantId> {
        self.chain(presence).participant_id()
    }

    fn presences_where(&self, wanted: impl Fn(&Chain) -> bool) -> Vec<Presence> {
        (0..self.presences.len()).filter(|index| wanted(&self.presences[*index])).map(Presence).collect()
    }

    fn enter(&mut self, person: Person, visitor: bool, flips: bool) -> Presence {
        self.open();
        let jid = format!("{}@8x8.vc", self.dice.uuid());
        let (resource, own_device) = (self.dice.hex(8), self.dice.hex(32));
        let device = person.device.clone().unwrap_or(own_device);
        let participant_id = (!visitor).then(|| ParticipantId::new(self.new_participant_id()));
        let presence = Presence(self.presences.len());
        self.presences.push(Chain {
            person,
            participant_id,
            jid,
            resource,
            device,
            visitor,
            flips,
            promoted: false,
            gone: false,
            room: None,
            visits: Vec::new(),
            spoke: Duration::ZERO,
        });
        self.arrive(presence, None);
        self.chain_mut(presence).flips = false;
        self.bill_join(presence);
        presence
    }

    /// The join of a room.
    pub(super) fn arrive(&mut self, presence: Presence, room: Option<Breakout>) {
        let breakout = room.map(|breakout| self.breakout_id(breakout));
        let joined_at = self.now;
        let chain = self.chain_mut(presence);
        chain.room = room;
        chain.visits.push(Visit { breakout: breakout.clone(), joined_at, left: None });
        let joined = self.about_participant(event::participant_joined(), presence);
        let joined = self.in_room_of(joined, presence, breakout.as_ref());
        let at = self.emit(joined);
        if let Some(visit) = self.chain_mut(presence).visits.last_mut() {
            visit.joined_at = at;
        }
    }

    /// The departure from a room.
    pub(super) fn depart_room(&mut self, presence: Presence, reason: DisconnectReason) {
        let chain = self.chain(presence);
        let breakout = chain.visits.last().and_then(|visit| visit.breakout.clone());
        let kicked = reason == DisconnectReason::Kicked;
        let reason = Some(reason).filter(|_| !chain.visitor);
        let left = self.about_participant(event::participant_left(), presence);
        let mut left = match &reason {
            Some(reason) => left.set("data.disconnectReason", reason.as_str()),
            None => left.without("data.disconnectReason"),
        };
        if kicked && self.odd(50) {
            left = left.without("data.id");
        }
        let left = self.in_room_of(left, presence, breakout.as_ref());
        let at = self.emit(left);
        if let Some(visit) = self.chain_mut(presence).visits.last_mut() {
            visit.left = Some((at, reason));
        }
    }

    pub(super) fn depart(&mut self, presence: Presence, reason: DisconnectReason) {
        self.assert_here(presence);
        self.depart_room(presence, reason);
        self.chain_mut(presence).gone = true;
        self.bill_departure();
        if self.rtcstats && !self.chain(presence).visitor {
            self.upload_rtcstats(presence);
        }
    }

    fn upload_rtcstats(&mut self, presence: Presence) {
        let at = self.now.saturating_add(Duration::from_millis(self.dice.between(2_000..=30_000)));
        let chain = self.chain(presence).clone();
        let endpoint = chain.participant_id();
        let link = self.artifact(EventKind::RtcstatsUploaded, endpoint.as_ref().map(ParticipantId::as_str));
        let stats = event::rtcstats_uploaded().with(|stats| {
            stats.stats_url = Some(link);
            stats.endpoint_id = endpoint;
            stats.user_id = chain.user_id();
            stats.participant_name = chain.name();
        });
        self.emit_at(at, stats);
    }

    /// Eight hex digits that no other connection has.
    pub(super) fn new_participant_id(&mut self) -> String {
        loop {
            let id = self.dice.hex(8);
            let known = |chain: &Chain| chain.participant_id.as_ref().is_some_and(|known| *known == *id);
            if !self.presences.iter().any(known) {
                return id;
            }
        }
    }

    #[allow(clippy::panic)]
    pub(super) fn chain(&self, presence: Presence) -> &Chain {
        match self.presences.get(presence.0) {
            Some(chain) => chain,
            None => panic!("{presence:?} belongs to another meeting"),
        }
    }

    #[allow(clippy::panic)]
    pub(super) fn chain_mut(&mut self, presence: Presence) -> &mut Chain {
        match self.presences.get_mut(presence.0) {
            Some(chain) => chain,
            None => panic!("{presence:?} belongs to another meeting"),
        }
    }

    pub(super) fn assert_here(&self, presence: Presence) {
        self.assert_running();
        assert!(!self.chain(presence).gone, "{presence:?} has left the meeting");
    }

    pub(super) fn assert_in_main_room(&self, presence: Presence) {
        self.assert_here(presence);
        assert!(self.chain(presence).room.is_none(), "{presence:?} is in a breakout room");
    }

    pub(super) fn assert_active(&self, presence: Presence) {
        assert!(!self.chain(presence).visitor, "{presence:?} is a visitor, and visitors only watch");
    }
}
