//! Variants of the protocol that are wrong. Each has a counterexample, within bounds in which the protocol itself holds.

use stateright::{Checker as _, Model as _};

use crate::protocol::bounds::{AHEAD, BATCHES, Bounds, DELIVERIES, FAILURES, LEASES, OPERATORS, SUSPECTS};
use crate::protocol::model::Protocol;
use crate::protocol::properties::{
    CAUSE, CLEAN, DUE, EFFECTS_ONCE, FOREVER, LEASE_ONCE, ONE_HOLDER, ONE_ROW, ONE_SUSPECT, ORDER, ROW,
    STALE_REFUSED, TURN, VAIN,
};
use crate::protocol::variant::Variant;
use crate::protocol::walk::walk;

/// Checks that the variant violates each of the properties, and prints one of the shortest ways to do so.
fn breaks(variant: Variant, bounds: Bounds, properties: &[&'static str]) {
    for property in properties {
        let model = Protocol { variant, bounds, only: Some(property) };
        let checker = model.checker().spawn_bfs().join();
        let path = checker.discovery(property);
        let steps = path.unwrap_or_else(|| panic!("{variant:?} does not violate {property}")).into_actions();
        println!("{variant:?} violates \"{property}\" after {} steps:", steps.len());
        for (number, step) in steps.iter().enumerate() {
            println!("  {:2}. {step:?}", number + 1);
        }
    }
}

/// Checks that the variant can take some steps over and over.
fn repeats(variant: Variant, bounds: Bounds) {
    let cycle = walk(&Protocol { variant, bounds, only: None }).cycle.expect("an endless path");
    println!("{variant:?} repeats {cycle:?}");
}

#[test]
fn a_key_that_is_looked_for_and_then_inserted_has_two_rows() {
    breaks(Variant::AcceptSelectsThenInserts, DELIVERIES, &[ONE_ROW]);
}

#[test]
fn an_event_that_leaves_a_claimed_queue_alone_can_wait_forever() {
    breaks(Variant::AcceptTrustsTheClaim, DELIVERIES, &[ROW, FOREVER]);
}

#[test]
fn an_event_whose_queue_is_deleted_while_it_waits_for_the_lock_can_wait_forever() {
    breaks(Variant::AcceptFindsTheQueueGone, DELIVERIES, &[ROW, FOREVER]);
}

#[test]
fn an_event_that_does_not_lower_its_queue_waits_for_the_back_off_of_another() {
    breaks(Variant::AcceptDoesNotLower, FAILURES, &[DUE]);
}

#[test]
fn a_mark_that_outlives_its_head_holds_back_a_session_without_crashes() {
    breaks(Variant::AcceptKeepsTheMark, SUSPECTS, &[CLEAN]);
}

#[test]
fn a_hand_over_of_the_first_of_a_batch_ignores_the_order() {
    breaks(Variant::HandOverAsTheyCome, BATCHES, &[ORDER]);
}

#[test]
fn a_takeover_that_does_not_keep_the_lost_fence_issues_a_lease_twice() {
    breaks(Variant::TakeoverKeepsTheFence, LEASES, &[LEASE_ONCE, ONE_HOLDER]);
}

#[test]
fn a_dead_letter_that_does_not_look_at_the_queue_leaves_one_without_events() {
    breaks(Variant::DeadLetterKeepsTheQueue, SUSPECTS, &[ROW]);
}

#[test]
fn suspects_without_a_unique_turn_run_beside_each_other() {
    breaks(Variant::SuspectsShareTheTurn, SUSPECTS, &[ONE_SUSPECT]);
}

#[test]
fn a_filter_that_hides_an_expired_suspect_makes_the_others_wait_forever() {
    breaks(Variant::FilterHidesExpired, SUSPECTS, &[FOREVER]);
}

#[test]
fn suspects_that_count_toward_the_limit_are_claimed_in_vain_again_and_again() {
    breaks(Variant::LimitBeforeFilter, SUSPECTS, &[VAIN]);
    repeats(Variant::LimitBeforeFilter, SUSPECTS);
}

#[test]
fn a_settle_that_ignores_the_fence_settles_what_another_worker_runs() {
    breaks(Variant::SettleIgnoresTheFence, LEASES, &[STALE_REFUSED, ONE_HOLDER]);
}

#[test]
fn a_settle_that_reads_the_head_before_it_has_the_lock_leaves_an_event_waiting_forever() {
    breaks(Variant::SettleReadsBeforeTheLock, DELIVERIES, &[ROW, FOREVER]);
}

#[test]
fn a_run_that_goes_on_with_a_list_overtakes_a_late_arrival() {
    breaks(Variant::RunGoesOnWithAList, DELIVERIES, &[ORDER]);
}

#[test]
fn a_list_that_outlives_an_accept_lets_a_later_event_run_first() {
    breaks(Variant::ListOutlivesAccepts, AHEAD, &[ORDER]);
}

#[test]
fn an_event_that_changed_after_it_was_run_ahead_must_not_be_settled() {
    breaks(Variant::BesideIgnoresChanges, AHEAD, &[STALE_REFUSED]);
}

#[test]
fn a_run_that_keeps_the_turn_of_its_suspect_holds_back_the_others() {
    breaks(Variant::RunKeepsTheTurn, SUSPECTS, &[TURN]);
}

#[test]
fn a_settle_that_forgets_what_was_passed_leaves_it_waiting_forever() {
    breaks(Variant::SettleForgetsThePassed, FAILURES, &[ROW, FOREVER]);
}

#[test]
fn a_queue_that_is_due_for_an_event_its_head_holds_back_is_claimed_in_vain_again_and_again() {
    breaks(Variant::LaterPassedWakeTheQueue, FAILURES, &[VAIN]);
    repeats(Variant::LaterPassedWakeTheQueue, FAILURES);
}

#[test]
fn effects_that_are_committed_before_the_settle_are_committed_twice() {
    breaks(Variant::EffectsCommitApart, LEASES, &[EFFECTS_ONCE]);
}

#[test]
fn a_claim_that_is_returned_without_its_fence_is_issued_again() {
    breaks(Variant::ReturnKeepsTheFence, LEASES, &[LEASE_ONCE]);
}

#[test]
fn a_replay_that_resets_the_fence_issues_leases_again() {
    breaks(Variant::ReplayResetsTheFence, OPERATORS, &[LEASE_ONCE]);
}

#[test]
fn a_replay_that_lowers_a_claimed_queue_counts_a_crash_of_what_runs() {
    breaks(Variant::ReplayLowersTheClaimed, OPERATORS, &[CAUSE]);
}

#[test]
fn a_discard_that_does_not_look_at_the_queue_leaves_one_without_events() {
    breaks(Variant::DiscardKeepsTheQueue, OPERATORS, &[ROW]);
}
