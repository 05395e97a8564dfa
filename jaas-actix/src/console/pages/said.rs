//! What was said, asked and felt in a meeting.

use std::collections::BTreeMap;

use jaas_core::meetings::{MeetingView, PollResult, TalkTime};

use crate::console::show::{At, Span, cut};
use crate::console::visit::Visit;

/// How many speakers, reactions, polls, options of a poll, and ratings one page shows.
const SPEAKERS: usize = 20;
const REACTIONS: usize = 10;
const POLLS: usize = 10;
const OPTIONS: usize = 10;
const RATINGS: usize = 10;

/// A part of a meeting's page. Names, questions and comments are there only when they are revealed.
#[derive(Debug)]
pub(crate) struct Said {
    /// Who spoke for how long.
    pub(crate) talk: Vec<(String, Span)>,
    /// How often all have reacted in each way, most first.
    pub(crate) reactions: Vec<(String, u64)>,
    pub(crate) polls: Vec<Poll>,
    pub(crate) ratings: Vec<Rated>,
    /// The mean of the stars, in words.
    pub(crate) mean: Option<String>,
    /// Whether there is more than the page shows.
    pub(crate) more: bool,
}

/// A poll with its votes.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) question: String,
    pub(crate) asked: Option<At>,
    pub(crate) options: Vec<(String, usize)>,
}

/// What a participant thought.
#[derive(Debug)]
pub(crate) struct Rated {
    pub(crate) at: At,
    pub(crate) stars: String,
    pub(crate) comments: String,
}

impl Said {
    pub(crate) fn new(visit: &Visit, view: &MeetingView, is_revealed: bool) -> Self {
        let reactions = reactions(view);
        let lists = [
            (view.talk.len(), SPEAKERS),
            (reactions.len(), REACTIONS),
            (view.polls.len(), POLLS),
            (view.ratings.len(), RATINGS),
        ];
        let rated = view.ratings.iter().take(RATINGS).map(|rating| Rated {
            at: visit.at(rating.at),
            stars: rating.stars.map_or_else(|| "–".to_owned(), |stars| stars.to_string()),
            comments: hidden(rating.comments.as_ref().map(|text| text.expose()), is_revealed, 200),
        });
        Self {
            talk: speakers(view, is_revealed),
            reactions: reactions.into_iter().take(REACTIONS).collect(),
            polls: view.polls.iter().take(POLLS).map(|poll| Poll::new(visit, poll, is_revealed)).collect(),
            ratings: rated.collect(),
            mean: mean(view),
            more: lists.into_iter().any(|(all, shown)| all > shown)
                || view.polls.iter().any(|poll| poll.votes().len() > OPTIONS),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.talk.is_empty() && self.reactions.is_empty() && self.polls.is_empty() && self.ratings.is_empty()
    }
}

/// The speakers, under the numbers that people have in the page unless they are revealed.
fn speakers(view: &MeetingView, is_revealed: bool) -> Vec<(String, Span)> {
    let number = |presence: &Option<String>| {
        let presence = presence.as_ref()?;
        view.attendance.people.iter().position(|person| person.presences.contains(presence))
    };
    let speaker = |talk: &TalkTime| {
        let name = talk.name.as_ref().map_or("", |name| name.expose());
        let shown = match number(&talk.presence) {
            _ if is_revealed && !name.is_empty() => cut(name, 60),
            Some(index) => format!("Person {}", index + 1),
            None => "A connection without a person".to_owned(),
        };
        (shown, Span(talk.talked))
    };
    view.talk.iter().take(SPEAKERS).map(speaker).collect()
}

/// How often all have reacted in each way, most first.
fn reactions(view: &MeetingView) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for reacted in &view.reactions {
        let sum = sums.entry(reacted.reaction.as_str()).or_default();
        *sum = sum.saturating_add(reacted.count);
    }
    let mut sums: Vec<_> = sums.into_iter().map(|(name, sum)| (cut(name, 40), sum)).collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    sums
}

fn mean(view: &MeetingView) -> Option<String> {
    let stars: Vec<u32> = view.ratings.iter().filter_map(|rating| rating.stars.map(u32::from)).collect();
    let number = u32::try_from(stars.len()).ok().filter(|number| *number > 0)?;
    let mean = f64::from(stars.iter().sum::<u32>()) / f64::from(number);
    Some(format!("{mean:.1} of 5 stars in {number} ratings"))
}

impl Poll {
    fn new(visit: &Visit, poll: &PollResult, is_revealed: bool) -> Self {
        let text = |key: i64| {
            let known = poll.asked.options.iter().find(|(known, _)| *known == key);
            let text = known.and_then(|(_, text)| text.as_ref()).filter(|_| is_revealed);
            text.map_or_else(|| format!("Option {key}"), |text| cut(text.expose(), 80))
        };
        Self {
            question: hidden(poll.asked.question.as_ref().map(|text| text.expose()), is_revealed, 160),
            asked: poll.asked_at.map(|at| visit.at(at)),
            options: poll.votes().into_iter().take(OPTIONS).map(|(key, votes)| (text(key), votes)).collect(),
        }
    }
}

/// A text that others wrote, if it is revealed.
fn hidden(text: Option<&str>, is_revealed: bool, length: usize) -> String {
    match text {
        None => "–".to_owned(),
        Some(text) if is_revealed => cut(text, length),
        Some(_) => "(hidden)".to_owned(),
    }
}
