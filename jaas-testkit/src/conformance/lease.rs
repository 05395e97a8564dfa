//! Holding claims and giving them back: `renew` and `release`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::time::Duration;

use jaas_core::store::{EventState, EventStore as _};

use super::Harness;
use super::support::*;

pub async fn renew_keeps_a_claim_beyond_its_first_lease<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let claim = store.claimed_one(0).await;
    assert_eq!(store.renew(&[claim.lease], at(10_000), LEASE).await.expect("renewed"), []);
    assert!(store.claimed(24_999).await.is_empty());
    // Too late, but no other worker has taken over.
    assert_eq!(store.renew(&[claim.lease], at(26_000), LEASE).await.expect("renewed"), []);
    assert!(store.claimed(40_999).await.is_empty());
    assert_eq!(store.claimed_one(41_000).await.crashes, 1, "in the end it expired");
}

pub async fn renew_names_the_leases_that_were_lost<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("a")).await;
    store.stored(lone("b")).await;
    let claims = store.claimed(0).await;
    let (kept, lost) = (claims[0].lease, claims[1].lease);
    assert_eq!(store.renew(&[kept], at(10_000), Duration::from_secs(30)).await.expect("renewed"), []);
    store.claimed_one(15_000).await;
    assert_eq!(store.renew(&[kept, lost], at(15_001), LEASE).await.expect("renewed"), [lost]);
    store.done(kept).await;
    assert_eq!(store.renew(&[kept], at(15_002), LEASE).await.expect("renewed"), [kept], "it is settled");
    assert_eq!(store.renew(&[], at(15_002), LEASE).await.expect("renewed"), []);
}

pub async fn release_makes_the_event_claimable_immediately<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.release(&[lease], at(1)).await.expect("released");
    wakeups.changed().await.expect("another worker is woken");
    store.claimed_one(1).await;
}

pub async fn release_counts_an_interruption_not_a_failure<H: Harness>() {
    let harness = H::start().await;
    let (lost, live) = overtaken(&harness).await;
    let store = harness.store();
    store.release(&[lost], at(15_001)).await.expect("skipped");
    assert_eq!(store.only().await.state, EventState::Running, "a stale lease is skipped");
    store.release(&[live], at(15_001)).await.expect("released");
    let event = store.only().await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 1, 1));
}

pub async fn give_back_leaves_the_event_as_if_it_had_not_been_claimed<H: Harness>() {
    let harness = H::start().await;
    let (lost, live) = overtaken(&harness).await;
    let store = harness.store();
    store.stored(event("s", Some("s"), 0)).await;
    let other = store.claimed_one(15_001).await.lease;
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.give_back(&[lost, other], at(15_001)).await.expect("given back");
    wakeups.changed().await.expect("another worker is woken");
    assert_eq!(store.named("k").await.state, EventState::Running, "a stale lease is skipped");
    let event = store.named("s").await;
    assert_eq!(
        (event.state, event.failures, event.crashes, event.interruptions),
        (EventState::Waiting, 0, 0, 0)
    );
    let again = store.claimed_one(15_001).await;
    assert_eq!((again.lease.event, again.attempt()), (other.event, 1));
    assert!(again.lease.fence > other.fence, "no lease is issued twice");
    store.give_back(&[live], at(15_002)).await.expect("given back");
    assert_eq!(store.claimed_one(15_002).await.crashes, 1, "it still counts as crashed");
}
