//! Waiting to be let in.

use jaas_core::event::DisconnectReason;
use jaas_core::{ParticipantId, Timestamp, UserId};

use super::Meeting;
use super::presence::Presence;
use crate::event::{self, EventBuilder};
use crate::simulator::facts::Wait;
use crate::simulator::person::Person;

/// A person in the lobby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiting(usize);

#[derive(Debug, Clone)]
pub(super) struct State {
    person: Person,
    jid: String,
    resource: String,
    participant_id: String,
    since: Timestamp,
    over: bool,
    until: Option<Timestamp>,
}

impl State {
    pub(super) fn fact(&self) -> Wait {
        Wait {
            user: self.person.user_id.as_deref().map(UserId::new),
            participant: ParticipantId::new(self.participant_id.as_str()),
            since: self.since,
            until: self.until,
        }
    }
}

impl Meeting {
    /// A person begins to wait in the lobby of the running meeting. Not for moderators: they pass it without an event
    /// (seen in the sender's modules).
    pub fn knock(&mut self, person: &Person) -> Waiting {
        self.assert_running();
        assert!(!person.moderator.is_moderator(), "moderators pass the lobby: let them join");
        let mut state = State {
            person: person.clone(),
            jid: format!("{}@8x8.vc", self.dice.uuid()),
            resource: self.dice.hex(8),
            participant_id: self.new_participant_id(),
            since: self.now,
            over: false,
            until: None,
        };
        let joined = self.in_lobby(event::participant_joined_lobby(), &state);
        state.since = self.emit(joined);
        self.waiting.push(state);
        Waiting(self.waiting.len() - 1)
    }

    /// A moderator admits a person, who leaves the lobby and joins.
    pub fn admit(&mut self, by: Presence, who: Waiting) -> Presence {
        self.assert_moderator(by, "let people in");
        self.leave_lobby(who, DisconnectReason::Left);
        let person = self.waiting[who.0].person.clone();
        self.join(&person)
    }

    /// A moderator turns a person away.
    pub fn turn_away(&mut self, by: Presence, who: Waiting) {
        self.assert_moderator(by, "turn people away");
        self.leave_lobby(who, DisconnectReason::Kicked);
    }

    /// A person stops waiting.
    pub fn give_up(&mut self, who: Waiting) {
        self.leave_lobby(who, DisconnectReason::Left);
    }

    /// The people who wait, in the order they came.
    pub fn waiting(&self) -> Vec<Waiting> {
        (0..self.waiting.len()).filter(|index| !self.waiting[*index].over).map(Waiting).collect()
    }

    #[allow(clippy::panic)]
    fn leave_lobby(&mut self, who: Waiting, reason: DisconnectReason) {
        self.assert_running();
        let Some(state) = self.waiting.get_mut(who.0) else { panic!("{who:?} belongs to another meeting") };
        assert!(!state.over, "{who:?} no longer waits");
        state.over = true;
        let state = state.clone();
        let left = self.in_lobby(event::participant_left_lobby().because(reason), &state);
        let left = self.maybe_without(left, &["data.disconnectReason"]);
        let until = self.emit(left);
        if let Some(state) = self.waiting.get_mut(who.0) {
            state.until = Some(until);
        }
    }

    /// The fields of a lobby event. With odd shapes usually without `isBreakout`: it is documented, but the sender
    /// omits it (seen in its modules).
    fn in_lobby<P>(&mut self, event: EventBuilder<P>, state: &State) -> EventBuilder<P> {
        let event = self
            .with_claims(event, &state.person)
            .set("data.participantJid", state.jid.as_str())
            .set("data.participantFullJid", format!("{}/{}", state.jid, state.resource))
            .set("data.participantId", state.participant_id.as_str());
        if self.odd(70) { event.without("data.isBreakout").without("data.breakoutRoomId") } else { event }
    }
}
