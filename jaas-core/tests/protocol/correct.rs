//! The protocol itself, explored within each of the bounds until nothing is left.

use std::collections::BTreeSet;
use std::time::Instant;

use stateright::{Checker as _, Model as _};

use crate::protocol::bounds::{
    AHEAD, BATCHES, Bounds, DELIVERIES, EVERYTHING, FAILURES, LEASES, OPERATORS, SUSPECTS,
};
use crate::protocol::model::Protocol;
use crate::protocol::variant::Variant;
use crate::protocol::walk::walk;

/// Checks that every property holds in every state, and that every path ends. Returns the kinds of steps taken.
fn holds(name: &str, bounds: Bounds) -> BTreeSet<&'static str> {
    let model = Protocol { variant: Variant::Correct, bounds, only: None };
    let started = Instant::now();
    let checker = model.clone().checker().spawn_bfs().join();
    let (states, explored) = (checker.unique_state_count(), started.elapsed());
    for (property, path) in checker.discoveries() {
        println!("{name} violates \"{property}\": {:#?}", path.into_actions());
    }
    checker.assert_properties();
    assert!(checker.is_done(), "{name} was truncated");

    let walk = walk(&model);
    println!(
        "{name}: {states} states and {} steps, longest of the shortest paths {}, {explored:.1?}, walked after {:.1?}\n  {bounds:?}",
        checker.state_count(),
        checker.max_depth() - 1,
        started.elapsed(),
    );
    assert_eq!(walk.cycle, None, "{name} has an endless path");
    assert_eq!(walk.states, states, "{name} was truncated");
    walk.kinds
}

fn takes(kinds: &BTreeSet<&'static str>, expected: &[&str]) {
    for kind in expected {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn the_protocol_holds_for_duplicates_and_late_arrivals() {
    let kinds = holds("deliveries", DELIVERIES);
    takes(
        &kinds,
        &["insert", "accept", "lock for claim", "claim", "lock for settle", "done", "done, next", "tick"],
    );
}

#[test]
fn the_protocol_holds_for_events_accepted_together() {
    takes(&holds("batches", BATCHES), &["hand over", "crash", "expire"]);
}

#[test]
fn the_protocol_holds_for_events_that_run_ahead() {
    takes(
        &holds("ahead", AHEAD),
        &["run ahead", "done, next", "crash", "expire", "refused", "failed", "discard"],
    );
}

#[test]
fn the_protocol_holds_for_failures() {
    takes(&holds("failures", FAILURES), &["failed", "failed, next", "dead", "released", "discard", "tick"]);
}

#[test]
fn the_protocol_holds_for_lost_leases() {
    takes(
        &holds("leases", LEASES),
        &["hand over", "renew", "refused", "crash", "expire", "given back", "replay"],
    );
}

#[test]
fn the_protocol_holds_for_suspects() {
    takes(&holds("suspects", SUSPECTS), &["crash", "expire", "refused", "renew"]);
}

#[test]
fn the_protocol_holds_for_operators() {
    takes(&holds("operators", OPERATORS), &["replay", "discard"]);
}

#[test]
fn the_protocol_holds_for_everything_together() {
    takes(
        &holds("everything", EVERYTHING),
        &["hand over", "failed, next", "renew", "refused", "crash", "replay"],
    );
}
