//! What participants say, ask, feel and think.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::event::{PollChoice, PollOption, PollUser, Reaction};
use jaas_core::meetings::Rating;
use jaas_core::{Jid, Personal, PollId};

use super::presence::Presence;
use super::{Meeting, Reacted};
use crate::event::{self, EventBuilder};
use crate::simulator::facts::PollFact;

/// A poll in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Poll(usize);

#[derive(Debug, Clone)]
pub(super) struct State {
    id: PollId,
    question: String,
    options: Vec<String>,
    /// The latest answer of each stay: the options ticked, from 0.
    answers: BTreeMap<String, Vec<usize>>,
}

impl State {
    pub(super) fn fact(&self) -> PollFact {
        let votes = |option| self.answers.values().filter(|ticked| ticked.contains(&option)).count();
        PollFact {
            id: self.id.clone(),
            voters: self.answers.len(),
            votes: (0..self.options.len()).map(|option| (key(option), votes(option))).collect(),
            question: self.question.clone(),
            answers: self
                .answers
                .iter()
                .map(|(jid, ticked)| (jid.clone(), ticked.iter().copied().map(key).collect()))
                .collect(),
        }
    }
}

/// Options count from 1, as in the documented example.
fn key(option: usize) -> i64 {
    i64::try_from(option).unwrap_or(0) + 1
}

impl Meeting {
    /// A participant in the main room speaks for a while. Time passes, and [transcription](Self::start_transcription),
    /// if it is on, emits the phrase.
    pub fn speak(&mut self, by: Presence, text: &str, time: Duration) {
        self.assert_in_main_room(by);
        self.assert_active(by);
        self.wait(time);
        self.chain_mut(by).spoke += time;
        if self.is_transcribing() {
            self.transcribe(by, text);
        }
    }

    /// A participant writes in the chat; the end of the meeting emits the file.
    pub fn chat(&mut self, by: Presence) {
        self.assert_here(by);
        self.chatted = true;
    }

    /// A participant in the main room asks a question with these options.
    pub fn open_poll(&mut self, by: Presence, question: &str, options: &[&str]) -> Poll {
        self.assert_in_main_room(by);
        self.assert_active(by);
        let (id, user) = (PollId::new(self.dice.hex(10)), self.poll_user(by));
        let created = event::poll_created().with(|created| {
            created.poll_id = Some(id.clone());
            created.question = Some(Personal::new(question));
            created.answers = options.iter().enumerate().map(|(index, name)| option(index, name)).collect();
            created.user = Some(user);
        });
        let created = self.with_unknown_user_fields(created);
        self.emit(created);
        let options = options.iter().map(|&name| name.to_owned()).collect();
        let question = question.to_owned();
        self.polls.push(State { id, question, options, answers: BTreeMap::new() });
        Poll(self.polls.len() - 1)
    }

    /// A participant in the main room answers a poll with these of its options, counted from 0. A second answer
    /// replaces the first (seen in the sender's modules).
    #[allow(clippy::panic)]
    pub fn answer_poll(&mut self, by: Presence, poll: Poll, ticked: &[usize]) {
        self.assert_in_main_room(by);
        self.assert_active(by);
        let jid = self.chain(by).jid.clone();
        let Some(state) = self.polls.get_mut(poll.0) else { panic!("{poll:?} belongs to another meeting") };
        assert!(ticked.iter().all(|option| *option < state.options.len()), "{poll:?} has no such option");
        state.answers.insert(jid, ticked.to_vec());
        let (state, user) = (state.clone(), self.poll_user(by));
        let choices = state.options.iter().enumerate();
        let choices = choices.map(|(index, name)| choice(index, name, ticked.contains(&index))).collect();
        let answer = event::poll_answer().with(|answer| {
            answer.poll_id = Some(state.id);
            answer.answers = choices;
            answer.user = Some(user);
        });
        let answer = self.with_unknown_user_fields(answer);
        self.emit(answer);
    }

    /// A participant reacts. The end of the meeting emits all reactions once more, in one list (documented).
    pub fn react(&mut self, by: Presence, reactions: &[Reaction]) {
        self.assert_here(by);
        self.assert_active(by);
        let chain = self.chain(by).clone();
        let at = self.emit(event::reactions().with(|sent| {
            sent.user_id = chain.user_id();
            sent.participant_jid = Some(Jid::new(chain.full_jid()));
            sent.participant_name = chain.name();
            sent.reactions = reactions.to_vec();
        }));
        self.reactions.extend(reactions.iter().map(|reaction| Reacted {
            by,
            at,
            reaction: reaction.clone(),
        }));
    }

    /// A participant who was in the meeting rates it from 1 to 5, or not at all, and comments on it; also after the end
    /// (seen in jitsi-meet's client).
    pub fn rate(&mut self, by: Presence, stars: Option<u8>, comment: &str) {
        assert!(stars.is_none_or(|stars| (1..=5).contains(&stars)), "a rating is from 1 to 5");
        let user = self.chain(by).user_id();
        let mut feedback = event::feedback().with(|feedback| {
            feedback.rating = Some(stars.map_or(-1, i64::from));
            feedback.comments = Some(Personal::new(comment));
            feedback.user_id.clone_from(&user);
        });
        if stars.is_none() && self.odd(50) {
            feedback = feedback.without("data.rating");
        }
        let mut rating = Rating::new(self.session.clone(), self.emit(feedback));
        (rating.user_id, rating.stars) = (user, stars);
        rating.comments = Some(Personal::new(comment));
        self.feedback.push(rating);
        self.ratings.extend(stars);
    }

    /// The polls that were opened.
    pub fn polls(&self) -> Vec<Poll> {
        (0..self.polls.len()).map(Poll).collect()
    }

    pub(crate) fn poll_options(&self, poll: Poll) -> usize {
        self.polls.get(poll.0).map_or(0, |state| state.options.len())
    }

    fn poll_user(&self, by: Presence) -> PollUser {
        let chain = self.chain(by);
        let mut user = PollUser::default();
        user.participant_jid = Some(Jid::new(chain.jid.as_str()));
        user.participant_id = chain.participant_id();
        user.current_name = chain.name();
        user.name = chain.name();
        user.id = chain.user_id();
        user.email = chain.email();
        user
    }

    /// As the sender's modules write it: `""` for an unknown e-mail address or id, and no `currentName`.
    fn with_unknown_user_fields<P>(&mut self, event: EventBuilder<P>) -> EventBuilder<P> {
        if !self.odd(50) {
            return event;
        }
        let body = event.json();
        let event = event.without("data.user.currentName");
        let unknown = ["id", "email"].into_iter().filter(|field| body["data"]["user"].get(field).is_none());
        unknown.fold(event, |event, field| event.set(&format!("data.user.{field}"), ""))
    }
}

fn option(index: usize, name: &str) -> PollOption {
    let mut option = PollOption::default();
    option.key = Some(key(index));
    option.name = Some(Personal::new(name));
    option
}

fn choice(index: usize, name: &str, ticked: bool) -> PollChoice {
    let mut choice = PollChoice::default();
    choice.key = Some(key(index));
    choice.name = Some(Personal::new(name));
    choice.value = Some(ticked);
    choice
}
