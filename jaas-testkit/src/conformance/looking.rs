//! Listing, counting and the sign of life.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{Page, PageRequest, StoreError};
use jaas_core::{IdempotencyKey, SessionId};

use super::accepting::unreadable;
use super::*;

pub async fn ping_answers_while_the_store_is_open<H: Harness>() {
    let harness = H::start().await;
    harness.store().ping().await.expect("a sign of life");
}

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
    store.stored(event("b", Some("t"), 0)).await;
    store
        .stored(delivery(
            r#"{"idempotencyKey":"c","eventType":"ROOM_CREATED","sessionId":"s"}"#.to_owned(),
            at(9),
        ))
        .await;
    let keys = async |query: EventQuery| {
        let events = store.events(&query).await.expect("listed").items;
        events.iter().map(|event| event.idempotency_key.to_string()).collect::<Vec<_>>()
    };
    let all = EventQuery::default;
    assert_eq!(keys(EventQuery { session_id: Some(SessionId::new("s")), ..all() }).await, ["a", "c"]);
    assert_eq!(keys(EventQuery { event_type: Some("ROOM_CREATED".to_owned()), ..all() }).await, ["c"]);
    assert_eq!(keys(EventQuery { idempotency_key: Some(IdempotencyKey::new("b")), ..all() }).await, ["b"]);
    store.claimed(0).await;
    assert_eq!(keys(EventQuery { state: Some(EventState::Running), ..all() }).await, ["a", "b"]);
    let query =
        EventQuery { state: Some(EventState::Running), session_id: Some(SessionId::new("s")), ..all() };
    assert_eq!(keys(query).await, ["a"]);
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

pub async fn stats_count_every_state<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for key in ["done", "ignored", "dead", "running"] {
        store.stored(lone(key)).await;
    }
    for claim in store.claimed(0).await {
        match key_of(&claim).as_str() {
            "done" => store.done(claim.lease).await,
            "ignored" => {
                let ignored = Handled::ignored("not mine");
                store.complete(claim.lease, &step("h", true), &ignored, at(1)).await.expect("completed");
            }
            "dead" => {
                let failure = Failure { error: "no".to_owned(), next: None };
                store.fail(claim.lease, &failure, at(1)).await.expect("recorded");
            }
            _ => {}
        }
    }
    store.stored(event("w1", None, 50)).await;
    store.stored(event("w2", None, 40)).await;
    store.accept(event("w2", None, 60)).await.expect("a conflict");
    store.quarantine(unreadable("main", b"[]", 0)).await.expect("quarantined");
    let stats = store.stats().await.expect("counted");
    assert_eq!((stats.waiting, stats.running, stats.done, stats.ignored, stats.dead), (2, 1, 1, 1, 1));
    assert_eq!((stats.conflicts, stats.quarantined, stats.oldest_waiting), (1, 1, Some(at(40))));
}

/// Follows the cursor to the end.
async fn pages<T>(limit: u32, list: impl AsyncFn(PageRequest) -> Result<Page<T>, StoreError>) -> Vec<Vec<T>> {
    let mut page = PageRequest { after: None, limit };
    let mut pages = Vec::new();
    loop {
        let Page { items, next } = list(page).await.expect("listed");
        pages.push(items);
        match next {
            Some(after) => page.after = Some(after),
            None => return pages,
        }
        assert!(pages.len() < 100, "the cursor goes on for ever");
    }
}
