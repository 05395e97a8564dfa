//! What is learned from the events of random meetings is what happened in them.

use std::collections::BTreeSet;

use jaas_core::event::EventKind;
use jaas_core::meetings::{
    Attendance, Edge, Note, Present, Said, Sitting, Transcript, poll_results, ratings, reaction_counts,
    stays, talk_times,
};
use jaas_core::{Delivery, Timestamp};
use jaas_testkit::simulator::{Facts, Independence, Meeting, Random};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

fn edges(deliveries: &[Delivery]) -> Vec<Edge> {
    deliveries.iter().filter_map(Edge::of).collect()
}

fn check(meeting: &Meeting, deliveries: &[Delivery], facts: &Facts) {
    let edges = edges(deliveries);
    let sitting = Sitting::of(&edges).expect("a sitting");
    let stays = stays(&edges);
    let attendance = Attendance::of(&sitting, &stays, meeting.now());
    let checked = facts.check_stays(&stays).and_then(|()| facts.check_sitting(&sitting));
    checked
        .and_then(|()| facts.check_attendance(&attendance))
        .unwrap_or_else(|report| panic!("{report}\n{meeting:#?}"));
    assert_eq!(Present::of(&sitting, &stays), Present::default());
}

#[test]
fn random_meetings_are_learned_as_they_were_played() {
    for seed in 0..400 {
        let meeting = Random::new(seed).participants(2..=10).meeting();
        let mut dice = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
        let (mut deliveries, facts) = (meeting.deliveries(), meeting.facts());
        check(&meeting, &deliveries, &facts);
        // Out of order, some twice.
        let copies = deliveries.clone().into_iter().filter(|_| dice.random_bool(0.05));
        deliveries.extend(copies.collect::<Vec<_>>());
        deliveries.shuffle(&mut dice);
        check(&meeting, &deliveries, &facts);
        // And with departures that are never told.
        let mut lost = BTreeSet::new();
        let departures: BTreeSet<_> = facts.stays.iter().filter_map(|stay| stay.left_at).collect();
        deliveries.retain(|delivery| {
            let at = delivery.occurred_at();
            let is_lost = delivery.envelope.kind == EventKind::ParticipantLeft
                && departures.contains(&at)
                && (lost.contains(&at) || dice.random_bool(0.15));
            if is_lost {
                lost.insert(at);
            }
            !is_lost
        });
        // A copy that came through tells of it after all.
        let told: BTreeSet<_> = deliveries.iter().map(Delivery::occurred_at).collect();
        let lost = lost.difference(&told).copied().collect();
        check(&meeting, &deliveries, &facts.without_leaves(&lost));
    }
}

#[test]
fn at_every_moment_those_are_present_who_are() {
    for seed in 0..60 {
        let meeting = Random::new(seed).meeting();
        let (deliveries, facts) = (meeting.deliveries(), meeting.facts());
        let ended_at = facts.ended_at.expect("it has ended");
        for index in 0..deliveries.len() {
            let now = deliveries[index].occurred_at();
            let edges = edges(&deliveries[..=index]);
            let Some(sitting) = Sitting::of(&edges) else { continue };
            let present = Present::of(&sitting, &stays(&edges));
            let is_there = |from: Timestamp, until: Option<Timestamp>| {
                now < ended_at && from <= now && until.is_none_or(|until| until > now)
            };
            let people = facts.stays.iter().filter(|stay| is_there(stay.joined_at, stay.left_at)).count();
            let calls = facts.calls.iter().filter(|call| is_there(call.started_at, call.ended_at)).count();
            let waiting = facts.waits.iter().filter(|wait| is_there(wait.since, wait.until)).count();
            assert_eq!(present.people.len(), people + calls, "at {now} in {meeting:#?}");
            assert_eq!(present.lobby.len(), waiting, "at {now} in {meeting:#?}");
        }
    }
}

#[test]
fn what_is_learned_depends_on_neither_order_nor_copies() {
    for seed in 2000..2040 {
        let deliveries = Random::new(seed).meeting().deliveries();
        let learn = |deliveries: &[Delivery]| {
            let edges = edges(deliveries);
            let sitting = Sitting::of(&edges);
            let attended = sitting.as_ref().map(|sitting| {
                let attendance = Attendance::of(sitting, &stays(&edges), Timestamp::from_secs(0));
                attendance.to_csv() + &attendance.to_json().to_string()
            });
            (stays(&edges), sitting, attended)
        };
        Independence::of(deliveries).seed(seed).orders(20).check(learn).expect("the same");
    }
}

#[test]
fn what_was_said_is_what_happened_in_any_order_and_with_copies() {
    for seed in 3000..3040 {
        let meeting = Random::new(seed).meeting();
        let facts = meeting.facts();
        let learn = |deliveries: &[Delivery]| {
            let notes: Vec<Note> = deliveries.iter().filter_map(Note::of).collect();
            let stays = stays(&edges(deliveries));
            let phrase = |note: &Note| match &note.said {
                Said::Phrase(phrase) => Some(phrase.clone()),
                _ => None,
            };
            let transcript = Transcript::of(meeting.now(), notes.iter().filter_map(phrase), &stays);
            (
                talk_times(&notes, &stays),
                poll_results(&notes),
                reaction_counts(&notes),
                ratings(&notes),
                transcript.phrases,
            )
        };
        let (talk, polls, reactions, feedback, phrases) = learn(&meeting.deliveries());
        let checked = facts
            .check_talk(&talk)
            .and_then(|()| facts.check_polls(&polls))
            .and_then(|()| facts.check_reactions(&reactions))
            .and_then(|()| facts.check_feedback(&feedback))
            .and_then(|()| facts.check_phrases(&phrases));
        checked.unwrap_or_else(|report| panic!("{report}in {meeting:#?}"));
        Independence::of(meeting.deliveries()).seed(seed).orders(20).check(learn).expect("the same");
    }
}
