//! Polls and their answers.

use crate::id::{Jid, ParticipantId, PollId, Room, UserId};
use crate::lenient::payload;
use crate::private::Personal;

payload! {
    /// A participant asked a question.
    ///
    /// The documented example lacks `appId`; this crate takes it from `fqn`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event PollCreated {
        /// The poll; its answers refer to it.
        poll_id: Option<PollId> = "pollId",
        /// The question.
        question: Option<Personal> = "question",
        /// The options.
        answers: Vec<PollOption> = "answers",
        /// Who asked.
        user: Option<PollUser> = "user",
        ..flatten {
            /// The room of the poll.
            room: Room,
        }
    }

    /// A participant answered a poll.
    ///
    /// - One event is the whole answer of one person: every option is listed, ticked or not (documented).
    /// - A second vote is another event, which replaces the person's earlier one (seen in the sender's modules): per
    ///   poll and participant, the answer with the latest `timestamp` counts.
    /// - The documented example lacks `appId`; this crate takes it from `fqn`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event PollAnswer {
        /// The poll, as in its `POLL_CREATED`.
        poll_id: Option<PollId> = "pollId",
        /// All options, each with whether it was ticked.
        answers: Vec<PollChoice> = "answers",
        /// Who answered.
        user: Option<PollUser> = "user",
        ..flatten {
            /// The room of the poll.
            room: Room,
        }
    }

    /// One option of a [`PollCreated`].
    pub struct PollOption {
        /// The option's number within the poll, from 1 in the documented example.
        key: Option<i64> = "key",
        /// The option's text.
        name: Option<Personal> = "name",
    }

    /// One option of a [`PollAnswer`].
    pub struct PollChoice {
        /// The option's number, as in [`PollOption::key`].
        key: Option<i64> = "key",
        /// The option's text.
        name: Option<Personal> = "name",
        /// Whether it was ticked.
        value: Option<bool> = "value",
    }

    /// Who asked or answered.
    ///
    /// An unknown e-mail address or id arrives as `""` (seen in the sender's modules) and is `None` here.
    pub struct PollUser {
        /// The participant's address, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The endpoint id (seen in the sender's modules, not documented).
        participant_id: Option<ParticipantId> = "participantId",
        /// The name shown at that moment (documented); the sender's modules omit it and send it as `name`.
        current_name: Option<Personal> = "currentName",
        /// The user id of the JWT.
        id: Option<UserId> = "id",
        /// The name of the JWT (documented), or the name shown (seen in the sender's modules).
        name: Option<Personal> = "name",
        /// The e-mail address of the JWT.
        email: Option<Personal> = "email",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;

    #[test]
    fn an_answer_distinguishes_ticked_from_unticked_and_empty_from_known() {
        let answer = PollAnswer::decode(
            r#"{"answers":[{"key":1,"name":"Yes","value":false},{"key":2,"name":"No","value":true}],
                "user":{"participantJid":"u@8x8.vc","participantId":"47bc002e","id":"","email":""},
                "pollId":"9fpjw0bmwf"}"#,
        )
        .expect("an object");
        let ticked: Vec<_> = answer.answers.iter().filter(|a| a.value == Some(true)).map(|a| a.key).collect();
        assert_eq!(ticked, [Some(2)]);
        let user = answer.user.expect("a user");
        assert_eq!((user.id, user.email), (None, None));
        assert_eq!(user.participant_id, Some(ParticipantId::new("47bc002e")));
    }

    #[test]
    fn a_poll_without_options_may_have_an_object_for_its_list() {
        let poll = PollCreated::decode(r#"{"answers":{},"pollId":"p"}"#).expect("an object");
        assert_eq!((poll.answers.len(), poll.poll_id), (0, Some(PollId::new("p"))));
    }
}
