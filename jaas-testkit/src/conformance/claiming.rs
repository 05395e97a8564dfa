//! `claim`, `renew` and `next_due`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::SessionOrder;

use super::*;

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
    store.fail(first, &retry("no", 10), at(1)).await.expect("recorded");
    let second = store.claimed_one(10).await.lease;
    store.release(&[second], at(11)).await.expect("released");
    let third = store.claimed_one(12).await.lease;
    assert!(first.fence < second.fence && second.fence < third.fence);
    assert_eq!(first.event, third.event);
}

pub async fn claim_runs_a_session_one_at_a_time_earliest_first<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    // Arrival order means nothing: `timestamp` does.
    for (key, session, millis) in [
        ("a3", Some("a"), 30),
        ("b1", Some("b"), 50),
        ("a1", Some("a"), 10),
        ("a2", Some("a"), 20),
        ("x", None, 60),
        ("y", None, 60),
    ] {
        let mut delivery = event(key, session, millis);
        delivery.received_at = at(0);
        store.stored(delivery).await;
    }
    assert_eq!(store.claimed_keys(100).await, ["a1", "b1", "x", "y"]);
    assert!(store.claimed(100).await.is_empty(), "the rest waits for its session");
    for expected in ["a2", "a3"] {
        let running = store.all().await.into_iter().find(|event| {
            event.state == EventState::Running
                && event.session_id.as_ref().is_some_and(|session| *session == "a")
        });
        let running = running.expect("one of session a is running");
        store.done(Lease { event: running.id, fence: 1 }).await;
        assert_eq!(store.claimed_keys(100).await, [expected]);
    }

    // Two that happened at once run in the order they were accepted.
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
        store.fail(claim.lease, &retry("no", (failure + 1) * 100), at(0)).await.expect("recorded");
        if failure < 3 {
            assert!(
                store.claimed(failure * 100 + 50).await.is_empty(),
                "{failure} failures still hold the session"
            );
        }
    }
    let later = store.claimed_one(350).await;
    assert_eq!(key_of(&later), "later");
    assert!(store.claimed(400).await.is_empty(), "still one at a time, although the failing one is due");
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
}

pub async fn claim_takes_over_when_a_lease_ran_out<H: Harness>() {
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
    assert_eq!(claims.len(), 2, "one of those that crashed, and the fresh one");
    let suspects: Vec<&Claim> = claims.iter().filter(|claim| claim.crashes > 0).collect();
    assert_eq!(suspects.len(), 1);
    store.stored(lone("fresh 2")).await;
    assert_eq!(store.claimed_keys(15_001).await, ["fresh 2"]);
    store.done(suspects[0].lease).await;
    let next = store.claimed_one(15_002).await;
    assert_eq!(next.crashes, 1);
}

pub async fn claim_buries_an_event_that_crashed_too_often<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    store.claimed_one(0).await;
    store.claimed_one(15_000).await;
    assert!(store.claimed(30_000).await.is_empty());
    let event = store.only().await;
    assert_eq!((event.state, event.crashes, event.failures), (EventState::Dead, 2, 0));
    assert_eq!(event.settled_at, Some(at(30_000)));
    assert_eq!(event.note, Some(jaas_core::store::crash_note(2)));
}

pub async fn renew_keeps_a_claim_beyond_its_first_lease<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let claim = store.claimed_one(0).await;
    assert_eq!(store.renew(&[claim.lease], at(25_000)).await.expect("renewed"), []);
    assert!(store.claimed(24_999).await.is_empty());
    store.done(claim.lease).await;
}

pub async fn renew_names_the_leases_that_were_lost<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("a")).await;
    store.stored(lone("b")).await;
    let claims = store.claimed(0).await;
    let (kept, lost) = (claims[0].lease, claims[1].lease);
    assert_eq!(store.renew(&[kept], at(40_000)).await.expect("renewed"), []);
    store.claimed_one(15_000).await;
    assert_eq!(store.renew(&[kept, lost], at(50_000)).await.expect("renewed"), [lost]);
}

pub async fn next_due_names_the_earliest_future_event<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let order = SessionOrder::default();
    let due = async |millis| store.next_due(at(millis), order).await.expect("told");
    assert_eq!(due(0).await, None);
    store.stored(lone("a")).await;
    assert_eq!(due(1).await, None, "what is due already is no future");
    let claim = store.claimed_one(0).await;
    assert_eq!(due(0).await, Some(at(15_000)), "the end of its lease");
    store.fail(claim.lease, &retry("no", 700), at(0)).await.expect("recorded");
    assert_eq!(due(0).await, Some(at(700)));
    store.stored(lone("b")).await;
    let order = SessionOrder { settle_window: Duration::from_millis(500), ..order };
    assert_eq!(store.next_due(at(0), order).await.expect("told"), Some(at(500)));
}
