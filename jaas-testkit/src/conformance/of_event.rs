//! What is known of one event.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{
    Accepted, AuditAction, EventAdmin as _, EventStore as _, Failure, PageRequest, QueueState, RowId,
};

use super::Harness;
use super::support::*;

pub async fn queue_of_an_event_shows_what_runs_and_what_is_next<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, millis) in [("a", 0), ("b", 1), ("c", 2)] {
        store.stored(event(key, Some("s"), millis)).await;
    }
    store.stored(lone("alone")).await;
    let [a, b, c, alone] = [
        store.named("a").await.id,
        store.named("b").await.id,
        store.named("c").await.id,
        store.named("alone").await.id,
    ];
    let queue_of = async |event: RowId| store.queue_of(event).await.expect("looked up").expect("it waits");
    let first = |queue: &QueueState| queue.first.map(|head| head.event);

    let queue = queue_of(c).await;
    assert_eq!((first(&queue), queue.passed, &queue.running), (Some(a), None, &None));
    assert_eq!((queue.due_at, queue.suspect, queue.passable), (at(0), false, false));
    assert_eq!(queue_of(a).await, queue, "it is the queue of the session");
    assert_eq!(first(&queue_of(alone).await), Some(alone));

    let claims = store.claimed(3).await;
    let lease = claims.iter().find(|claim| claim.lease.event == a).expect("claimed").lease;
    let running = queue_of(c).await.running.expect("one runs");
    assert_eq!((running.event, running.worker.as_deref()), (a, Some("conformance")));
    assert_eq!(running.leased_until, at(15_003));
    assert_eq!(queue_of(a).await.running, Some(running));

    let passable = Failure { passable: true, ..retry("no", 60_000) };
    store.fail(lease, &passable, at(4)).await.expect("recorded");
    let queue = queue_of(a).await;
    assert_eq!((first(&queue), queue.passed.map(|head| head.event)), (Some(b), Some(a)));
    assert_eq!(queue.passed.map(|head| head.due_at), Some(at(60_004)));
    assert!(queue.passable && !queue_of(b).await.passable && queue.running.is_none());

    store.discard(a, &note(), at(5)).await.expect("discarded");
    assert_eq!(store.queue_of(a).await.expect("looked up"), None, "it is settled");
    assert_eq!(store.queue_of(RowId::new(alone.get() + 1000)).await.expect("looked up"), None);
}

pub async fn conflicts_of_an_event_are_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["a", "b"] {
        store.stored(lone(key)).await;
        for millis in [1, 2, 3] {
            assert_eq!(store.accept(event(key, None, millis)).await.expect("accepted"), Accepted::Conflict);
        }
    }
    let b = store.named("b").await.id;
    let pages = pages(2, async |page| store.conflicts_of(b, page).await).await;
    let received: Vec<Vec<_>> = pages
        .iter()
        .map(|page| page.iter().map(|row| (row.idempotency_key.as_str(), row.first_received_at)).collect())
        .collect();
    assert_eq!(received, [vec![("b", at(1)), ("b", at(2))], vec![("b", at(3))]]);
    let none = store.conflicts_of(RowId::new(b.get() + 1000), PageRequest::first()).await.expect("listed");
    assert_eq!(none.items, []);
}

pub async fn audit_of_an_event_is_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["a", "b"] {
        store.stored(lone(key)).await;
        let id = store.named(key).await.id;
        store.reveal(id, &note(), at(1)).await.expect("recorded");
        store.discard(id, &note(), at(2)).await.expect("discarded");
        store.replay(id, &note(), at(3)).await.expect("replayed");
    }
    let b = store.named("b").await.id;
    let pages = pages(2, async |page| store.audit_of(b, page).await).await;
    let actions: Vec<Vec<_>> =
        pages.iter().map(|page| page.iter().map(|row| (row.event, row.action)).collect()).collect();
    let [revealed, discarded, replayed] =
        [AuditAction::Revealed, AuditAction::Discarded, AuditAction::Replayed];
    assert_eq!(actions, [vec![(b, revealed), (b, discarded)], vec![(b, replayed)]]);
}
