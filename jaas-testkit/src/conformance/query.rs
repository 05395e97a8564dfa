//! Listing and counting.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, Attempt, AttemptOutcome, AttemptQuery, AuditAction, EventAdmin, EventQuery, EventState,
    EventStore as _, PageRequest, Retention, RowId, StateStats, StoreErrorKind, StoreStats,
};
use jaas_core::{Delivery, Fqn, IdempotencyKey, SessionId};

use super::Harness;
use super::support::*;

pub async fn events_are_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for number in 0..7 {
        store.stored(lone(&format!("k{number}"))).await;
    }
    let pages =
        pages(3, async |page| store.events(&EventQuery { page, ..EventQuery::default() }).await).await;
    let keys: Vec<_> = pages
        .iter()
        .map(|page| page.iter().map(|event| event.idempotency_key.as_str()).collect::<Vec<_>>())
        .collect();
    assert_eq!(keys, [vec!["k0", "k1", "k2"], vec!["k3", "k4", "k5"], vec!["k6"]]);
    let event = &pages[0][0];
    assert_eq!((&*event.endpoint, event.event_type.as_str()), ("main", "PARTICIPANT_JOINED"));
    assert_eq!(
        (event.fqn.as_str(), event.occurred_at, event.received_at),
        ("vpaas-magic-cookie-1/math", at(0), at(0))
    );
}

pub async fn events_are_filtered_by_every_field_of_the_query<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("a", Some("s"), 0)).await;
    store.stored(event("b", Some("S"), 10)).await;
    let other = r#"{"idempotencyKey":"c","eventType":"ROOM_CREATED","sessionId":"s","fqn":"vpaas-magic-cookie-1/art"}"#;
    store.stored(delivery(other.to_owned(), at(20))).await;
    let elsewhere =
        Delivery::parse("other", at(30), event("d", None, 30).body().clone()).expect("an envelope");
    store.stored(elsewhere).await;

    let keys = async |query: EventQuery| {
        let events = store.events(&query).await.expect("listed").items;
        events.into_iter().map(|event| event.idempotency_key.into_string()).collect::<Vec<_>>()
    };
    let all = EventQuery::default;
    assert_eq!(keys(all()).await, ["a", "b", "c", "d"]);
    assert_eq!(keys(EventQuery { session_id: Some(SessionId::new("s")), ..all() }).await, ["a", "c"]);
    assert_eq!(keys(EventQuery { event_type: Some("ROOM_CREATED".to_owned()), ..all() }).await, ["c"]);
    let fqn = Fqn::new("vpaas-magic-cookie-1/math");
    assert_eq!(keys(EventQuery { fqn: Some(fqn), ..all() }).await, ["a", "b", "d"]);
    assert_eq!(keys(EventQuery { idempotency_key: Some(IdempotencyKey::new("b")), ..all() }).await, ["b"]);
    assert_eq!(keys(EventQuery { endpoint: Some("other".into()), ..all() }).await, ["d"]);
    // `from` is inclusive, `until` is not; an event without `timestamp` happened when it was received.
    assert_eq!(keys(EventQuery { from: Some(at(10)), ..all() }).await, ["b", "c", "d"]);
    assert_eq!(keys(EventQuery { until: Some(at(20)), ..all() }).await, ["a", "b"]);
    assert_eq!(keys(EventQuery { from: Some(at(11)), until: Some(at(21)), ..all() }).await, ["c"]);
    store.claimed(15).await;
    assert_eq!(keys(EventQuery { state: Some(EventState::Running), ..all() }).await, ["a", "b"]);
    assert_eq!(keys(EventQuery { state: Some(EventState::Waiting), ..all() }).await, ["c", "d"]);
    let both =
        EventQuery { state: Some(EventState::Running), session_id: Some(SessionId::new("s")), ..all() };
    assert_eq!(keys(both).await, ["a"]);
    assert_eq!(
        keys(EventQuery { session_id: Some(SessionId::new("none")), ..all() }).await,
        Vec::<String>::new()
    );

    // A page of the matching rows, not the matching rows of a page.
    let mut page = EventQuery { session_id: Some(SessionId::new("s")), ..all() };
    page.page.limit = 1;
    page.page.after = store.events(&page).await.expect("listed").next;
    assert_eq!(keys(page).await, ["c"]);
}

pub async fn events_of_a_key_are_listed_from_every_endpoint<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("other")).await;
    for endpoint in ["main", "a", "z", "b"] {
        let body = lone("k").body().clone();
        store.stored(Delivery::parse(endpoint, at(0), body).expect("an envelope")).await;
    }
    let key = Some(IdempotencyKey::new("k"));
    let of_key = EventQuery { idempotency_key: key, ..EventQuery::default() };
    let pages = pages(3, async |page| store.events(&EventQuery { page, ..of_key.clone() }).await).await;
    let endpoints: Vec<Vec<_>> =
        pages.iter().map(|page| page.iter().map(|event| &*event.endpoint).collect()).collect();
    assert_eq!(endpoints, [vec!["main", "a", "z"], vec!["b"]]);
    let dead = EventQuery { state: Some(EventState::Dead), ..of_key.clone() };
    assert_eq!(store.events(&dead).await.expect("listed").items, []);
    let replayed = store.replay_matching(&of_key, &note(), at(1)).await.expect("nothing is settled");
    assert_eq!(replayed.items, []);
    let discarded = store.discard_matching(&of_key, &note(), at(1)).await.expect("discarded");
    assert_eq!(discarded.items.len(), 4);
}

pub async fn conflicts_are_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    for millis in [1, 2, 3, 1] {
        let mut delivery = event("k", Some("other"), millis);
        delivery.received_at = at(millis * 10);
        assert_eq!(store.accept(delivery).await.expect("accepted"), Accepted::Conflict);
    }
    let pages = pages(2, async |page| store.conflicts(page).await).await;
    let seen: Vec<_> = pages.iter().map(|page| page.iter().map(|row| row.seen).collect::<Vec<_>>()).collect();
    assert_eq!(seen, [vec![2, 1], vec![1]]);
    assert_eq!(pages[0][1].first_received_at, at(20));
}

pub async fn quarantined_are_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for body in [&b""[..], b"1", b"2"] {
        store.quarantine(unreadable("main", body, 0)).await.expect("quarantined");
    }
    let pages = pages(2, async |page| store.quarantined(page).await).await;
    let bodies: Vec<_> =
        pages.iter().map(|page| page.iter().map(|row| &row.body[..]).collect::<Vec<_>>()).collect();
    assert_eq!(bodies, [vec![&b""[..], b"1"], vec![b"2"]]);
}

pub async fn attempts_are_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("a")).await;
    let a = store.named("a").await.id;
    for number in 0..4 {
        let lease = store.claimed_one(number).await.lease;
        store.fail(lease, &retry(&format!("no {number}"), 0), at(number)).await.expect("recorded");
    }
    let lease = store.claimed_one(5).await.lease;
    store.release(&[lease], at(5)).await.expect("released");
    store.done(store.claimed_one(6).await.lease).await;
    store.ends("b", EventState::Dead, 7).await;

    let listed = async |query: AttemptQuery| {
        let query = &query;
        pages(3, async |page| store.attempts(&AttemptQuery { page, ..query.clone() }).await).await
    };
    let texts = |pages: Vec<Vec<Attempt>>| -> Vec<Vec<String>> {
        let what = |attempt: Attempt| attempt.error.unwrap_or_else(|| attempt.outcome.to_string());
        pages.into_iter().map(|page| page.into_iter().map(what).collect()).collect()
    };
    let every = texts(listed(AttemptQuery::default()).await);
    assert_eq!(every, [vec!["no 0", "no 1", "no 2"], vec!["no 3", "interrupted", "no"]]);
    let of_a = AttemptQuery { event: Some(a), ..AttemptQuery::default() };
    assert_eq!(
        texts(listed(of_a.clone()).await),
        [vec!["no 0", "no 1", "no 2"], vec!["no 3", "interrupted"]]
    );
    let interrupted = AttemptQuery { outcome: Some(AttemptOutcome::Interrupted), ..AttemptQuery::default() };
    assert_eq!(texts(listed(interrupted).await), [["interrupted"]]);
    let crashed = AttemptQuery { outcome: Some(AttemptOutcome::Crashed), ..of_a };
    assert_eq!(texts(listed(crashed).await), [Vec::<String>::new()]);
}

pub async fn audit_is_listed_in_pages<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for number in 0..5 {
        store.ends(&format!("k{number}"), EventState::Discarded, 0).await;
    }
    let listed = async || pages(2, async |page| store.audit(page).await).await;
    let before = listed().await;
    let keys: Vec<_> = before
        .iter()
        .map(|page| page.iter().map(|entry| entry.idempotency_key.as_str()).collect::<Vec<_>>())
        .collect();
    assert_eq!(keys, [vec!["k0", "k1"], vec!["k2", "k3"], vec!["k4"]]);

    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    let purged = store.purge(&retention, at(365 * DAY), 100).await.expect("purged");
    assert_eq!((purged.events, store.all().await.len()), (5, 0));
    assert_eq!(listed().await, before, "entries outlive their events");
}

pub async fn stats_count_every_state<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    assert_eq!(store.stats().await.expect("counted"), StoreStats::default());
    let ends = [EventState::Done, EventState::Ignored, EventState::Dead, EventState::Discarded];
    for (number, state) in ends.into_iter().enumerate() {
        // The order of the rows counts.
        for (name, millis) in [("first", 50), ("second", 10)] {
            store.ends(&format!("{name} {number}"), state, millis).await;
        }
    }
    store.stored(event("running", None, 30)).await;
    store.claimed_one(30).await;
    store.stored(event("w1", None, 80)).await;
    store.stored(event("w2", None, 70)).await;
    store.stored(event("w3", None, 90)).await;
    store.accept(event("w2", None, 60)).await.expect("a conflict");
    store.quarantine(unreadable("main", b"[]", 0)).await.expect("quarantined");
    store.quarantine(unreadable("main", b"[]", 1)).await.expect("quarantined");

    let stats = store.stats().await.expect("counted");
    let state = |state| {
        let StateStats { count, oldest, .. } = stats.state(state);
        (count, oldest)
    };
    assert_eq!(state(EventState::Waiting), (3, Some(at(80))));
    assert_eq!(state(EventState::Running), (1, Some(at(30))));
    for end in ends {
        assert_eq!(state(end), (2, Some(at(50))), "{end}");
    }
    assert_eq!((stats.conflicts, stats.quarantined), (1, 1));
}

pub async fn event_is_found_by_its_row<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("a")).await;
    store.stored(lone("b")).await;
    let [a, b] = [store.named("a").await, store.named("b").await];
    assert_eq!(store.event(b.id).await.expect("found"), Some(b.clone()));
    assert_eq!(store.event(RowId::new(a.id.get().max(b.id.get()) + 1000)).await.expect("looked for"), None);
    let claims = store.claimed(0).await;
    assert_eq!(claims.len(), 2);
    let running = store.event(a.id).await.expect("found").expect("it is there");
    assert_eq!((running.state, running.worker.as_deref()), (EventState::Running, Some("conformance")));
}

pub async fn reveal_is_audited<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let id = store.only().await.id;
    store.reveal(id, &note(), at(7)).await.expect("recorded");
    assert_audited(&store, id, AuditAction::Revealed).await;
    let missing = store.reveal(RowId::new(id.get() + 1000), &note(), at(8)).await.expect_err("no such event");
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
}

pub async fn rehearsal_is_audited<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let before = store.only().await;
    store.record_rehearsal(before.id, &note(), at(7)).await.expect("recorded");
    assert_audited(&store, before.id, AuditAction::Rehearsed).await;
    assert_eq!(store.only().await, before, "the event is as it was");
    let none = RowId::new(before.id.get() + 1000);
    let missing = store.record_rehearsal(none, &note(), at(8)).await.expect_err("no such event");
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
}

/// Asserts that the audit has one entry, of this action on the event with the key `k`.
async fn assert_audited<S: EventAdmin>(store: &S, event: RowId, action: AuditAction) {
    let entries = store.audit(PageRequest::first()).await.expect("listed").items;
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.event, entry.action, entry.at), (event, action, at(7)));
    assert_eq!((&entry.note, entry.idempotency_key.as_str()), (&note(), "k"));
}
