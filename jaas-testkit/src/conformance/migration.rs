//! Opening an existing database.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use std::sync::Arc;

use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, Conflict, DeadLetterGroup, EventAdmin, EventState,
    EventStore, Lease, PageRequest, Quarantined, StoreStats, StoredEvent,
};

use super::DurableHarness;
use super::support::*;

pub async fn migration_opens_a_store_as_it_was<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    let running = filled(&store).await;
    let before = Contents::of(&store).await;
    drop(store);
    for _ in 0..2 {
        let reopened = harness.reopened().await;
        assert_eq!(Contents::of(&reopened).await, before);
    }
    let reopened = harness.reopened().await;
    assert!(reopened.claimed(14_999).await.iter().all(|claim| claim.lease.event != running.event));
    reopened.done(running).await;
    assert_eq!(reopened.named("running").await.state, EventState::Done);
    assert_eq!(harness.store().named("running").await.state, EventState::Done, "it is the same database");
}

pub async fn migration_is_safe_for_concurrent_stores<H: DurableHarness>() {
    let harness = Arc::new(H::start().await);
    filled(&harness.store()).await;
    let before = Contents::of(&harness.store()).await;
    let opened = (0..6).map(|_| {
        let harness = harness.clone();
        tokio::spawn(async move { harness.reopened().await })
    });
    let mut stores = Vec::new();
    for store in opened.collect::<Vec<_>>() {
        stores.push(store.await.expect("opened"));
    }
    for (number, store) in stores.iter().enumerate() {
        assert_eq!(Contents::of(store).await, before, "store {number}");
    }
    for (number, store) in stores.iter().enumerate() {
        store.stored(lone(&format!("new {number}"))).await;
        for other in &stores {
            let again = other.accept(lone(&format!("new {number}"))).await.expect("accepted");
            assert_eq!(again, Accepted::Duplicate);
        }
    }
}

/// Fills a store with a row of every kind; returns the lease of the running event.
async fn filled(store: &impl EventAdmin) -> Lease {
    for state in [EventState::Done, EventState::Ignored, EventState::Dead, EventState::Discarded] {
        store.ends(state.as_str(), state, 0).await;
    }
    store.stored(event("failed", Some("s"), 0)).await;
    let failed = store.claimed_one(0).await.lease;
    store.fail(failed, &retry("no", 60_000), at(0)).await.expect("recorded");
    store.stored(event("running", Some("t"), 0)).await;
    let running = store.claimed_one(0).await.lease;
    store.stored(event("waiting", Some("u"), 5)).await;
    store.accept(event("waiting", Some("u"), 6)).await.expect("a conflict");
    store.quarantine(unreadable("main", b"[]", 0)).await.expect("quarantined");
    running
}

/// Everything that a store returns.
#[derive(Debug, PartialEq)]
struct Contents {
    events: Vec<StoredEvent>,
    conflicts: Vec<Conflict>,
    quarantined: Vec<Quarantined>,
    attempts: Vec<Attempt>,
    audit: Vec<AuditEntry>,
    dead_letters: Vec<DeadLetterGroup>,
    stats: StoreStats,
}

impl Contents {
    async fn of(store: &impl EventAdmin) -> Self {
        let page = PageRequest::first();
        Self {
            events: store.all().await,
            conflicts: store.conflicts(page).await.expect("listed").items,
            quarantined: store.quarantined(page).await.expect("listed").items,
            attempts: store.attempts(&AttemptQuery::default()).await.expect("listed").items,
            audit: store.audit(page).await.expect("listed").items,
            dead_letters: store.dead_letters().await.expect("grouped"),
            stats: store.stats().await.expect("counted"),
        }
    }
}
