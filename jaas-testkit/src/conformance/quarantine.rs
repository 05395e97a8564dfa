//! Parsing quarantined bodies again: `replay_quarantined`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{Accepted, AuditAction, EventAdmin, EventState, EventStore as _, PageRequest};
use jaas_core::{Delivery, EnvelopeError, Unreadable};

use super::Harness;
use super::support::*;

/// A body that an earlier version could not parse, and this one can.
fn parsable(delivery: &Delivery) -> Unreadable {
    let (endpoint, body) = (delivery.endpoint.clone(), delivery.body().clone());
    Unreadable::new(endpoint, delivery.received_at, EnvelopeError::not_an_object(), body)
}

pub async fn replay_quarantined_accepts_what_can_be_parsed_now<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("stored", None, 0)).await;
    store.stored(event("other body", None, 0)).await;
    let new = event("new", Some("s"), 5);
    store.quarantine(parsable(&new)).await.expect("quarantined");
    store.quarantine(unreadable("main", b"[1]", 6)).await.expect("quarantined");
    let mut again = parsable(&new);
    again.received_at = at(7);
    store.quarantine(again).await.expect("quarantined");
    store.quarantine(parsable(&event("stored", None, 0))).await.expect("quarantined");
    store.quarantine(parsable(&event("other body", None, 1))).await.expect("quarantined");

    let replayed = store.replay_quarantined(PageRequest::first(), &note(), at(100)).await.expect("replayed");
    assert_eq!((replayed.new, replayed.duplicates, replayed.conflicts), (1, 1, 1), "{replayed:?}");
    assert_eq!((replayed.unreadable, replayed.next), (1, None), "{replayed:?}");

    let left = store.quarantined(PageRequest::first()).await.expect("listed").items;
    assert_eq!(left.iter().map(|row| &row.body[..]).collect::<Vec<_>>(), [b"[1]"]);
    let stats = store.stats().await.expect("counted");
    assert_eq!((stats.count(EventState::Waiting), stats.quarantined, stats.conflicts), (3, 1, 1));
    let accepted = store.named("new").await;
    assert_eq!((accepted.state, accepted.received_at), (EventState::Waiting, at(5)));
    assert_eq!(&accepted.body[..], &new.body()[..]);
    assert_eq!(store.claimed_keys(100).await.len(), 3, "what was accepted runs");
    assert_eq!(store.accept(new).await.expect("accepted"), Accepted::Duplicate);
    let conflicts = store.conflicts(PageRequest::first()).await.expect("listed").items;
    assert_eq!(conflicts.iter().map(|row| row.idempotency_key.as_str()).collect::<Vec<_>>(), ["other body"]);

    let replayed = store.replay_quarantined(PageRequest::first(), &note(), at(101)).await.expect("replayed");
    assert_eq!((replayed.new, replayed.duplicates, replayed.conflicts, replayed.unreadable), (0, 0, 0, 1));
}

pub async fn replay_quarantined_is_audited<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.quarantine(parsable(&lone("k"))).await.expect("quarantined");
    store.quarantine(unreadable("main", b"[1]", 0)).await.expect("quarantined");
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.replay_quarantined(PageRequest::first(), &note(), at(100)).await.expect("replayed");
    assert!(wakeups.has_changed().expect("the store is alive"), "waiting workers are woken");
    let entries = store.audit(PageRequest::first()).await.expect("listed").items;
    assert_eq!(entries.len(), 1, "what stays is not audited");
    let (entry, id) = (&entries[0], store.only().await.id);
    assert_eq!((entry.event, &*entry.endpoint, entry.idempotency_key.as_str()), (id, "main", "k"));
    assert_eq!((entry.action, &entry.note, entry.at), (AuditAction::Replayed, &note(), at(100)));
}

pub async fn replay_quarantined_goes_by_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for body in [&b"1"[..], b"2", b"3"] {
        store.quarantine(unreadable("main", body, 0)).await.expect("quarantined");
    }
    for key in ["a", "b", "c"] {
        store.quarantine(parsable(&lone(key))).await.expect("quarantined");
    }
    let mut page = PageRequest { limit: 2, ..PageRequest::first() };
    let mut looked_at = Vec::new();
    loop {
        let replayed = store.replay_quarantined(page, &note(), at(100)).await.expect("replayed");
        looked_at.push((replayed.new, replayed.unreadable));
        let Some(next) = replayed.next else { break };
        page.after = Some(next);
    }
    assert_eq!(looked_at, [(0, 2), (1, 1), (2, 0)]);
    assert_eq!(store.keys().await, ["a", "b", "c"]);
    let newest = PageRequest { limit: 2, ..PageRequest::newest() };
    let replayed = store.replay_quarantined(newest, &note(), at(101)).await.expect("replayed");
    let left = store.quarantined(PageRequest::first()).await.expect("listed").items;
    assert_eq!(replayed.next, left.get(1).map(|row| row.id), "the two newest were looked at");
}
