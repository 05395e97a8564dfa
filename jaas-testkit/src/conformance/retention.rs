//! Deleting what need not be kept: `purge` and `erase_session`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::SessionId;
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, AttemptQuery, AuditAction, EventAdmin, EventState, EventStore, Keep, PageRequest, Purged,
    Retention, RetentionBuilder, StoreErrorKind,
};
use jaas_core::telemetry::TraceContext;

use super::Harness;
use super::support::*;

const ENDS: [EventState; 4] =
    [EventState::Done, EventState::Ignored, EventState::Dead, EventState::Discarded];

/// With this tolerance, no key may be deleted within 24 hours and 5 minutes.
fn retention() -> RetentionBuilder {
    Retention::builder(Tolerance::default())
}

fn all_events(keep: Keep) -> RetentionBuilder {
    ENDS.into_iter().fold(retention(), |retention, state| retention.events(state, keep))
}

async fn purged(store: &impl EventAdmin, retention: &RetentionBuilder, millis: i64) -> Purged {
    let retention = retention.clone().build().expect("a sound retention");
    store.purge(&retention, at(millis), 1000).await.expect("purged")
}

pub async fn purge_deletes_by_age_and_state<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for state in ENDS {
        store.ends(state.as_str(), state, 0).await;
    }
    let retention = retention()
        .events(EventState::Done, Keep::days(2))
        .events(EventState::Ignored, Keep::days(4))
        .events(EventState::Dead, Keep::days(6))
        .events(EventState::Discarded, Keep::FOREVER)
        .conflicts(Keep::days(8))
        .quarantined(Keep::days(10));
    assert_eq!(store.accept(event("discarded", None, 1)).await.expect("accepted"), Accepted::Conflict);
    assert_eq!(store.accept(event("dead", None, 1)).await.expect("accepted"), Accepted::Conflict);
    store.quarantine(unreadable("main", b"[]", 0)).await.expect("quarantined");
    let dead = store.named("dead").await.id;
    for (day, left) in [
        (2, &["done", "ignored", "dead", "discarded"][..]),
        (4, &["ignored", "dead", "discarded"]),
        (6, &["dead", "discarded"]),
        (8, &["discarded"]),
    ] {
        purged(&store, &retention, day * DAY - 1).await;
        assert_eq!(store.keys().await, left, "before the end of day {day}");
    }
    let of_dead = AttemptQuery { event: Some(dead), ..AttemptQuery::default() };
    assert_eq!(
        store.attempts(&of_dead).await.expect("listed").items,
        [],
        "they are deleted with their event"
    );
    let stats = async || {
        let stats = store.stats().await.expect("counted");
        (stats.conflicts, stats.quarantined)
    };
    assert_eq!(stats().await, (1, 1), "the conflict of the dead event was deleted with it");
    assert_eq!(purged(&store, &retention, 8 * DAY + 2).await, Purged::new(0, 1, 0, false));
    // Those bytes arrive again, so they are as young as the last time.
    store.quarantine(unreadable("main", b"[]", DAY)).await.expect("quarantined");
    assert_eq!(purged(&store, &retention, 11 * DAY - 1).await, Purged::new(0, 0, 0, false));
    assert_eq!(purged(&store, &retention, 11 * DAY + 1).await, Purged::new(0, 0, 1, false));
    assert_eq!((stats().await, store.keys().await), ((0, 0), vec!["discarded".to_owned()]));
    store.stored(lone("done")).await;

    // In batches.
    let store = H::start().await;
    let store = store.store();
    for number in 0..5 {
        store.ends(&format!("k{number}"), ENDS[number % 2], 0).await;
    }
    let retention = all_events(Keep::days(2)).build().expect("sound");
    for (deleted, more) in [(2, true), (2, true), (1, false), (0, false)] {
        let batch = store.purge(&retention, at(3 * DAY), 2).await.expect("purged");
        assert_eq!((batch.events, batch.more), (deleted, more));
    }
}

pub async fn purge_deletes_beyond_a_count<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["a", "b", "c", "d", "e"] {
        store.stored(lone(key)).await;
    }
    // Settled in another order than they were accepted.
    let mut claims = store.claimed(0).await;
    claims.sort_by_key(key_of);
    for (index, millis) in [(3, 1), (0, 2), (4, 3), (1, 4), (2, 5)] {
        let lease = claims[index].lease;
        store.fail(lease, &final_failure("no"), at(millis)).await.expect("recorded");
    }
    for key in ["done 1", "done 2", "done 3"] {
        store.ends(key, EventState::Done, 10).await;
    }
    for millis in [1, 2, 3, 1] {
        let mut conflict = event("a", Some("other"), millis);
        conflict.received_at = at(millis * 10);
        assert_eq!(store.accept(conflict).await.expect("accepted"), Accepted::Conflict);
    }
    for body in [&b"1"[..], b"2", b"3"] {
        store.quarantine(unreadable("main", body, 0)).await.expect("quarantined");
    }
    let count = |dead| {
        retention()
            .events(EventState::Dead, Keep::FOREVER.newest(dead))
            .events(EventState::Done, Keep::days(30).newest(3))
    };
    assert_eq!(purged(&store, &count(5), 2 * DAY).await, Purged::new(0, 0, 0, false));
    assert_eq!(purged(&store, &count(4), 2 * DAY).await, Purged::new(1, 0, 0, false));
    assert_eq!(store.keys().await, ["a", "b", "c", "e", "done 1", "done 2", "done 3"]);
    let kept = count(4).conflicts(Keep::FOREVER.newest(1)).quarantined(Keep::FOREVER.newest(2));
    assert_eq!(purged(&store, &kept, 2 * DAY).await, Purged::new(0, 2, 1, false));
    let conflicts = store.conflicts(PageRequest::first()).await.expect("listed").items;
    assert_eq!(conflicts.iter().map(|row| row.last_received_at).collect::<Vec<_>>(), [at(30)]);
    let quarantined = store.quarantined(PageRequest::first()).await.expect("listed").items;
    assert_eq!(quarantined.iter().map(|row| &row.body[..]).collect::<Vec<_>>(), [b"2", b"3"]);
    assert_eq!(purged(&store, &count(2), 2 * DAY).await.events, 2);
    assert_eq!(store.keys().await, ["b", "c", "done 1", "done 2", "done 3"]);
}

pub async fn purge_keeps_keys_as_long_as_signatures_are_valid<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for state in ENDS {
        store.ends(state.as_str(), state, 0).await;
    }
    store.ends("later", EventState::Done, HOUR).await;
    let nothing = all_events(Keep::FOREVER.newest(0));
    let lifetime = 24 * HOUR + HOUR / 12;
    assert_eq!(purged(&store, &nothing, lifetime - 1).await, Purged::new(0, 0, 0, false));
    assert_eq!(store.accept(lone("done")).await.expect("accepted"), Accepted::Duplicate);
    assert_eq!(purged(&store, &nothing, lifetime + 1).await.events, 4);
    assert_eq!(store.keys().await, ["later"]);
    assert_eq!(purged(&store, &nothing, HOUR + lifetime + 1).await.events, 1);
}

pub async fn purge_leaves_what_is_not_settled<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("replayed", EventState::Dead, 0).await;
    for key in ["running", "failed"] {
        store.stored(lone(key)).await;
    }
    for claim in store.claimed(0).await {
        if key_of(&claim) == "failed" {
            store.fail(claim.lease, &retry("no", 1), at(0)).await.expect("recorded");
        }
    }
    store.stored(lone("waiting")).await;
    store.replay(store.named("replayed").await.id, &note(), at(0)).await.expect("replayed");
    let nothing = all_events(Keep::FOREVER.newest(0));
    let (events, attempts) = (store.all().await, store.attempts(&AttemptQuery::default()).await);
    assert_eq!(purged(&store, &nothing, 3650 * DAY).await, Purged::new(0, 0, 0, false));
    assert_eq!(store.all().await, events);
    assert_eq!(
        store.attempts(&AttemptQuery::default()).await.expect("listed"),
        attempts.expect("listed"),
        "as long as their events"
    );
}

pub async fn erase_session_removes_bodies_and_keeps_keys<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.ends("lone", EventState::Dead, 0).await;
    store.stored(event("dead", Some("s"), 0)).await;
    let lease = store.claimed_one(0).await.lease;
    store.fail(lease, &final_failure("Zoe is unknown"), at(1)).await.expect("recorded");
    let trace = |state| {
        TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", state).expect("valid")
    };
    store.stored(event("done", Some("s"), 1).with_trace(trace(Some("vendor=Zoe")))).await;
    store.done(store.claimed_one(1).await.lease).await;
    let conflicting = event("done", Some("s"), 2);
    assert_eq!(store.accept(conflicting.clone()).await.expect("accepted"), Accepted::Conflict);
    store.stored(event("other", Some("S"), 0).with_trace(trace(Some("vendor=Max")))).await;
    let untouched = (store.named("other").await, store.named("lone").await);

    let session = SessionId::new("s");
    assert_eq!(store.erase_session(&session, &note(), at(10)).await.expect("erased"), 2);
    for (key, state) in [("dead", EventState::Dead), ("done", EventState::Done)] {
        let event = store.named(key).await;
        assert_eq!((event.state, event.erased_at), (state, Some(at(10))));
        assert_eq!((&event.body[..], event.note), (&b""[..], None));
    }
    assert_eq!(store.named("dead").await.trace, None);
    assert_eq!(store.named("done").await.trace, Some(trace(None)), "vendor data is erased");
    assert_eq!((store.named("other").await, store.named("lone").await), untouched);
    let attempts = store.attempts(&AttemptQuery::default()).await.expect("listed").items;
    assert_eq!(
        attempts.iter().map(|attempt| attempt.error.as_deref()).collect::<Vec<_>>(),
        [Some("no"), None]
    );
    let entries = store.audit(PageRequest::first()).await.expect("listed").items;
    let found: Vec<_> =
        entries.iter().map(|entry| (entry.idempotency_key.as_str(), entry.action, entry.at)).collect();
    let erased = |key| (key, AuditAction::Erased, at(10));
    assert_eq!(found, [erased("dead"), erased("done")]);
    assert_eq!(entries[0].note, note());

    // A repetition is known, and its body does not come back.
    assert_eq!(store.accept(event("dead", Some("s"), 0)).await.expect("accepted"), Accepted::Duplicate);
    assert_eq!(store.accept(conflicting).await.expect("accepted"), Accepted::Conflict);
    let conflicts = store.conflicts(PageRequest::first()).await.expect("listed").items;
    assert_eq!(conflicts.iter().map(|row| (&row.body[..], row.seen)).collect::<Vec<_>>(), [(&b""[..], 2)]);

    // A body that arrived later is erased by the next call.
    assert_eq!(store.accept(event("done", Some("s"), 3)).await.expect("accepted"), Accepted::Conflict);
    assert_eq!(store.erase_session(&session, &note(), at(20)).await.expect("erased"), 0);
    let conflicts = store.conflicts(PageRequest::first()).await.expect("listed").items;
    assert!(conflicts.iter().all(|row| row.body.is_empty()) && conflicts.len() == 2);
    assert_eq!(store.named("done").await.erased_at, Some(at(10)));
}

pub async fn erase_session_discards_what_waits_and_refuses_while_one_runs<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("first", Some("s"), 0)).await;
    store.stored(event("second", Some("s"), 1)).await;
    let session = SessionId::new("s");
    let first = store.claimed_one(1).await.lease;
    let before = store.all().await;
    let error = store.erase_session(&session, &note(), at(5)).await.expect_err("one runs");
    assert_eq!((error.kind(), store.all().await), (StoreErrorKind::NotSettled, before));
    assert_eq!(store.audit(PageRequest::first()).await.expect("listed").items, []);

    store.done(first).await;
    assert_eq!(store.erase_session(&session, &note(), at(10)).await.expect("erased"), 2);
    let event = store.named("second").await;
    assert_eq!((event.state, event.settled_at), (EventState::Discarded, Some(at(10))));
    assert!(store.claimed(1_000_000).await.is_empty());
    assert_eq!(store.named("first").await.state, EventState::Done);
    assert_eq!(store.erase_session(&SessionId::new("none"), &note(), at(11)).await.expect("nothing"), 0);
}
