//! What was said, asked and felt, as facts.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::meetings::{Mark, Phrase, Rating};
use jaas_core::{Jid, ParticipantId, Personal, UserId};
use serde_json::{Value, json};

use super::millis;

/// How long a connection spoke in the main room, as `SPEAKER_STATS` says after the end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TalkFact {
    /// The full address.
    pub jid: Jid,
    /// The endpoint id.
    pub participant: Option<ParticipantId>,
    /// The user id of the JWT; guests do not have one.
    pub user: Option<UserId>,
    /// How long.
    pub talked: Duration,
}

/// How often each user sent each reaction, by its name on the wire; all guests are `None`.
pub type ReactionsByUser = BTreeMap<(Option<UserId>, String), u64>;

impl TalkFact {
    pub(crate) fn new(
        jid: Jid,
        participant: Option<ParticipantId>,
        user: Option<UserId>,
        talked: Duration,
    ) -> Self {
        Self { jid, participant, user, talked }
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "participantFullJid": self.jid,
            "participantId": self.participant,
            "userId": self.user,
            "talkedMs": millis(self.talked),
        })
    }
}

pub(super) fn mark(mark: &Mark) -> Value {
    json!({ "eventType": mark.kind.as_str(), "at": mark.at })
}

pub(super) fn rating(rating: &Rating) -> Value {
    json!({
        "at": rating.at,
        "userId": rating.user_id,
        "stars": rating.stars,
        "comments": rating.comments.as_ref().map(Personal::expose),
    })
}

pub(super) fn phrase(phrase: &Phrase) -> Value {
    json!({
        "at": phrase.at,
        "messageId": phrase.id,
        "participantId": phrase.participant_id,
        "userId": phrase.user_id,
        "name": phrase.name.as_ref().map(Personal::expose),
        "text": phrase.text.expose(),
    })
}

pub(super) fn reactions(reactions: &ReactionsByUser) -> Value {
    let each = reactions.iter();
    each.map(|((user, reaction), count)| json!({ "userId": user, "reaction": reaction, "count": count }))
        .collect()
}
