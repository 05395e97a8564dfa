//! The order in which events run.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::time::Duration;

use jaas_core::store::{EventStore as _, Failure};

use super::Harness;
use super::support::*;

pub async fn claim_runs_a_session_one_at_a_time_earliest_first<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    // The order of arrival is irrelevant: `timestamp` decides.
    for (key, session, millis) in [
        ("a3", Some("a"), 30),
        ("b1", Some("b"), 50),
        ("a1", Some("a"), 10),
        ("a2", Some("a"), 20),
        ("A1", Some("A"), 40),
        ("x", None, 60),
        ("y", None, 60),
    ] {
        let mut delivery = event(key, session, millis);
        delivery.received_at = at(0);
        store.stored(delivery).await;
    }
    let claims = store.claimed(100).await;
    let mut keys: Vec<String> = claims.iter().map(key_of).collect();
    keys.sort();
    assert_eq!(keys, ["A1", "a1", "b1", "x", "y"]);
    assert!(store.claimed(100).await.is_empty(), "the rest waits for its session");
    let mut running = claims.into_iter().find(|claim| key_of(claim) == "a1").expect("claimed");
    for expected in ["a2", "a3"] {
        store.done(running.lease).await;
        running = store.claimed_one(100).await;
        assert_eq!(key_of(&running), expected);
    }

    // Two that happened at the same time run in the order in which they were accepted.
    for key in ["z-first", "second"] {
        store.stored(event(key, Some("c"), 70)).await;
    }
    assert_eq!(store.claimed_keys(100).await, ["z-first"]);
}

pub async fn claim_lets_a_session_pass_an_event_that_keeps_failing<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("failing", Some("s"), 0)).await;
    store.stored(event("later", Some("s"), 1)).await;
    for failure in 1..=3 {
        let claim = store.claimed_one(failure * 100).await;
        assert_eq!(key_of(&claim), "failing");
        let failed = Failure { passable: failure == 3, ..retry("no", 100) };
        store.fail(claim.lease, &failed, at(failure * 100)).await.expect("recorded");
        if failure < 3 {
            assert!(
                store.claimed(failure * 100 + 50).await.is_empty(),
                "{failure} failures still hold the session"
            );
        }
    }
    let later = store.claimed_one(350).await;
    assert_eq!(key_of(&later), "later");
    assert!(store.claimed(400).await.is_empty(), "still one at a time, although the failing event is due");
    store.done(later.lease).await;
    assert_eq!(store.claimed_keys(400).await, ["failing"]);
}

pub async fn claim_waits_out_the_settle_window<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("k", Some("s"), 0)).await;
    let mut request = request(99, 10);
    request.order.settle_window = Duration::from_millis(100);
    assert!(store.claim(&request).await.expect("claimed").is_empty());
    request.now = at(100);
    assert_eq!(store.claim(&request).await.expect("claimed").len(), 1);

    // An event that happened earlier and arrived within the window overtakes.
    store.stored(event("left", Some("t"), 110)).await;
    let mut joined = event("joined", Some("t"), 105);
    joined.received_at = at(150);
    store.stored(joined).await;
    request.now = at(240);
    assert!(store.claim(&request).await.expect("claimed").is_empty(), "later ones wait for it");
    request.now = at(250);
    let claims = store.claim(&request).await.expect("claimed");
    assert_eq!(claims.iter().map(key_of).collect::<Vec<_>>(), ["joined"]);
}
