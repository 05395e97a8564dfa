//! A console over a store in memory, and requests to it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::to_bytes;
use actix_web::dev::Service as _;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use jaas_core::store::{
    AuditEntry, ClaimRequest, EventAdmin, EventQuery, EventState, EventStore as _, Failure, MemoryStore,
    PageRequest, RowId, StoredEvent,
};
use jaas_core::{Delivery, Timestamp};

use crate::console::access::{Operator, Right};
use crate::console::routes::{Does, Route};
use crate::console::{Access, Console};

pub(super) const NOW: Timestamp = Timestamp::from_secs(1_795_500_000);

/// The operator whose rights the header `x-rights` lists.
pub(super) fn access() -> impl Access {
    |request: &HttpRequest| {
        let rights = request.headers().get("x-rights")?.to_str().ok()?;
        let mut operator = Operator::new("ada <op>");
        for right in Right::ALL {
            if rights.split(',').any(|name| name == right.as_str()) {
                operator = operator.may(right);
            }
        }
        Some(operator)
    }
}

pub(super) fn console<S: EventAdmin>(store: S) -> Console<S> {
    Console::new(store, access()).clock(|| NOW)
}

/// An application with a console in its scope `/ops`.
pub(super) struct TestApp(Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, Response>>);

pub(super) async fn app<S: EventAdmin>(console: Console<S>) -> TestApp {
    let service = Rc::new(init_service(App::new().service(web::scope("/ops").service(console))).await);
    TestApp(Box::new(move |request| {
        let service = service.clone();
        Box::pin(async move {
            let response = service.call(request.to_request()).await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            let body = to_bytes(response.into_body()).await.map_err(|_| "a broken body").unwrap();
            Response { status, headers, body: String::from_utf8(body.into()).unwrap() }
        })
    }))
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(super) async fn send(app: &TestApp, request: TestRequest) -> Response {
    (app.0)(request).await
}

pub(super) fn every_right() -> String {
    Right::ALL.map(Right::as_str).join(",")
}

pub(super) fn get(path: &str) -> TestRequest {
    TestRequest::get().uri(&format!("/ops/{path}")).insert_header(("x-rights", every_right()))
}

/// A form as a page of the console sends it.
pub(super) fn post(path: &str, form: &str) -> TestRequest {
    TestRequest::post()
        .uri(&format!("/ops/{path}"))
        .insert_header(("x-rights", every_right()))
        .insert_header(("sec-fetch-site", "same-origin"))
        .insert_header(("content-type", "application/x-www-form-urlencoded"))
        .set_payload(form.to_owned())
}

/// A request that the route would accept, but for its sender.
pub(super) fn valid(route: &Route) -> TestRequest {
    match route.does {
        Does::Show => TestRequest::get().uri(&format!("/ops/{}?id=1", route.page)),
        Does::Act => TestRequest::post()
            .uri(&format!("/ops/{}", route.page))
            .insert_header(("content-type", "application/x-www-form-urlencoded"))
            .set_payload("id=1&reason=why"),
    }
}

/// Stores a delivery and makes it a dead letter with this error.
pub(super) async fn bury(store: &MemoryStore, delivery: Delivery, error: &str) -> RowId {
    store.accept(delivery).await.unwrap();
    let claim = store.claim(&ClaimRequest::new("w", NOW, 1)).await.unwrap().pop().expect("a claim");
    let failure = Failure { error: error.to_owned(), retry_in: None, passable: false, next: None };
    store.fail(claim.lease, &failure, NOW).await.unwrap();
    claim.lease.event
}

/// A store with one dead letter in row 1.
pub(super) async fn one_dead() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let event = jaas_testkit::event::participant_joined().named("Zora Secret").at(earlier(60));
    assert_eq!(bury(&store, event.delivery(), "the table is missing").await, RowId::new(1));
    store
}

pub(super) fn earlier(secs: u64) -> Timestamp {
    NOW.saturating_sub(Duration::from_secs(secs))
}

pub(super) async fn events(store: &MemoryStore) -> Vec<StoredEvent> {
    store
        .events(&EventQuery {
            page: PageRequest { limit: 1000, ..PageRequest::first() },
            ..EventQuery::default()
        })
        .await
        .unwrap()
        .items
}

pub(super) async fn audit(store: &MemoryStore) -> Vec<AuditEntry> {
    store.audit(PageRequest::newest()).await.unwrap().items
}

pub(super) async fn count(store: &MemoryStore, state: EventState) -> u64 {
    store.stats().await.unwrap().count(state)
}
