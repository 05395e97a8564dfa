//! What is learned from the events of random meetings is what happened in them.

use std::collections::BTreeSet;

use jaas_core::event::EventKind;
use jaas_core::meetings::{Attendance, Edge, Place, Present, Sitting, Stay, Via, stays};
use jaas_core::{Delivery, Timestamp};
use jaas_testkit::simulator::{Facts, Independence, Meeting, Random};
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// What of a stay is compared.
type Told = (String, Place, Timestamp, Option<Timestamp>, bool, Option<String>, Option<String>, Via);

fn told(stay: &Stay) -> Told {
    (
        stay.who.presence.clone(),
        stay.place.clone(),
        stay.joined_at,
        stay.left_at,
        stay.estimated,
        stay.reason.as_ref().map(|reason| reason.as_str().to_owned()),
        stay.who.user_id.as_ref().map(ToString::to_string),
        stay.who.via,
    )
}

fn expected(facts: &Facts) -> Vec<Told> {
    let stays = facts.stays.iter().map(|stay| {
        let place = match &stay.breakout {
            Some(id) => Place::Breakout { id: Some(id.clone()) },
            None => Place::Main,
        };
        let presence = stay.participant.as_ref().map_or(stay.jid.bare(), |id| id.as_str()).to_owned();
        let reason = stay.reason.as_ref().map(|reason| reason.as_str().to_owned());
        let via = if stay.visitor { Via::Visitor } else { Via::Participant };
        let user = stay.user.as_ref().map(ToString::to_string);
        (presence, place, stay.joined_at, stay.left_at, stay.estimated, reason, user, via)
    });
    let calls = facts.calls.iter().map(|call| {
        let via = match call.kind {
            EventKind::DialInStarted => Via::DialIn,
            EventKind::DialOutStarted => Via::DialOut,
            EventKind::SipCallInStarted => Via::SipIn,
            _ => Via::SipOut,
        };
        (call.participant.to_string(), Place::Main, call.started_at, call.ended_at, false, None, None, via)
    });
    let waits = facts.waits.iter().map(|wait| {
        let user = wait.user.as_ref().map(ToString::to_string);
        let presence = wait.participant.to_string();
        (presence, Place::Lobby, wait.since, wait.until, false, None, user, Via::Participant)
    });
    let mut all: Vec<Told> = stays.chain(calls).chain(waits).collect();
    all.sort();
    all
}

fn learned(edges: &[Edge]) -> Vec<Told> {
    let mut all: Vec<Told> = stays(edges)
        .iter()
        .map(|stay| {
            let mut told = told(stay);
            // The facts do not say why calls and waits ended.
            if stay.who.via.is_call() || stay.place.is_lobby() {
                told.5 = None;
            }
            told
        })
        .collect();
    all.sort();
    all
}

fn edges(deliveries: &[Delivery]) -> Vec<Edge> {
    deliveries.iter().filter_map(Edge::of).collect()
}

fn check(meeting: &Meeting, deliveries: &[Delivery], facts: &Facts) {
    let edges = edges(deliveries);
    assert_eq!(learned(&edges), expected(facts), "{meeting:#?}");
    let sitting = Sitting::of(&edges).expect("a sitting");
    assert_eq!((sitting.opened_at, sitting.ended_at), (facts.opened_at, facts.ended_at));
    assert_eq!(sitting.fqn.room_key(), facts.room.to_lowercase());
    let stays = stays(&edges);
    assert_eq!(Present::of(&sitting, &stays), Present::default());
    let attendance = Attendance::of(&sitting, &stays, meeting.now());
    let users: BTreeSet<&str> =
        attendance.people.iter().filter_map(|person| person.user_id.as_ref()).map(|id| id.as_str()).collect();
    assert_eq!(users, facts.users());
    for user in users {
        let attended = attendance.of_user(user).expect("listed").attended();
        assert_eq!(attended, facts.attended_with_ways(user), "{user} in {meeting:#?}");
        assert!(attended >= facts.attended(user));
    }
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
