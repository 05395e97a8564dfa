//! Random meetings: causally valid, well-formed, and the same facts in any order.

use std::collections::BTreeSet;

use jaas_core::Delivery;
use jaas_core::event::EventKind;
use jaas_testkit::Recorder;
use jaas_testkit::simulator::{Day, Facts, Random, billable_devices, bodies_in_order};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::causality;
use crate::projection::Projection;

/// How many meetings: 300, or the value of `JAAS_TEST_MEETINGS`; a full run is 10,000.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("JAAS_TEST_MEETINGS").map_or(300, |meetings| meetings.parse().expect("a number"))
}

#[tokio::test]
async fn every_random_meeting_is_causally_valid_and_each_event_reaches_its_own_method() {
    let mut seen = BTreeSet::new();
    let mut events = 0;
    for seed in seeds() {
        let deliveries = Random::new(seed).meeting().deliveries();
        if let Err(broken) = causality::check(&deliveries) {
            panic!("seed {seed}: {broken}\n{}", listing(&deliveries));
        }
        let recorder = Recorder::new();
        for delivery in &deliveries {
            delivery.handle(&recorder, &mut ()).await.expect("handled");
            seen.insert(delivery.envelope.kind);
        }
        let methods: Vec<_> = recorder.seen().into_iter().map(|seen| seen.method).collect();
        let kinds: Vec<_> = deliveries.iter().map(|delivery| delivery.envelope.kind).collect();
        assert_eq!(methods, kinds, "seed {seed}");
        events += deliveries.len();
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), crate::SIMULATED, "each event of the table comes about");
    assert!(events > seeds().count() * 20, "{events} events");
}

#[test]
fn what_can_be_learned_is_what_happened_for_any_order_with_duplicates() {
    for seed in seeds() {
        let meeting = Random::new(seed).meeting();
        let (mut deliveries, facts) = (meeting.deliveries(), meeting.facts());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let copies = deliveries.len() / 3;
        for _ in 0..copies {
            let copy = deliveries[rng.random_range(0..deliveries.len())].clone();
            deliveries.push(copy);
        }
        for order in 0..3 {
            if let Err(difference) = Projection::of(&deliveries).check(&facts) {
                panic!("seed {seed}, order {order}: {difference}\n{}", listing(&deliveries));
            }
            deliveries.shuffle(&mut rng);
        }
    }
}

#[test]
fn a_fact_that_is_wrong_is_noticed() {
    let meeting = Random::new(1).participants(4..=6).meeting();
    let learned = || Projection::of(&meeting.deliveries());
    assert_eq!(learned().check(&meeting.facts()), Ok(()));
    let changes: [fn(&mut Facts); 5] = [
        |facts| drop(facts.stays.pop()),
        |facts| drop(facts.devices.pop_first()),
        |facts| facts.artifacts.clear(),
        |facts| facts.ended_at = None,
        |facts| facts.ratings.push(5),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut facts = meeting.facts();
        change(&mut facts);
        assert!(learned().check(&facts).is_err(), "change {number}");
    }
}

#[test]
fn a_shorter_meeting_begins_like_the_longer_one_of_its_seed() {
    let mut shorter = 0;
    for seed in 0..20 {
        let long = Random::new(seed).steps(30).meeting().bodies();
        let short = Random::new(seed).steps(10).meeting().bodies();
        let common = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
        assert!(common >= 2, "seed {seed}: {common}");
        shorter += usize::from(short.len() < long.len());
    }
    assert!(shorter > 10, "{shorter} of 20");
}

#[test]
fn the_check_notices_when_an_event_is_missing_or_comes_too_early() {
    /// Without one of these something else cannot have happened, or never ends.
    const NEEDED: &[EventKind] = &[
        EventKind::RoomCreated,
        EventKind::RoomDestroyed,
        EventKind::ParticipantJoined,
        EventKind::ParticipantJoinedLobby,
        EventKind::ParticipantLeftLobby,
        EventKind::RecordingStarted,
        EventKind::RecordingEnded,
        EventKind::RecordingUploaded,
        EventKind::LiveStreamStarted,
        EventKind::LiveStreamEnded,
        EventKind::TranscriptionStarted,
        EventKind::TranscriptionEnded,
        EventKind::TranscriptionUploaded,
        EventKind::DialInStarted,
        EventKind::DialInEnded,
        EventKind::SipCallOutStarted,
        EventKind::SipCallOutEnded,
        EventKind::Reactions,
        EventKind::AggregatedReactions,
    ];
    let mut missed = BTreeSet::new();
    for seed in 0..40 {
        let deliveries = Random::new(seed).meeting().deliveries();
        for index in 0..deliveries.len() {
            let kind = deliveries[index].envelope.kind;
            let mut without = deliveries.clone();
            let taken = without.remove(index);
            // A participant who joined, did nothing and vanished is not missed.
            let joined_in_vain = kind == EventKind::ParticipantJoined && {
                let data: Value = deliveries[index].data_as().expect("JSON");
                let jid = data["participantFullJid"].as_str().expect("an address");
                deliveries[index + 1..].iter().all(|later| !later.data().contains(jid))
            };
            if NEEDED.contains(&kind) && !joined_in_vain {
                assert!(
                    causality::check(&without).is_err(),
                    "seed {seed}: {kind:?} at {index} is not missed"
                );
                missed.insert(kind);
            }
            // The first event of all, with the time it had: nothing can come before the room opens.
            if index > 0 {
                without.insert(0, taken);
                assert!(
                    causality::check(&without).is_err(),
                    "seed {seed}: {kind:?} at {index} may come first"
                );
            }
        }
    }
    assert_eq!(missed.into_iter().collect::<Vec<_>>().len(), NEEDED.len(), "each was tried");
}

#[test]
fn a_day_is_the_same_for_the_same_seed_and_different_for_another() {
    let day = |seed| Day::new(seed).meetings(12).participants(2..=5);
    let bodies = |seed| bodies_in_order(&day(seed).play());
    assert_eq!(bodies(7), bodies(7));
    assert_ne!(bodies(7), bodies(8));
    let meetings = day(7).play();
    let sessions: BTreeSet<_> = meetings.iter().map(|meeting| meeting.session().to_string()).collect();
    assert_eq!(sessions.len(), 12);
    let deliveries: Vec<_> = bodies(7)
        .into_iter()
        .map(|body| Delivery::parse("main", jaas_core::Timestamp::from_secs(0), body).expect("an envelope"))
        .collect();
    assert!(deliveries.is_sorted_by_key(|delivery| delivery.envelope.timestamp));
    let keys: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.envelope.idempotency_key).collect();
    assert_eq!(keys.len(), deliveries.len(), "no key comes twice");
}

#[test]
fn the_same_people_meet_again_and_are_billed_once() {
    let meetings = Day::new(3).meetings(30).participants(3..=6).play();
    let facts: Vec<_> = meetings.iter().map(|meeting| meeting.facts()).collect();
    let each: usize = facts.iter().map(|facts| facts.devices.len()).sum();
    let together = billable_devices(&facts).len();
    assert!(together * 2 < each, "{together} devices in total, {each} when each meeting counts for itself");
}

/// One line for each event.
fn listing(deliveries: &[Delivery]) -> String {
    let line = |(index, delivery): (usize, &Delivery)| {
        let envelope = &delivery.envelope;
        format!(
            "{index:>3} {} {} {}\n",
            envelope.timestamp.map_or_else(String::new, |at| at.to_string()),
            envelope.event_type,
            delivery.data()
        )
    };
    deliveries.iter().enumerate().map(line).collect()
}
