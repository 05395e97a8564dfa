//! Phones and SIP devices.

use jaas_core::event::{CallDirection, DisconnectReason, EventKind};
use jaas_core::{ParticipantId, Timestamp};

use super::Meeting;
use crate::event::{self, EventBuilder};
use crate::simulator::facts::CallFact;

/// A phone or SIP device in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call(usize);

#[derive(Debug, Clone)]
pub(super) struct State {
    /// The event that began it.
    kind: EventKind,
    address: String,
    participant_id: ParticipantId,
    jid: String,
    resource: String,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

impl State {
    pub(super) fn fact(&self) -> CallFact {
        CallFact {
            kind: self.kind,
            address: self.address.clone(),
            participant: self.participant_id.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
        }
    }

    /// Which side called, how `USAGE` names the phone, and its user; nothing for SIP devices.
    pub(super) fn billed(&self) -> Option<(CallDirection, String, ParticipantId)> {
        let direction = match self.kind {
            EventKind::DialInStarted => CallDirection::In,
            EventKind::DialOutStarted => CallDirection::Out,
            _ => return None,
        };
        Some((direction, nick(&self.address), self.participant_id.clone()))
    }
}

/// The number twice, as in the documented example.
fn nick(number: &str) -> String {
    format!("{number} (+{number})")
}

impl Meeting {
    /// A phone with this number dials in. It counts towards the bill (documented).
    pub fn dial_in(&mut self, number: &str) -> Call {
        self.begin_call(EventKind::DialInStarted, event::dial_in_started().named(&nick(number)), number)
    }

    /// A phone with this number is called and picks up. It counts towards the bill (documented).
    pub fn dial_out(&mut self, number: &str) -> Call {
        self.begin_call(EventKind::DialOutStarted, event::dial_out_started().named(&nick(number)), number)
    }

    /// A SIP device calls in. It does not count towards the bill (seen in the sender's modules).
    pub fn sip_in(&mut self, address: &str) -> Call {
        let started = event::sip_call_in_started().named(sip_user(address)).set("data.sipAddress", address);
        self.begin_call(EventKind::SipCallInStarted, started, address)
    }

    /// A SIP device is called and picks up. It does not count towards the bill (seen in the sender's modules).
    pub fn sip_out(&mut self, address: &str) -> Call {
        let started = event::sip_call_out_started().named(sip_user(address)).set("data.sipAddress", address);
        self.begin_call(EventKind::SipCallOutStarted, started, address)
    }

    /// A phone or SIP device hangs up.
    #[allow(clippy::panic)]
    pub fn hang_up(&mut self, call: Call) {
        self.assert_running();
        let Some(state) = self.calls.get(call.0).cloned() else {
            panic!("{call:?} belongs to another meeting")
        };
        assert!(state.ended_at.is_none(), "{call:?} is over already");
        let left = DisconnectReason::Left;
        let ended = match state.kind {
            // The only one that never has a reason (seen in the sender's modules).
            EventKind::DialInStarted => event::dial_in_ended().untyped(),
            EventKind::DialOutStarted => event::dial_out_ended().because(left).untyped(),
            EventKind::SipCallInStarted => event::sip_call_in_ended().because(left).untyped(),
            _ => event::sip_call_out_ended().because(left).untyped(),
        };
        let ended = self.of_call(ended, &state);
        let ended = self.maybe_without(ended, &["data.disconnectReason"]);
        self.calls[call.0].ended_at = Some(self.emit(ended));
        self.bill_departure();
    }

    /// The phones and SIP devices in the meeting.
    pub fn calls(&self) -> Vec<Call> {
        (0..self.calls.len()).filter(|index| self.calls[*index].ended_at.is_none()).map(Call).collect()
    }

    fn begin_call<P>(&mut self, kind: EventKind, started: EventBuilder<P>, address: &str) -> Call {
        self.assert_running();
        let mut state = State {
            kind,
            address: address.to_owned(),
            participant_id: ParticipantId::new(self.new_participant_id()),
            jid: format!("{}@8x8.vc", self.dice.uuid()),
            resource: self.dice.hex(8),
            started_at: self.now,
            ended_at: None,
        };
        let started = self.of_call(started, &state);
        state.started_at = self.emit(started);
        self.calls.push(state.clone());
        self.bill_call(&state);
        Call(self.calls.len() - 1)
    }

    fn of_call<P>(&mut self, event: EventBuilder<P>, state: &State) -> EventBuilder<P> {
        let event = event
            .set("data.participantId", state.participant_id.as_str())
            .set("data.participantJid", state.jid.as_str())
            .set("data.participantFullJid", format!("{}/{}", state.jid, state.resource));
        self.maybe_without(event, &["data.participantFullJid"])
    }
}

/// The user part of `sip:user@host`, which is usually the name (documented).
fn sip_user(address: &str) -> &str {
    let user = address.trim_start_matches("sip:");
    user.split_once('@').map_or(user, |(user, _)| user)
}
