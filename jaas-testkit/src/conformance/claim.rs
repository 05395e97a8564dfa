//! Claiming events to run them: `claim` and `next_due`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::time::Duration;

use jaas_core::store::{Claim, EventStore as _};

use super::Harness;
use super::support::*;

pub async fn claim_gives_an_event_to_one_caller_only<H: Harness>() {
    let harness = H::start().await;
    for number in 0..20 {
        harness.store().stored(lone(&format!("k{number}"))).await;
    }
    let workers = (0..8).map(|_| {
        let store = harness.store();
        tokio::spawn(async move { store.claim(&request(0, 5)).await.expect("claimed") })
    });
    let mut keys = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        let claims = worker.await.expect("no panic");
        assert!(claims.len() <= 5, "no more than asked for");
        keys.extend(claims.iter().map(key_of));
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 20);
    assert!(harness.store().claimed(14_999).await.is_empty(), "leases hold");
}

pub async fn claim_raises_the_fence_every_time<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let first = store.claimed_one(0).await.lease;
    store.fail(first, &retry("no", 9), at(1)).await.expect("recorded");
    let second = store.claimed_one(10).await.lease;
    store.release(&[second], at(11)).await.expect("released");
    let third = store.claimed_one(12).await.lease;
    assert!(first.fence < second.fence && second.fence < third.fence);
    assert_eq!(first.event, third.event);
}

pub async fn claim_takes_over_an_expired_lease<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("k", Some("s"), 0)).await;
    let first = store.claimed_one(0).await;
    assert_eq!(first.attempt(), 1);
    assert!(store.claimed(14_999).await.is_empty());
    let second = store.claimed_one(15_000).await;
    assert_eq!((second.failures, second.crashes, second.interruptions, second.attempt()), (0, 1, 0, 2));
    assert!(second.lease.fence > first.lease.fence);
}

pub async fn claim_runs_events_that_crashed_one_at_a_time<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["culprit", "innocent", "bystander"] {
        store.stored(lone(key)).await;
    }
    assert_eq!(store.claimed(0).await.len(), 3);
    store.stored(lone("fresh 1")).await;
    let claims = store.claimed(15_000).await;
    assert_eq!(claims.len(), 2, "one of the crashed events, and the fresh one");
    let suspects: Vec<&Claim> = claims.iter().filter(|claim| claim.crashes > 0).collect();
    assert_eq!(suspects.len(), 1);
    store.stored(lone("fresh 2")).await;
    assert_eq!(store.claimed_keys(15_001).await, ["fresh 2"]);
    store.done(suspects[0].lease).await;
    let next = store.claimed_one(15_002).await;
    assert_eq!(next.crashes, 1);
}

pub async fn next_due_names_the_earliest_future_event<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let due = async |millis| store.next_due(at(millis)).await.expect("returned");
    assert_eq!(due(0).await.after, None);
    store.stored(lone("a")).await;
    assert_eq!(due(1).await.after, None, "an event that is due already is not in the future");
    let claim = store.claimed_one(0).await;
    assert_eq!(due(0).await.after, Some(Duration::from_millis(15_000)), "the end of its lease");
    store.fail(claim.lease, &retry("no", 700), at(0)).await.expect("recorded");
    assert_eq!(due(0).await.after, Some(Duration::from_millis(700)));
}

pub async fn next_due_reports_whether_events_are_held_back<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let held_back = async |millis| store.next_due(at(millis)).await.expect("returned").held_back;
    assert!(!held_back(0).await, "nothing is there");
    store.stored(event("first", Some("s"), 0)).await;
    store.stored(event("second", Some("s"), 1)).await;
    assert!(held_back(1).await, "the session can be claimed");
    let first = store.claimed_one(1).await;
    assert!(!held_back(1).await, "the second belongs to the worker that runs the first");
    store.done(first.lease).await;
    assert!(held_back(1).await, "the session can be claimed again");
    let second = store.claimed_one(1).await;
    store.fail(second.lease, &retry("no", 99), at(1)).await.expect("recorded");
    assert!(!held_back(50).await, "it waits for its time only");
    store.done(store.claimed_one(100).await.lease).await;

    let mut request = request(300, 100);
    request.order.settle_window = Duration::from_millis(500);
    store.stored(event("settling", None, 200)).await;
    assert!(store.claim(&request).await.expect("claimed").is_empty());
    let due = store.next_due(at(300)).await.expect("returned");
    assert_eq!((due.after, due.held_back), (Some(Duration::from_millis(400)), false));
    store.done(store.claimed_one(700).await.lease).await;

    store.stored(lone("culprit")).await;
    store.stored(lone("innocent")).await;
    assert_eq!(store.claimed(700).await.len(), 2);
    let suspect = store.claimed_one(20_000).await;
    assert!(held_back(20_000).await, "the other crashed event");
    store.done(suspect.lease).await;
    store.claimed_one(20_000).await;
    assert!(!held_back(20_000).await);
}
