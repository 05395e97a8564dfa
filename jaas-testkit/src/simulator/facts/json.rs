//! Facts as JSON.

use jaas_core::event::DisconnectReason;
use serde_json::{Value, json};

use super::{Artifact, BreakoutFact, CallFact, PollFact, Stay, Wait};

impl Stay {
    pub(super) fn json(&self) -> Value {
        json!({
            "userId": self.user,
            "name": self.name,
            "participantFullJid": self.jid,
            "participantId": self.participant,
            "breakoutRoomId": self.breakout,
            "visitor": self.visitor,
            "joinedAt": self.joined_at,
            "leftAt": self.left_at,
            "estimated": self.estimated,
            "reason": self.reason.as_ref().map(DisconnectReason::as_str),
        })
    }
}

impl Wait {
    pub(super) fn json(&self) -> Value {
        json!({
            "userId": self.user,
            "participantId": self.participant,
            "since": self.since,
            "until": self.until,
        })
    }
}

impl BreakoutFact {
    pub(super) fn json(&self) -> Value {
        json!({ "breakoutRoomId": self.id, "openedAt": self.opened_at, "closedAt": self.closed_at })
    }
}

impl CallFact {
    pub(super) fn json(&self) -> Value {
        json!({
            "startedBy": self.kind.as_str(),
            "address": self.address,
            "participantId": self.participant,
            "startedAt": self.started_at,
            "endedAt": self.ended_at,
        })
    }
}

impl PollFact {
    pub(super) fn json(&self) -> Value {
        json!({
            "pollId": self.id,
            "question": self.question,
            "voters": self.voters,
            "votes": self.votes,
            "answers": self.answers,
        })
    }
}

impl Artifact {
    pub(super) fn json(&self) -> Value {
        json!({ "broughtBy": self.kind.as_str(), "id": self.id, "link": self.link.expose() })
    }
}
