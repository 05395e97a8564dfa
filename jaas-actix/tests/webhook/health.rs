//! The health endpoints.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jaas_actix::Health;
use jaas_core::store::{EventStore as _, MemoryStore};
use jaas_core::{Delivery, DispatchError, DispatchErrorKind, Dispatcher, Disposition, Incoming, Timestamp};

use crate::support::{Server, event, signed};

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

#[actix_web::test]
async fn readiness_names_the_checks_that_fail_or_hang_and_nothing_of_their_errors() {
    let health = Health::new()
        .timeout(Duration::from_millis(100))
        .check("well", || async { Ok::<_, String>(()) })
        .check("failing \"one\"", || async { Err("password=hunter2") })
        .check("hanging", pending::<Result<(), String>>);
    let server = Server::with_health(health).await;
    let response = server.answer(get("/readyz")).await;
    assert_eq!(response.status, 503);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(String::from_utf8_lossy(&response.body), r#"{"failed":["failing \"one\"","hanging"]}"#);
    assert_eq!(server.answer(get("/livez")).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn readiness_is_200_until_the_receiver_is_closed() {
    let server = Server::with_health(Health::new().check("store", || async { Ok::<_, String>(()) })).await;
    let response = server.answer(get("/readyz")).await;
    assert_eq!((response.status, &*response.body), (200, &br#"{"failed":[]}"#[..]));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    server.receiver.close();
    let response = server.answer(get("/readyz")).await;
    assert_eq!((response.status, &*response.body), (503, &br#"{"failed":["receiver main"]}"#[..]));
    server.stop().await;
}

#[actix_web::test]
async fn readiness_asks_whether_the_store_could_accept_an_event() {
    let store = Arc::new(MemoryStore::with_capacity(1));
    let server = Server::with_health(Health::new().store(store.clone())).await;
    assert_eq!(server.answer(get("/readyz")).await.status, 200);
    let delivery = Delivery::parse("main", Timestamp::from_millis(0), event("k", 200).into());
    store.accept(delivery.expect("an envelope")).await.expect("accepted");
    let response = server.answer(get("/readyz")).await;
    assert_eq!((response.status, &*response.body), (503, &br#"{"failed":["store"]}"#[..]));
    server.stop().await;
}

#[actix_web::test]
async fn readiness_is_503_while_every_delivery_is_refused() {
    let server = Server::over(Refuses).await;
    for number in 0..20 {
        assert_eq!(server.answer(get("/readyz")).await.status, 200, "after {number}");
        assert_eq!(server.answer(signed(event("k", 200))).await.status, 503);
    }
    let response = server.answer(get("/readyz")).await;
    assert_eq!((response.status, &*response.body), (503, &br#"{"failed":["receiver main"]}"#[..]));
    assert_eq!(server.answer(get("/livez")).await.status, 200, "a restart would not help");
    server.stop().await;
}

/// Accepts nothing.
struct Refuses;

#[async_trait::async_trait]
impl Dispatcher for Refuses {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        Err(DispatchError::new(DispatchErrorKind::Unavailable, "the table is locked", Duration::from_secs(5)))
    }
}

#[actix_web::test]
async fn liveness_is_200_unless_a_live_check_fails() {
    let running = Arc::new(AtomicBool::new(true));
    let seen = running.clone();
    let health = Health::new().live_check("worker", move || seen.load(Ordering::Relaxed));
    let server = Server::with_health(health).await;
    let response = server.answer(get("/livez")).await;
    assert_eq!((response.status, response.header("cache-control")), (200, Some("no-store")));
    running.store(false, Ordering::Relaxed);
    let response = server.answer(get("/livez")).await;
    assert_eq!((response.status, &*response.body), (503, &br#"{"failed":["worker"]}"#[..]));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(server.answer(get("/readyz")).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn head_is_like_get_without_the_body() {
    let server = Server::with_health(Health::new().check("failing", || async { Err("no") })).await;
    for (path, status) in [("/livez", 200), ("/readyz", 503)] {
        let mut client = server.client().await;
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")).await;
        let all = client.response_without_body().await;
        assert!(all.starts_with(&format!("HTTP/1.1 {status} ")), "{all}");
        assert!(all.contains("cache-control: no-store\r\n") && all.ends_with("\r\n\r\n"), "{all}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn other_methods_get_405() {
    let server = Server::with_health(Health::new()).await;
    for path in ["/livez", "/readyz"] {
        let response = server.answer(format!("POST {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!(response.status, 405);
        let allow = response.header("allow").unwrap_or_default();
        assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn probes_and_deliveries_share_a_server() {
    let server = Server::with_health(Health::new()).await;
    assert_eq!(server.answer(signed(event("k", 200))).await.status, 200);
    assert_eq!(server.answer(get("/readyz")).await.status, 200);
    server.stop().await;
}
