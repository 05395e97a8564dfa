//! Running events again: `fail`, `attempts` and `replay`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{
    AttemptOutcome, AttemptQuery, AuditAction, EventAdmin, EventQuery, EventState, EventStore as _, Lease,
    PageRequest, RowId, StoreErrorKind,
};
use jaas_core::{Handled, SessionId};

use super::Harness;
use super::support::*;

pub async fn fail_counts_and_waits_until_the_given_time<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.fail(lease, &retry("disk: it is full", 499), at(1)).await.expect("recorded");
    let event = store.only().await;
    assert_eq!((event.state, event.failures, event.due_at), (EventState::Waiting, 1, at(500)));
    assert_eq!(event.note.as_deref(), Some("disk: it is full"));
    assert!(store.claimed(499).await.is_empty());
    let claim = store.claimed_one(500).await;
    assert_eq!((claim.failures, claim.attempt()), (1, 2));
}

pub async fn fail_refuses_a_stale_lease<H: Harness>() {
    let harness = H::start().await;
    let (lost, live) = overtaken(&harness).await;
    let store = harness.store();
    let error = store.fail(lost, &retry("no", 0), at(15_001)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    let event = store.only().await;
    assert_eq!((event.state, event.failures), (EventState::Running, 0));

    store.fail(live, &final_failure("no"), at(15_001)).await.expect("recorded");
    let error = store.fail(live, &retry("no", 0), at(15_002)).await.expect_err("settled");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(store.only().await.failures, 1);
}

pub async fn attempts_distinguish_failures_crashes_and_interruptions<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let claim = async |worker: &str, millis| {
        let mut request = request(millis, 1);
        request.worker = worker.into();
        request.max_crashes = 5;
        store.claim(&request).await.expect("claimed").remove(0).lease
    };
    let failed = claim("one", 0).await;
    store.fail(failed, &retry("disk: it is full", 9), at(1)).await.expect("recorded");
    let interrupted = claim("two", 10).await;
    store.release(&[interrupted], at(11)).await.expect("released");
    let crashed = claim("three", 12).await;
    let dead = claim("four", 16_000).await;
    store.fail(dead, &final_failure("no such room"), at(16_001)).await.expect("recorded");
    store.stored(lone("well")).await;
    store.done(store.claimed_one(16_002).await.lease).await;

    let attempts = store.attempts(&AttemptQuery::default()).await.expect("listed").items;
    let found: Vec<_> = attempts
        .iter()
        .map(|attempt| {
            let lease = Lease { event: attempt.event, fence: attempt.fence };
            (lease, attempt.worker.as_deref(), attempt.outcome, attempt.error.as_deref(), attempt.ended_at)
        })
        .collect();
    let expected = [
        (failed, Some("one"), AttemptOutcome::Failed, Some("disk: it is full"), at(1)),
        (interrupted, Some("two"), AttemptOutcome::Interrupted, None, at(11)),
        (crashed, Some("three"), AttemptOutcome::Crashed, None, at(16_000)),
        (dead, Some("four"), AttemptOutcome::Failed, Some("no such room"), at(16_001)),
    ];
    assert_eq!(found, expected);
    let event = store.named("k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (2, 1, 1));
}

pub async fn replay_runs_a_settled_event_again<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("audit", false), &Handled::Done, at(1)).await.expect("completed");
    store.fail(lease, &final_failure("no"), at(1)).await.expect("recorded");
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.replay(lease.event, &note(), at(100)).await.expect("replayed");
    wakeups.changed().await.expect("workers are woken");
    let event = store.only().await;
    assert_eq!(
        (event.state, event.failures, event.note, event.settled_at),
        (EventState::Waiting, 0, None, None)
    );
    let claim = store.claimed_one(100).await;
    assert_eq!((claim.attempt(), &claim.completed[..]), (1, &["audit".to_owned()][..]));
    assert!(claim.lease.fence > lease.fence);

    store.done(claim.lease).await;
    store.replay(lease.event, &note(), at(200)).await.expect("replayed");
    let claim = store.claimed_one(200).await;
    assert_eq!(claim.completed, Vec::<String>::new(), "every handler of a done event runs again");

    for state in [EventState::Ignored, EventState::Discarded] {
        let key = state.as_str();
        store.ends(key, state, 300).await;
        store.replay(store.named(key).await.id, &note(), at(400)).await.expect("replayed");
        assert_eq!(key_of(&store.claimed_one(400).await), key);
    }
}

pub async fn replay_refuses_an_event_that_is_not_settled<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let id = store.only().await.id;
    assert_eq!(
        store.replay(id, &note(), at(1)).await.expect_err("waiting").kind(),
        StoreErrorKind::NotSettled
    );
    store.claimed_one(0).await;
    assert_eq!(
        store.replay(id, &note(), at(1)).await.expect_err("running").kind(),
        StoreErrorKind::NotSettled
    );
    assert_eq!(
        store.replay(RowId::new(id.get() + 1_000_000), &note(), at(1)).await.expect_err("absent").kind(),
        StoreErrorKind::NotFound
    );

    store.stored(event("erased", Some("s"), 0)).await;
    store.erase_session(&SessionId::new("s"), &note(), at(2)).await.expect("erased");
    let erased = store.named("erased").await.id;
    assert_eq!(
        store.replay(erased, &note(), at(3)).await.expect_err("erased").kind(),
        StoreErrorKind::Erased
    );
    let audited = store.audit(PageRequest::first()).await.expect("listed").items;
    assert_eq!(audited.len(), 1, "only the erasure");
}

pub async fn replay_is_audited<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("k", EventState::Dead, 0).await;
    let id = store.only().await.id;
    store.replay(id, &note(), at(100)).await.expect("replayed");
    let entries = store.audit(PageRequest::first()).await.expect("listed").items;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.event, &*entry.endpoint, entry.idempotency_key.as_str()), (id, "main", "k"));
    assert_eq!((entry.action, &entry.note, entry.at), (AuditAction::Replayed, &note(), at(100)));
}

pub async fn replay_matching_replays_the_settled_events_of_a_page<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("dead 1", EventState::Dead, 0).await;
    store.ends("ignored", EventState::Ignored, 1).await;
    store.stored(event("erased", Some("s"), 2)).await;
    store.erase_session(&SessionId::new("s"), &note(), at(2)).await.expect("erased");
    store.ends("dead 2", EventState::Dead, 3).await;
    store.ends("dead 3", EventState::Dead, 4).await;
    let id = async |key: &str| store.named(key).await.id;

    let mut dead = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    dead.page.limit = 2;
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    let page = store.replay_matching(&dead, &note(), at(10)).await.expect("replayed");
    wakeups.changed().await.expect("workers are woken");
    assert_eq!(page.items, [id("dead 1").await, id("dead 2").await]);
    dead.page.after = page.next;
    let page = store.replay_matching(&dead, &note(), at(10)).await.expect("replayed");
    assert_eq!((page.items, page.next), (vec![id("dead 3").await], None));
    let replayed = store.named("dead 1").await;
    assert_eq!((replayed.state, replayed.failures, replayed.due_at), (EventState::Waiting, 0, at(10)));
    assert_eq!(store.named("ignored").await.state, EventState::Ignored, "not asked for");

    // Waiting events and the erased one are skipped, and count for the page.
    let mut every = EventQuery { endpoint: Some("main".into()), ..EventQuery::default() };
    every.page.limit = 3;
    let page = store.replay_matching(&every, &note(), at(20)).await.expect("replayed");
    assert_eq!((page.items, page.next), (vec![id("ignored").await], Some(id("erased").await)));
    let entries = store.audit(PageRequest::first()).await.expect("listed").items;
    let replayed: Vec<_> = entries.iter().filter(|entry| entry.action == AuditAction::Replayed).collect();
    let keys: Vec<_> = replayed.iter().map(|entry| entry.idempotency_key.as_str()).collect();
    assert_eq!(keys, ["dead 1", "dead 2", "dead 3", "ignored"]);
    assert_eq!((&replayed[3].note, replayed[3].at), (&note(), at(20)));
    assert_eq!(store.claimed_keys(20).await, ["dead 1", "dead 2", "dead 3", "ignored"]);
}

pub async fn replay_matching_refuses_an_empty_query<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("k", EventState::Dead, 0).await;
    let mut query = EventQuery::default();
    query.page.limit = 7;
    let error = store.replay_matching(&query, &note(), at(1)).await.expect_err("it sets no field");
    assert_eq!(error.kind(), StoreErrorKind::EmptyQuery);
    assert_eq!(store.only().await.state, EventState::Dead);
}
