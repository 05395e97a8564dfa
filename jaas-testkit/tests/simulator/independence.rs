//! Projections that depend on order or copies are detected, and shown with few events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jaas_core::event::{Event, ParticipantJoined, ParticipantLeft};
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerResult, ParticipantId};
use jaas_testkit::simulator::{Independence, Random, strategy};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::projection::Projection;

fn events(seed: u64) -> Vec<Delivery> {
    Random::new(seed).participants(4..=6).meeting().deliveries()
}

#[test]
fn a_projection_that_accepts_any_order_passes() {
    for seed in 0..10 {
        Independence::of(events(seed))
            .seed(seed)
            .check(|deliveries| Projection::of(deliveries))
            .expect("independent");
    }
}

/// The most common mistake: a leave finds nothing to close, because its join has not come yet.
fn closes_only_what_is_open(deliveries: &[Delivery]) -> BTreeMap<ParticipantId, bool> {
    let mut attendance = BTreeMap::new();
    for delivery in deliveries {
        match delivery.event() {
            Event::ParticipantJoined(joined) => {
                attendance.extend(joined.participant.participant_id.map(|id| (id, false)));
            }
            Event::ParticipantLeft(left) => {
                let id = left.participant.participant_id;
                if let Some(left) = id.and_then(|id| attendance.get_mut(&id)) {
                    *left = true;
                }
            }
            _ => {}
        }
    }
    attendance
}

#[test]
fn a_leave_before_its_join_is_found_and_shown_as_two_events() {
    for seed in 0..10 {
        let found =
            Independence::of(events(seed)).seed(seed).without_copies().check(closes_only_what_is_open);
        let counterexample = found.expect_err("it depends on the order");
        let mut types: Vec<_> =
            counterexample.deliveries.iter().map(|delivery| &*delivery.envelope.event_type).collect();
        // A leave before its own join, or, after a trip to a breakout room, after a later one.
        types.sort_unstable();
        assert_eq!(types, ["PARTICIPANT_JOINED", "PARTICIPANT_LEFT"], "seed {seed}");
        let shown = counterexample.to_string();
        assert!(shown.contains("  1. 2026-11-23T") && shown.contains("PARTICIPANT_LEFT ("), "{shown}");
        assert!(shown.contains(": false,\n") && shown.contains(": true,\n"), "{shown}");
        assert!(shown.lines().count() < 12, "{shown}");
    }
}

#[test]
fn a_count_is_found_out_by_one_event_and_its_copy() {
    let count = |deliveries: &[Delivery]| deliveries.len();
    let found = Independence::of(events(1)).check(count).expect_err("copies are counted");
    assert_eq!(found.deliveries.len(), 2);
    assert!(found.to_string().contains(", a copy ("), "{found}");
    assert_eq!((found.result.as_str(), found.expected.as_str()), ("2", "1"));
    Independence::of(events(1)).without_copies().check(count).expect("without copies it is a count");
}

#[test]
fn the_last_to_arrive_is_not_the_last_that_happened() {
    let last =
        |deliveries: &[Delivery]| deliveries.last().map(|delivery| delivery.envelope.idempotency_key.clone());
    let found =
        Independence::of(events(2)).without_copies().check(last).expect_err("it depends on the order");
    assert_eq!(found.deliveries.len(), 2);
    assert!(found.deliveries[0].occurred_at() > found.deliveries[1].occurred_at());
}

#[test]
fn nothing_at_all_is_independent_and_an_order_is_the_same_for_the_same_seed() {
    Independence::of([]).check(|deliveries| deliveries.len()).expect("nothing can differ");
    let seen = |seed| {
        let seen = Mutex::new(Vec::new());
        let project = |deliveries: &[Delivery]| {
            let keys: Vec<_> = deliveries.iter().map(|one| one.envelope.idempotency_key.clone()).collect();
            seen.lock().expect("not poisoned").push(keys);
        };
        Independence::of(events(3)).seed(seed).orders(9).check(project).expect("nothing is compared");
        seen.into_inner().expect("not poisoned")
    };
    assert_eq!(seen(1), seen(1));
    assert_ne!(seen(1), seen(2));
    assert_eq!(seen(1).len(), 10);
}

/// A handler with state, which is correct: it keeps what it learns, whichever half comes first.
#[derive(Default)]
struct Attendance(Mutex<BTreeMap<String, (bool, bool)>>);

#[async_trait]
impl EventHandler for Attendance {
    async fn participant_joined(&self, _: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        let id = event.participant.participant_full_jid.as_ref().ok_or("no address")?;
        self.0.lock().expect("not poisoned").entry(id.to_string()).or_default().0 = true;
        Ok(Handled::Done)
    }

    async fn participant_left(&self, _: &mut Context<'_>, event: &ParticipantLeft) -> HandlerResult {
        let id = event.participant.participant_full_jid.as_ref().ok_or("no address")?;
        self.0.lock().expect("not poisoned").entry(id.to_string()).or_default().1 = true;
        Ok(Handled::Done)
    }
}

#[tokio::test]
async fn a_handler_is_checked_through_its_state() {
    let project = async |deliveries: &[Delivery]| {
        let handler = Arc::new(Attendance::default());
        for delivery in deliveries {
            delivery.handle(&handler, &mut ()).await.expect("handled");
        }
        Arc::into_inner(handler).expect("the only owner").0.into_inner().expect("not poisoned")
    };
    Independence::of(events(4)).check_async(project).await.expect("independent");
}

proptest! {
    #![proptest_config(Config::with_cases(64))]
    #[test]
    fn meetings_of_the_strategy_are_learned_in_any_order((meeting, deliveries) in strategy::meetings_in_any_order()) {
        let keys: BTreeSet<_> = deliveries.iter().map(|one| &one.envelope.idempotency_key).collect();
        prop_assert_eq!(keys.len(), meeting.events().len(), "none is missing");
        prop_assert_eq!(Projection::of(&deliveries).check(&meeting.facts()), Ok(()));
    }
}

#[test]
fn a_failing_meeting_of_the_strategy_shrinks_to_few_events() {
    let mut runner = TestRunner::deterministic();
    let failed = runner.run(&strategy::meetings(), |meeting| {
        let has_left = meeting.facts().stays.iter().any(|stay| stay.left_at.is_some());
        if has_left { Err(TestCaseError::fail("a participant left")) } else { Ok(()) }
    });
    let Err(TestError::Fail(_, meeting)) = failed else { panic!("{failed:?}") };
    // The room opens, a participant joins, leaves, and the room closes; for some there are statistics.
    assert!((4..=5).contains(&meeting.events().len()), "{meeting:?}");
    assert!(format!("{meeting:?}").contains("PARTICIPANT_LEFT {"));
}
