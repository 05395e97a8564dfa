//! Reactions: thumbs up, applause and the like.

use serde_json::Value;

use crate::id::{Jid, UserId};
use crate::lenient::{self, Decode, DecodeError, Undecoded, Write, open_enum, payload};
use crate::private::Personal;
use crate::timestamp::Timestamp;

payload! {
    /// A participant reacted, once or several times within a short while.
    ///
    /// - `participantId` is the **user id of the JWT** here (documented), hence [`user_id`](Self::user_id); elsewhere
    ///   it is the endpoint id.
    /// - The participant's client fills in these fields (seen in jitsi-meet's client): take them as that person's
    ///   statement.
    /// - `fqn` is spelled as in the meeting's URL (seen in the sender's modules), so join on the session.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event Reactions {
        /// The user id of the JWT, called `participantId` on the wire; guests do not have one.
        user_id: Option<UserId> = "participantId",
        /// The participant's address *with* its resource (documented): `participantFullJid` elsewhere.
        participant_jid: Option<Jid> = "participantJid",
        /// The name of the JWT (documented).
        participant_name: Option<Personal> = "participantName",
        /// What the participant sent; the same reaction can occur several times.
        reactions: Vec<Reaction> = "reactions",
    }

    /// One reaction in [`AggregatedReactions`].
    pub struct AggregatedReaction {
        /// The user id of the JWT, called `participantId` on the wire; guests do not have one.
        user_id: Option<UserId> = "participantId",
        /// The name of the JWT (documented).
        participant_name: Option<Personal> = "participantName",
        /// When, in ms.
        timestamp: Option<Timestamp> = "timestamp",
        /// What the participant sent.
        reaction: Option<Reaction> = "reaction",
    }
}

/// All reactions of a meeting, in one list.
///
/// - It comes after `ROOM_DESTROYED` and holds everything that `REACTIONS` reported along the way (documented): count
///   one or the other, never both.
/// - `participantId` is the **user id of the JWT** here (documented); elsewhere it is the endpoint id.
///
/// <https://developer.8x8.com/jaas/docs/webhooks-payload>
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AggregatedReactions(pub Vec<AggregatedReaction>);

lenient::payload!(@has_a_row event AggregatedReactions);
lenient::fields_table!(AggregatedReactions: "A list, each element an" AggregatedReaction);

impl Decode for AggregatedReactions {
    fn parse_data(data: &str, undecoded: &mut Undecoded) -> Result<Self, DecodeError> {
        lenient::data_list(data, undecoded).map(Self)
    }
}

impl Write for AggregatedReactions {
    fn write(&self) -> Option<Value> {
        self.0.write()
    }
}

open_enum! {
    /// A kind of reaction: those of jitsi-meet's client. The documentation shows `like`, `surprised` and `silence`, but
    /// no complete list.
    pub enum Reaction {
        /// Thumbs up.
        Like = "like",
        /// Applause.
        Clap = "clap",
        /// A laughing face.
        Laugh = "laugh",
        /// A surprised face.
        Surprised = "surprised",
        /// A frowning face.
        Boo = "boo",
        /// A face without a mouth.
        Silence = "silence",
        /// A heart.
        Love = "love",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload;

    #[test]
    fn participant_id_is_the_user_id() {
        let reactions = Reactions::decode(r#"{"participantId":"1140","reactions":["like","like","wave"]}"#)
            .expect("an object");
        assert_eq!(reactions.user_id, Some(UserId::new("1140")));
        let expected = [Reaction::Like, Reaction::Like, Reaction::Other("wave".to_owned())];
        assert_eq!(reactions.reactions, expected);
    }

    #[test]
    fn a_meetings_reactions_are_a_list_and_may_be_empty() {
        let all = AggregatedReactions::decode(
            r#"[{"participantId":"1140","timestamp":1648810299482,"reaction":"surprised"},7]"#,
        )
        .expect("a list");
        assert_eq!(all.0.len(), 1);
        assert_eq!(all.0[0].timestamp, Some(Timestamp::from_millis(1_648_810_299_482)));
        assert_eq!(all.0[0].reaction, Some(Reaction::Surprised));
        for empty in ["[]", "{}", "null"] {
            assert_eq!(AggregatedReactions::decode(empty), Ok(AggregatedReactions::default()), "{empty}");
        }
        assert!(AggregatedReactions::decode(r#"{"reaction":"like"}"#).is_err());
    }
}
