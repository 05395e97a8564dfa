//! What the notes of a sitting add up to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::note::{Answered, Asked, Note, Rating, Reacted, Said};
use super::stay::Stay;
use crate::event::Reaction;
use crate::id::{IdempotencyKey, Jid, PollId, SessionId, UserId};
use crate::private::Personal;
use crate::timestamp::Timestamp;

/// How long one connection spoke in a sitting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TalkTime {
    /// The sitting.
    pub session: SessionId,
    /// The full address of the connection.
    pub jid: Jid,
    /// The presence of the stay with this address; `None` when no such stay is known.
    pub presence: Option<String>,
    /// The user id of the JWT.
    pub user_id: Option<UserId>,
    /// The name of the stay.
    pub name: Option<Personal>,
    /// How long this was the dominant speaker; breakout rooms are left out by the sender.
    pub talked: Duration,
}

/// How long each connection spoke, longest first: of these notes, with the presence and the name of the stay with its
/// address. What several `SPEAKER_STATS` say of one connection is not added up: the longest time counts.
pub fn talk_times<'a>(notes: impl IntoIterator<Item = &'a Note>, stays: &[Stay]) -> Vec<TalkTime> {
    let mut times: BTreeMap<(&SessionId, &Jid), (Duration, Option<&UserId>)> = BTreeMap::new();
    for note in notes {
        let Said::Talk(talk) = &note.said else { continue };
        for one in talk {
            let known = times.entry((&note.session, &one.jid)).or_default();
            *known = (*known).max((one.talked, one.user_id.as_ref()));
        }
    }
    let mut times: Vec<TalkTime> = times
        .into_iter()
        .map(|((session, jid), (talked, user))| {
            let own = |stay: &&Stay| stay.session == *session && stay.who.jid.as_ref() == Some(jid);
            let stay = stays.iter().find(own);
            TalkTime {
                session: session.clone(),
                jid: jid.clone(),
                presence: stay.map(|stay| stay.who.presence.clone()),
                user_id: user.cloned().or_else(|| stay.and_then(|stay| stay.who.user_id.clone())),
                name: stays.iter().filter(own).find_map(|stay| stay.who.name.clone()),
                talked,
            }
        })
        .collect();
    times.sort_by(|one, other| {
        (other.talked, &one.session, &one.jid).cmp(&(one.talked, &other.session, &other.jid))
    });
    times
}

/// A poll and its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollResult {
    /// The sitting.
    pub session: SessionId,
    /// What was asked; with nothing but the poll's id while only answers were received.
    pub asked: Asked,
    /// When it was asked.
    pub asked_at: Option<Timestamp>,
    /// The last answer of each voter, in the order of the voters.
    pub answers: Vec<Answered>,
}

impl PollResult {
    /// How many voters have ticked each option, by its key; options without votes too.
    pub fn votes(&self) -> BTreeMap<i64, usize> {
        let mut votes: BTreeMap<i64, usize> = self.asked.options.iter().map(|(key, _)| (*key, 0)).collect();
        for key in self.answers.iter().flat_map(|answer| &answer.ticked) {
            *votes.entry(*key).or_default() += 1;
        }
        votes
    }
}

/// The polls of these notes, the earliest first, each with the last answer of each voter.
pub fn poll_results<'a>(notes: impl IntoIterator<Item = &'a Note>) -> Vec<PollResult> {
    type Answers<'a> = BTreeMap<&'a str, (Timestamp, &'a IdempotencyKey, &'a Answered)>;
    type Question<'a> = Option<(Timestamp, &'a IdempotencyKey, &'a Asked)>;
    let mut polls: BTreeMap<(&SessionId, &PollId), (Question<'a>, Answers<'a>)> = BTreeMap::new();
    for note in notes {
        let when = (note.at, &note.event);
        match &note.said {
            Said::Asked(asked) => {
                let (question, _) = polls.entry((&note.session, &asked.poll)).or_default();
                if question.is_none_or(|(at, event, _)| when < (at, event)) {
                    *question = Some((note.at, &note.event, asked));
                }
            }
            Said::Answered(answer) => {
                let (_, answers) = polls.entry((&note.session, &answer.poll)).or_default();
                let known = answers.get(&*answer.voter);
                if known.is_none_or(|(at, event, _)| when > (*at, *event)) {
                    answers.insert(&answer.voter, (note.at, &note.event, answer));
                }
            }
            _ => {}
        }
    }
    let mut results: Vec<PollResult> = polls
        .into_iter()
        .map(|((session, poll), (question, answers))| PollResult {
            session: session.clone(),
            asked: question.map_or_else(|| Asked::new(poll.clone()), |(_, _, asked)| asked.clone()),
            asked_at: question.map(|(at, _, _)| at),
            answers: answers.into_values().map(|(_, _, answer)| answer.clone()).collect(),
        })
        .collect();
    results.sort_by(|one, other| {
        let place = |poll: &PollResult| (poll.asked_at, poll.session.clone(), poll.asked.poll.clone());
        place(one).cmp(&place(other))
    });
    results
}

/// How often each user reacted in each way; guests are together. Most first.
///
/// `AGGREGATED_REACTIONS` holds once more what `REACTIONS` has reported (documented), and each can be missing. So the two are
/// not added up: the larger number counts, of each user, reaction and sitting.
pub fn reaction_counts<'a>(notes: impl IntoIterator<Item = &'a Note>) -> Vec<Reacted> {
    type Counts<'a> = BTreeMap<(Option<&'a UserId>, &'a str), u64>;
    // Of the events of each sitting: whether it is a list of the whole meeting, and its counts.
    let mut events: BTreeMap<(&SessionId, &IdempotencyKey), (bool, Counts<'a>)> = BTreeMap::new();
    for note in notes {
        let (reacted, is_list) = match &note.said {
            Said::Reacted(reacted) => (reacted, false),
            Said::AllReactions(reacted) => (reacted, true),
            _ => continue,
        };
        let (_, counts) =
            events.entry((&note.session, &note.event)).or_insert_with(|| (is_list, Counts::new()));
        for one in reacted {
            // The parts of one event are different users or reactions; a copy has the same number.
            let count = counts.entry((one.user_id.as_ref(), one.reaction.as_str())).or_default();
            *count = (*count).max(one.count);
        }
    }
    let mut sittings: BTreeMap<&SessionId, (Counts<'a>, Counts<'a>)> = BTreeMap::new();
    for ((session, _), (is_list, counts)) in events {
        let (along, lists) = sittings.entry(session).or_default();
        for (key, count) in counts {
            if is_list {
                let known = lists.entry(key).or_default();
                *known = (*known).max(count);
            } else {
                *along.entry(key).or_default() += count;
            }
        }
    }
    let mut total = Counts::new();
    for (along, mut lists) in sittings.into_values() {
        for (key, count) in along {
            let larger = lists.remove(&key).unwrap_or_default().max(count);
            *total.entry(key).or_default() += larger;
        }
        for (key, count) in lists {
            *total.entry(key).or_default() += count;
        }
    }
    let mut counts: Vec<Reacted> = total
        .into_iter()
        .map(|((user, name), count)| Reacted::new(user.cloned(), Reaction::from(name), count))
        .collect();
    // The sort is stable: the same number stays in the order of users and reactions.
    counts.sort_by_key(|one| std::cmp::Reverse(one.count));
    counts
}

/// What participants thought, the earliest first.
pub fn ratings<'a>(notes: impl IntoIterator<Item = &'a Note>) -> Vec<Rating> {
    let mut ratings: BTreeMap<(Timestamp, &SessionId, &IdempotencyKey), &Rating> = BTreeMap::new();
    for note in notes {
        if let Said::Rated(rating) = &note.said {
            ratings.insert((note.at, &note.session, &note.event), rating);
        }
    }
    ratings.into_values().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Delivery;
    use crate::meetings::{Place, Via, Who};

    fn note(key: &str, kind: &str, secs: i64, data: &str) -> Note {
        let body = format!(
            r#"{{"idempotencyKey":"{key}","eventType":"{kind}","sessionId":"s","timestamp":{},"data":{data}}}"#,
            secs * 1000
        );
        let delivery = Delivery::parse("main", Timestamp::from_secs(secs), body.into()).expect("an envelope");
        Note::of(&delivery).expect("a note")
    }

    fn counts(notes: &[Note]) -> Vec<(String, String, u64)> {
        let count = |one: Reacted| {
            let user = one.user_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
            (user, one.reaction.as_str().to_owned(), one.count)
        };
        reaction_counts(notes).into_iter().map(count).collect()
    }

    #[test]
    fn reactions_count_once_although_the_list_at_the_end_has_them_again() {
        let one = note("1", "REACTIONS", 1, r#"{"participantId":"ada","reactions":["like","like","clap"]}"#);
        let two = note("2", "REACTIONS", 2, r#"{"participantId":"ada","reactions":["like"]}"#);
        let list = note(
            "3",
            "AGGREGATED_REACTIONS",
            9,
            r#"[{"participantId":"ada","reaction":"like"},{"participantId":"ada","reaction":"like"},
                {"participantId":"ada","reaction":"like"},{"reaction":"boo"}]"#,
        );
        let like = |count| ("ada".to_owned(), "like".to_owned(), count);
        let (clap, boo) = (("ada".into(), "clap".into(), 1), ("-".into(), "boo".into(), 1));
        let all = [one.clone(), two.clone(), list.clone(), one.clone(), list.clone()];
        assert_eq!(counts(&all), [like(3), boo.clone(), clap.clone()], "copies count once");
        assert_eq!(counts(&[one.clone(), two]), [like(3), clap.clone()], "without the list");
        assert_eq!(counts(&[list, one]), [like(3), boo, clap], "a lost event is in the list");
    }

    #[test]
    fn the_last_answer_of_each_voter_counts_in_any_order() {
        let asked =
            r#"{"pollId":"p","question":"?","answers":[{"key":1,"name":"a"},{"name":"b"},{"key":7}]}"#;
        let answer = |key: &str, secs, who: &str, ticked: [bool; 2]| {
            let data = format!(
                r#"{{"pollId":"p","user":{{"participantJid":"{who}@8x8.vc/r"}},
                    "answers":[{{"key":1,"value":{}}},{{"key":2,"value":{}}}]}}"#,
                ticked[0], ticked[1]
            );
            note(key, "POLL_ANSWER", secs, &data)
        };
        let mut notes = vec![
            answer("3", 30, "ada", [false, true]),
            note("1", "POLL_CREATED", 1, asked),
            answer("2", 20, "ada", [true, false]),
            answer("4", 10, "ben", [true, true]),
        ];
        for _ in 0..4 {
            notes.rotate_left(1);
            let results = poll_results(notes.iter().chain(&notes));
            assert_eq!(results.len(), 1);
            assert_eq!(results[0].votes(), BTreeMap::from([(1, 1), (2, 2), (7, 0)]));
            assert_eq!(results[0].answers.len(), 2);
        }
        notes.retain(|note| note.event != *"1");
        let results = poll_results(&notes);
        assert_eq!((results[0].asked_at, results[0].votes()), (None, BTreeMap::from([(1, 1), (2, 2)])));
    }

    #[test]
    fn who_spoke_is_found_among_the_stays() {
        let stats =
            r#"{"a@8x8.vc/1":{"time":500,"id":"ada"},"b@8x8.vc/2":{"time":900},"c@8x8.vc/3":{"time":-1}}"#;
        let notes = [
            note("1", "SPEAKER_STATS", 9, stats),
            note("2", "SPEAKER_STATS", 8, r#"{"a@8x8.vc/1":{"time":400}}"#),
        ];
        let mut who = Who::new("p2", Via::Participant);
        (who.jid, who.name) = (Some(Jid::new("b@8x8.vc/2")), Some(Personal::new("Ben")));
        let stay = Stay::new(SessionId::new("s"), who, Place::Main, Timestamp::from_secs(1));
        let times = talk_times(&notes, &[stay]);
        let shown: Vec<_> = times
            .iter()
            .map(|one| (one.jid.as_str(), one.presence.as_deref(), one.talked.as_millis()))
            .collect();
        assert_eq!(shown, [("b@8x8.vc/2", Some("p2"), 900), ("a@8x8.vc/1", None, 500)]);
        assert_eq!(times[1].user_id, Some(UserId::new("ada")));
        assert_eq!(times[0].name.as_ref().map(Personal::expose), Some("Ben"));
    }

    #[test]
    fn a_rating_without_stars_is_a_rating_all_the_same() {
        let notes = [
            note("2", "FEEDBACK", 2, r#"{"rating":-1,"comments":" ","userId":"ada"}"#),
            note("1", "FEEDBACK", 1, r#"{"rating":4,"comments":"good"}"#),
        ];
        let ratings = ratings(notes.iter().chain(&notes));
        let shown: Vec<_> =
            ratings.iter().map(|one| (one.stars, one.comments.as_ref().map(Personal::expose))).collect();
        assert_eq!(shown, [(Some(4), Some("good")), (None, None)]);
    }
}
