//! Taking responsibility: `accept`, `quarantine` and `ping`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{Accepted, EventAdmin, EventStore as _, PageRequest};
use jaas_core::telemetry::TraceContext;
use jaas_core::{Delivery, SessionId};

use super::support::*;
use super::{DurableHarness, Harness};

pub async fn accept_stores_one_row_per_key<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    for _ in 0..3 {
        assert_eq!(store.accept(lone("k")).await.expect("accepted"), Accepted::Duplicate);
    }
    store.stored(lone("K")).await;
    store.stored(lone("k ")).await;
    store.stored(lone(&"k".repeat(jaas_core::store::tools::MAX_INDEXED_BYTES))).await;
    store.stored(lone(&format!("{}é", "k".repeat(jaas_core::store::tools::MAX_INDEXED_BYTES - 2)))).await;
    let elsewhere = Delivery::parse("other", START, lone("k").body().clone()).expect("an envelope");
    store.stored(elsewhere).await;
    assert_eq!(store.all().await.len(), 6);
}

pub async fn accept_distinguishes_a_duplicate_from_a_conflict<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    assert_eq!(store.accept(lone("k")).await.expect("accepted"), Accepted::Duplicate);
    let other = event("k", Some("another session"), 5);
    assert_eq!(store.accept(other.clone()).await.expect("accepted"), Accepted::Conflict);
    assert_eq!(store.only().await.body, lone("k").body());
    let conflicts = store.conflicts(PageRequest::first()).await.expect("listed").items;
    assert_eq!(conflicts.len(), 1);
    assert_eq!((&*conflicts[0].body, conflicts[0].idempotency_key.as_str()), (other.body(), "k"));
}

pub async fn accept_keeps_the_body_byte_for_byte<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let body = "{\"idempotencyKey\" :\"k\",\t\"eventType\":\"X\",\n\"data\":{\"name\":\"Zo\u{eb} \u{674e} \\ud83d\\u0000\",\"n\":1e999}} ";
    store.stored(delivery(body.to_owned(), START)).await;
    assert_eq!(store.only().await.body, body);
    assert_eq!(store.claimed_one(0).await.body, body);

    // As long as the largest body that a receiver accepts by default.
    let long = format!(r#"{{"idempotencyKey":"long","eventType":"X","data":"{}"}}"#, "x".repeat(1_000_000));
    store.stored(delivery(long.clone(), START)).await;
    assert_eq!(store.claimed_one(0).await.body, &*long);
}

pub async fn accept_keeps_the_trace_context<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let trace = |state: Option<&str>| {
        TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state).expect("valid")
    };
    // The longest possible one.
    let state = format!("a={},b={}", "x".repeat(256), "y".repeat(251));
    let (short, long) = (trace(None), trace(Some(&state)));
    assert_eq!(long.to_string().len(), TraceContext::MAX_LEN);
    store.stored(lone("long").with_trace(long.clone())).await;
    store.stored(event("short", Some("a session"), 0).with_trace(short.clone())).await;
    store.stored(lone("none")).await;
    for key in ["long", "none"] {
        let again = lone(key).with_trace(short.clone());
        assert_eq!(store.accept(again).await.expect("accepted"), Accepted::Duplicate);
    }
    let expected = [("long", Some(long)), ("none", None), ("short", Some(short.clone()))];
    for (key, trace) in &expected {
        assert_eq!(store.named(key).await.trace, *trace, "{key} is listed with its trace");
    }
    let mut claimed: Vec<_> =
        store.claimed(0).await.into_iter().map(|claim| (key_of(&claim), claim.trace, claim.lease)).collect();
    claimed.sort_by(|a, b| a.0.cmp(&b.0));
    let found: Vec<_> = claimed.iter().map(|(key, trace, _)| (key.as_str(), trace.clone())).collect();
    assert_eq!(found, expected);

    // It leads from a dead letter to its trace, and is not personal data.
    store.fail(claimed[2].2, &final_failure("no"), at(1)).await.expect("recorded");
    store.erase_session(&SessionId::new("a session"), &note(), at(2)).await.expect("erased");
    let erased = store.named("short").await;
    assert_eq!((erased.body.len(), erased.trace), (0, Some(short)));
}

pub async fn accept_wakes_waiting_workers<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.stored(lone("k")).await;
    wakeups.changed().await.expect("the store is alive");
}

pub async fn quarantine_keeps_one_row_per_endpoint_and_body<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for (body, millis) in [(&b"\xff\xfe\0"[..], 0), (b"{}", 1), (b"\xff\xfe\0", 2)] {
        store.quarantine(unreadable("main", body, millis)).await.expect("quarantined");
    }
    store.quarantine(unreadable("other", b"{}", 3)).await.expect("quarantined");
    let rows = store.quarantined(PageRequest::first()).await.expect("listed").items;
    let found: Vec<_> = rows.iter().map(|row| (&*row.endpoint, &row.body[..], row.seen)).collect();
    assert_eq!(found, [("main", &b"\xff\xfe\0"[..], 2), ("main", b"{}", 1), ("other", b"{}", 1)]);
    assert_eq!((rows[0].first_received_at, rows[0].last_received_at), (at(0), at(2)));
    assert!(rows[0].reason.contains("UTF-8"), "{}", rows[0].reason);
}

pub async fn quarantine_is_never_claimed<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.quarantine(unreadable("main", b"[]", 0)).await.expect("quarantined");
    assert!(store.claimed(1_000_000).await.is_empty());
    assert!(store.all().await.is_empty());
}

pub async fn ping_succeeds_while_the_store_is_open<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let pinging = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.ping().await })
    });
    for pinged in pinging.collect::<Vec<_>>() {
        pinged.await.expect("no panic").expect("an event could be accepted");
    }
}

pub async fn ping_leaves_nothing_behind<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("k", Some("s"), 0)).await;
    assert_eq!(store.claimed_keys(0).await, ["k"]);
    let (events, stats) = (store.all().await, store.stats().await.expect("counted"));
    let due = store.next_due(at(0)).await.expect("asked");
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    for _ in 0..3 {
        store.ping().await.expect("an event could be accepted");
    }
    assert!(!wakeups.has_changed().expect("the store is alive"), "no worker is woken");
    assert_eq!(store.all().await, events);
    assert_eq!(store.stats().await.expect("counted"), stats);
    assert_eq!(store.next_due(at(0)).await.expect("asked"), due);
    assert!(store.claimed(1).await.is_empty());
}

pub async fn accept_is_durable_before_it_returns<H: DurableHarness>() {
    let harness = H::start().await;
    harness.store().stored(lone("k")).await;
    let reopened = harness.reopened().await;
    assert_eq!(reopened.only().await.body, lone("k").body());
    assert_eq!(reopened.accept(lone("k")).await.expect("accepted"), Accepted::Duplicate);
}
