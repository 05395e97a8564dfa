//! Breakout rooms.

use std::time::Duration;

use jaas_core::event::DisconnectReason;
use jaas_core::{BreakoutRoomId, Timestamp};
use serde_json::json;

use super::presence::Presence;
use super::{Breakout, Meeting};
use crate::event;
use crate::simulator::facts::BreakoutFact;

#[derive(Debug, Clone)]
pub(super) struct State {
    id: BreakoutRoomId,
    open: bool,
    opened_at: Timestamp,
    closed_at: Option<Timestamp>,
}

impl State {
    pub(super) fn fact(&self) -> BreakoutFact {
        BreakoutFact { id: self.id.clone(), opened_at: self.opened_at, closed_at: self.closed_at }
    }
}

impl Meeting {
    /// A breakout room opens. It shares the session, the `fqn` and the `conference` of the meeting (seen in the sender's
    /// modules).
    pub fn open_breakout(&mut self) -> Breakout {
        self.assert_running();
        let id = BreakoutRoomId::new(self.dice.uuid());
        let created = self.in_room_event(event::room_created(), Some(&id));
        let opened_at = self.emit(created);
        self.breakouts.push(State { id, open: true, opened_at, closed_at: None });
        Breakout(self.breakouts.len() - 1)
    }

    /// A participant goes to a breakout room: leaves for `switch_room`, and joins there with the same endpoint id (seen
    /// in the sender's modules).
    pub fn move_to(&mut self, who: Presence, breakout: Breakout) {
        self.assert_here(who);
        self.assert_active(who);
        assert!(self.chain(who).room != Some(breakout), "{who:?} is in that room already");
        assert!(self.breakout(breakout).open, "{breakout:?} has closed");
        self.switch(who, Some(breakout));
    }

    /// A participant comes back to the main room, with the same endpoint id.
    pub fn move_back(&mut self, who: Presence) {
        self.assert_here(who);
        assert!(self.chain(who).room.is_some(), "{who:?} is in the main room");
        self.switch(who, None);
    }

    /// A breakout room closes; its participants come back first. The meeting continues.
    pub fn close_breakout(&mut self, breakout: Breakout) {
        self.assert_running();
        assert!(self.breakout(breakout).open, "{breakout:?} has closed already");
        for who in self.present() {
            if self.chain(who).room == Some(breakout) {
                self.switch(who, None);
            }
        }
        self.destroy_breakout(breakout);
    }

    /// The breakout rooms that are open.
    pub fn open_breakouts(&self) -> Vec<Breakout> {
        (0..self.breakouts.len()).filter(|index| self.breakouts[*index].open).map(Breakout).collect()
    }

    /// The room of a participant; `None` is the main room.
    pub fn breakout_of(&self, who: Presence) -> Option<Breakout> {
        self.chain(who).room
    }

    pub(super) fn destroy_breakout(&mut self, breakout: Breakout) {
        let id = self.breakout_id(breakout);
        let destroyed = event::room_destroyed().set("data.mediaTypes", json!(["AUDIO"]));
        let destroyed = self.in_room_event(destroyed, Some(&id));
        let destroyed = self.maybe_without(destroyed, &["data.mediaTypes"]);
        let closed_at = self.emit(destroyed);
        self.breakouts[breakout.0].open = false;
        self.breakouts[breakout.0].closed_at = Some(closed_at);
    }

    pub(super) fn breakout_id(&self, breakout: Breakout) -> BreakoutRoomId {
        self.breakout(breakout).id.clone()
    }

    fn switch(&mut self, who: Presence, to: Option<Breakout>) {
        self.depart_room(who, DisconnectReason::SwitchRoom);
        self.wait(Duration::from_millis(200));
        self.arrive(who, to);
    }

    #[allow(clippy::panic)]
    fn breakout(&self, breakout: Breakout) -> &State {
        match self.breakouts.get(breakout.0) {
            Some(state) => state,
            None => panic!("{breakout:?} belongs to another meeting"),
        }
    }
}
