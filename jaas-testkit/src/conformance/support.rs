//! What the tests share: events, requests, and one-line operations on a store.
#![allow(clippy::expect_used)]

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jaas_core::store::{
    Accepted, AuditNote, Claim, ClaimRequest, EventAdmin, EventQuery, EventState, Failure, Lease, NextClaim,
    Page, PageRequest, SessionOrder, Step, StoreError, StoredEvent,
};
use jaas_core::{Delivery, Handled, Timestamp, Unreadable};
use serde_json::json;

use super::Harness;

/// When every test starts.
pub(super) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);

/// The lease of the claims in these tests.
pub(super) const LEASE: Duration = Duration::from_secs(15);

pub(super) const HOUR: i64 = 60 * 60 * 1000;
pub(super) const DAY: i64 = 24 * HOUR;

/// A time this many milliseconds after the start.
pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START.as_millis() + millis)
}

/// An event of a session, which happened and was received this many milliseconds after the start.
pub(super) fn event(key: &str, session: Option<&str>, millis: i64) -> Delivery {
    event_of("PARTICIPANT_JOINED", key, session, millis)
}

pub(super) fn event_of(event_type: &str, key: &str, session: Option<&str>, millis: i64) -> Delivery {
    let body = json!({
        "idempotencyKey": key,
        "eventType": event_type,
        "sessionId": session,
        "timestamp": at(millis).as_millis(),
        "fqn": "vpaas-magic-cookie-1/math",
        "data": {"id": key},
    });
    delivery(body.to_string(), at(millis))
}

pub(super) fn delivery(body: String, received_at: Timestamp) -> Delivery {
    Delivery::parse("main", received_at, body.into()).expect("a readable envelope")
}

/// An event without a session, from the start.
pub(super) fn lone(key: &str) -> Delivery {
    event(key, None, 0)
}

pub(super) fn unreadable(endpoint: &str, body: &'static [u8], millis: i64) -> Unreadable {
    Delivery::parse(endpoint, at(millis), Bytes::from_static(body)).expect_err("no readable envelope")
}

pub(super) fn request(millis: i64, limit: usize) -> ClaimRequest {
    let mut request = ClaimRequest::new("conformance", at(millis), limit);
    request.lease = LEASE;
    request
}

pub(super) fn step(handler: &str, last: bool) -> Step {
    Step { handler: handler.into(), last, next: None }
}

/// A failure after which the event waits for this many milliseconds.
pub(super) fn retry(error: &str, millis: u64) -> Failure {
    let retry_in = Some(Duration::from_millis(millis));
    Failure { error: error.to_owned(), retry_in, passable: false, next: None }
}

/// The last step of a handler, which asks for the next event of the session.
pub(super) fn going_on(handler: &str) -> Step {
    Step { next: Some(next_claim()), ..step(handler, true) }
}

pub(super) fn next_claim() -> NextClaim {
    NextClaim { lease: LEASE, order: SessionOrder::default(), following: 0 }
}

/// A failure after which the event is a dead letter.
pub(super) fn final_failure(error: &str) -> Failure {
    Failure { error: error.to_owned(), retry_in: None, passable: false, next: None }
}

pub(super) fn note() -> AuditNote {
    AuditNote::new("operator", "the bug is fixed")
}

/// A store with one event that was claimed, and claimed again when the lease expired: both leases.
pub(super) async fn overtaken<H: Harness>(harness: &H) -> (Lease, Lease) {
    let store = harness.store();
    store.stored(lone("k")).await;
    let lost = store.claimed_one(0).await.lease;
    let live = store.claimed_one(15_000).await.lease;
    assert_ne!(lost, live);
    (lost, live)
}

/// What the tests do with a store, in one line each.
#[async_trait]
pub(super) trait Shorthand: EventAdmin {
    async fn stored(&self, delivery: Delivery);
    async fn claimed(&self, millis: i64) -> Vec<Claim>;
    async fn claimed_one(&self, millis: i64) -> Claim;
    async fn claimed_keys(&self, millis: i64) -> Vec<String>;
    async fn done(&self, lease: Lease);
    async fn ends(&self, key: &str, state: EventState, millis: i64);
    async fn all(&self) -> Vec<StoredEvent>;
    async fn keys(&self) -> Vec<String>;
    async fn only(&self) -> StoredEvent;
    async fn named(&self, key: &str) -> StoredEvent;
}

#[async_trait]
#[allow(clippy::panic)]
impl<S: EventAdmin> Shorthand for S {
    async fn stored(&self, delivery: Delivery) {
        assert_eq!(self.accept(delivery).await.expect("accepted"), Accepted::New);
    }

    async fn claimed(&self, millis: i64) -> Vec<Claim> {
        self.claim(&request(millis, 100)).await.expect("claimed")
    }

    async fn claimed_one(&self, millis: i64) -> Claim {
        let mut claims = self.claimed(millis).await;
        assert_eq!(claims.len(), 1, "one event is claimable");
        claims.remove(0)
    }

    /// The keys of the claimed events, sorted.
    async fn claimed_keys(&self, millis: i64) -> Vec<String> {
        let mut keys: Vec<String> = self.claimed(millis).await.iter().map(key_of).collect();
        keys.sort();
        keys
    }

    async fn done(&self, lease: Lease) {
        self.complete(lease, &step("h", true), &Handled::Done, at(1)).await.expect("completed");
    }

    /// Accepts an event and settles it, both at this time.
    async fn ends(&self, key: &str, state: EventState, millis: i64) {
        self.stored(event(key, None, millis)).await;
        if state == EventState::Discarded {
            let id = self.named(key).await.id;
            return self.discard(id, &note(), at(millis)).await.expect("discarded");
        }
        let lease = self.claimed_one(millis).await.lease;
        let settled = match state {
            EventState::Done => self.complete(lease, &step("h", true), &Handled::Done, at(millis)).await,
            EventState::Ignored => {
                self.complete(lease, &step("h", true), &Handled::ignored("not mine"), at(millis)).await
            }
            EventState::Dead => self.fail(lease, &final_failure("no"), at(millis)).await,
            state => panic!("{state} is not a settled state"),
        };
        settled.expect("settled");
    }

    async fn all(&self) -> Vec<StoredEvent> {
        self.events(&EventQuery::default()).await.expect("listed").items
    }

    /// The keys of all events, oldest row first.
    async fn keys(&self) -> Vec<String> {
        self.all().await.into_iter().map(|event| event.idempotency_key.into_string()).collect()
    }

    async fn only(&self) -> StoredEvent {
        let mut events = self.all().await;
        assert_eq!(events.len(), 1, "one event is stored");
        events.remove(0)
    }

    async fn named(&self, key: &str) -> StoredEvent {
        let found = self.all().await.into_iter().find(|event| event.idempotency_key == key);
        found.unwrap_or_else(|| panic!("{key} is not stored"))
    }
}

pub(super) fn key_of(claim: &Claim) -> String {
    let delivery = Delivery::parse(claim.endpoint.clone(), claim.received_at, claim.body.to_vec().into())
        .expect("a readable envelope");
    delivery.envelope.idempotency_key.into_string()
}

pub(super) fn key_of_event(event: StoredEvent) -> String {
    event.idempotency_key.into_string()
}

/// Follows the cursor to the end, and checks that the same rows are listed from the newest on.
pub(super) async fn pages<T: PartialEq + std::fmt::Debug>(
    limit: u32,
    list: impl AsyncFn(PageRequest) -> Result<Page<T>, StoreError>,
) -> Vec<Vec<T>> {
    let oldest_first = PageRequest { limit, ..PageRequest::first() };
    let pages = all_pages(oldest_first, &list).await;
    let newest_first = all_pages(PageRequest { limit, ..PageRequest::newest() }, &list).await;
    assert!(pages.iter().flatten().eq(newest_first.iter().rev().flat_map(|page| page.iter().rev())));
    pages
}

async fn all_pages<T>(
    mut page: PageRequest,
    list: &impl AsyncFn(PageRequest) -> Result<Page<T>, StoreError>,
) -> Vec<Vec<T>> {
    let mut pages = Vec::new();
    loop {
        let Page { items, next } = list(page).await.expect("listed");
        pages.push(items);
        match next {
            Some(after) => page.after = Some(after),
            None => return pages,
        }
        assert!(pages.len() < 100, "the cursor goes on forever");
    }
}
