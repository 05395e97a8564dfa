//! Comparing what an application has learned of talk, polls, reactions, feedback and moments with what happened.

use jaas_core::meetings::{Mark, Phrase, PollResult, Rating, Reacted, TalkTime};
use jaas_core::{Personal, UserId};

use super::Facts;
use super::check::compare;

impl Facts {
    /// Compares how long each connection spoke, and as which presence.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_talk(&self, learned: &[TalkTime]) -> Result<(), String> {
        let line = |jid: &str, presence: Option<&str>, user: Option<&UserId>, millis: u128| {
            format!("{jid} {} user={} {millis} ms", presence.unwrap_or("-"), user.map_or("-", UserId::as_str))
        };
        let learned = learned.iter().map(|one| {
            let (jid, presence) = (one.jid.as_str(), one.presence.as_deref());
            line(jid, presence, one.user_id.as_ref(), one.talked.as_millis())
        });
        let happened = self.talk.iter().map(|fact| {
            let presence = fact.participant.as_ref().map(|id| id.as_str());
            line(fact.jid.as_str(), presence, fact.user.as_ref(), fact.talked.as_millis())
        });
        self.compare("talk", learned, happened)
    }

    /// Compares the polls: who asked, the options, and the last answer of each voter. A question and texts of options are
    /// compared where they are learned.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_polls(&self, learned: &[PollResult]) -> Result<(), String> {
        let learned_lines = learned.iter().flat_map(|poll| {
            let id = poll.asked.poll.as_str();
            let votes = poll.votes();
            let of_poll = format!("{id}: {} voters, {votes:?}", poll.answers.len());
            let answers = poll.answers.iter().map(move |one| format!("{id}: {} {:?}", one.voter, one.ticked));
            std::iter::once(of_poll).chain(answers).collect::<Vec<_>>()
        });
        let happened = self.polls.iter().flat_map(|poll| {
            let id = poll.id.as_str();
            let of_poll = format!("{id}: {} voters, {:?}", poll.voters, poll.votes);
            let answers = poll.answers.iter().map(move |(voter, ticked)| format!("{id}: {voter} {ticked:?}"));
            std::iter::once(of_poll).chain(answers).collect::<Vec<_>>()
        });
        self.compare("polls", learned_lines, happened)?;
        for poll in learned {
            let fact = self.polls.iter().find(|fact| fact.id == poll.asked.poll);
            let question = poll.asked.question.as_ref().map(Personal::expose);
            if let Some((question, fact)) =
                question.zip(fact).filter(|(learned, fact)| *learned != fact.question)
            {
                return Err(format!(
                    "{:?} is learned as a question, and it was {:?}",
                    question, fact.question
                ));
            }
        }
        Ok(())
    }

    /// Compares how often each user reacted in each way.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_reactions(&self, learned: &[Reacted]) -> Result<(), String> {
        let line = |user: Option<&UserId>, reaction: &str, count: u64| {
            format!("user={} {reaction} {count} times", user.map_or("-", UserId::as_str))
        };
        let learned = learned.iter().map(|one| line(one.user_id.as_ref(), one.reaction.as_str(), one.count));
        let happened = self
            .reactions_by_user
            .iter()
            .map(|((user, reaction), count)| line(user.as_ref(), reaction, *count));
        self.compare("reactions", learned, happened)
    }

    /// Compares the feedback. Comments are compared where they are learned.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_feedback(&self, learned: &[Rating]) -> Result<(), String> {
        let line = |one: &Rating, comments: Option<&Personal>| {
            let user = one.user_id.as_ref().map_or("-", UserId::as_str);
            let comments = comments.map_or("-", Personal::expose);
            format!("{} user={user} {:?} {comments}", one.at, one.stars)
        };
        let keeps = learned.iter().any(|one| one.comments.is_some());
        let happened = self.feedback.iter().map(|one| line(one, one.comments.as_ref().filter(|_| keeps)));
        self.compare("feedback", learned.iter().map(|one| line(one, one.comments.as_ref())), happened)
    }

    /// Compares what was said, when and by whom. Names are compared where they are learned.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_phrases(&self, learned: &[Phrase]) -> Result<(), String> {
        let line = |one: &Phrase, name: Option<&Personal>| {
            let speaker = one.participant_id.as_ref().map_or("-", |id| id.as_str());
            let (user, name) =
                (one.user_id.as_ref().map_or("-", UserId::as_str), name.map_or("-", Personal::expose));
            format!("{} {} {speaker} user={user} name={name} {:?}", one.at, one.id, one.text.expose())
        };
        let keeps = learned.iter().any(|one| one.name.is_some());
        let happened = self.phrases.iter().map(|one| line(one, one.name.as_ref().filter(|_| keeps)));
        self.compare("phrases", learned.iter().map(|one| line(one, one.name.as_ref())), happened)
    }

    /// Compares the moments: recordings, live streams, files and the like.
    ///
    /// # Errors
    /// A text with what differs.
    pub fn check_marks(&self, learned: &[Mark]) -> Result<(), String> {
        let line = |mark: &Mark| format!("{} {}", mark.at, mark.kind.as_str());
        self.compare("marks", learned.iter().map(line), self.marks.iter().map(line))
    }

    fn compare(
        &self,
        what: &str,
        learned: impl IntoIterator<Item = String>,
        happened: impl IntoIterator<Item = String>,
    ) -> Result<(), String> {
        let (learned, happened) = (learned.into_iter().collect(), happened.into_iter().collect());
        compare(&format!("the {what} of the meeting {}", self.session), learned, happened)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jaas_core::event::{EventKind, Reaction};
    use jaas_core::meetings::{Edge, Mark};
    use jaas_core::meetings::{
        Note, Phrase, Said, poll_results, ratings, reaction_counts, stays, talk_times,
    };

    use crate::simulator::{Meeting, Person};

    #[test]
    fn what_was_said_is_compared_and_a_difference_is_named() {
        let mut meeting = Meeting::new(3);
        let ada = meeting.join(&Person::named("Ada").moderator());
        let ben = meeting.join(&Person::named("Ben"));
        meeting.start_transcription(ada);
        meeting.speak(ben, " Let us begin.", Duration::from_secs(3));
        let poll = meeting.open_poll(ada, "How often?", &["Once", "Twice"]);
        meeting.answer_poll(ben, poll, &[0]);
        meeting.answer_poll(ben, poll, &[1]);
        meeting.react(ben, &[Reaction::Like, Reaction::Like]);
        meeting.rate(ada, Some(4), "good");
        meeting.end();
        let (facts, deliveries) = (meeting.facts(), meeting.deliveries());
        let notes: Vec<Note> = deliveries.iter().filter_map(Note::of).collect();
        let edges: Vec<Edge> = deliveries.iter().filter_map(Edge::of).collect();
        let mut talk = talk_times(&notes, &stays(&edges));
        assert_eq!(facts.check_talk(&talk), Ok(()));
        assert_eq!(facts.check_polls(&poll_results(&notes)), Ok(()));
        assert_eq!(facts.polls[0].votes[&2], 1);
        let mut reactions = reaction_counts(&notes);
        assert_eq!(facts.check_reactions(&reactions), Ok(()));
        assert_eq!(facts.check_feedback(&ratings(&notes)), Ok(()));
        let marks: Vec<Mark> = deliveries.iter().filter_map(Mark::of).collect();
        assert_eq!(facts.check_marks(&marks), Ok(()));
        assert!(marks.iter().any(|mark| mark.kind == EventKind::TranscriptionEnded));
        let phrase = |note: &Note| match &note.said {
            Said::Phrase(phrase) => Some(phrase.clone()),
            _ => None,
        };
        let mut phrases: Vec<Phrase> = notes.iter().filter_map(phrase).collect();
        assert_eq!(facts.check_phrases(&phrases), Ok(()));

        talk[0].talked += Duration::from_millis(1);
        assert!(facts.check_talk(&talk).expect_err("another time").contains("happened:"));
        reactions[0].count += 1;
        assert!(facts.check_reactions(&reactions).expect_err("another number").contains("3 times"));
        phrases[0].name = Some("Mallory".into());
        assert!(facts.check_phrases(&phrases).expect_err("another name").contains("Mallory"));
        assert!(facts.check_marks(&marks[1..]).is_err() && facts.check_polls(&[]).is_err());
        assert!(facts.check_feedback(&[]).is_err());
    }
}
