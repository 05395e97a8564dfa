//! The adapter on a real socket.

mod support;

use std::sync::Arc;
use std::time::Duration;

use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService};
use jaas_core::store::{EventAdmin as _, MemoryStore, PageRequest};
use jaas_core::{Auth, Inbox, Receiver};
use jaas_testkit::{Signer, event};
use support::{Held, SECRET, SOON, Server, signed};
use tokio::time::timeout;

/// A receiver over an in-memory store, with a settings service.
fn receiver(store: &Arc<MemoryStore>) -> Receiver {
    let twelve = MeetingSettings::builder().max_occupants(12).build().unwrap();
    let service = SettingsService::builder(Fixed::new(twelve), FailurePolicy::fail_closed()).build().unwrap();
    let auth = Auth::signature([SECRET]).unwrap();
    Receiver::builder("main", auth, Inbox::new(store.clone())).settings(service).build().unwrap()
}

#[tokio::test]
async fn a_genuine_event_is_stored_once_and_byte_for_byte() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook).await;
    let body = event::participant_joined().key("k").text().replacen('{', "{ \t\r\n", 1);
    assert_eq!(server.post("/webhooks/jaas", &signed(&body)).await.status, 200);
    assert_eq!(server.post("/webhooks/jaas", &signed(&body)).await.status, 200);
    let other = event::participant_joined().key("k").named("Another").text();
    assert_eq!(server.post("/webhooks/jaas", &signed(&other)).await.status, 200);
    let stored = store.events(&Default::default()).await.unwrap().items;
    assert_eq!((stored.len(), &stored[0].body), (1, &body.into_bytes().into()));
    assert_eq!(store.conflicts(PageRequest::first()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn a_signature_in_two_header_lines_is_accepted() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook).await;
    let request = signed(&event::participant_joined().text());
    let (t, v1) = request.signature.split_once(',').unwrap();
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    let head = format!(
        "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    let lines = format!("X-Jaas-Signature: {t}\r\nX-Jaas-Signature: {v1}\r\n");
    let reply = server.raw(&format!("{head}{lines}\r\n{body}")).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[tokio::test]
async fn a_post_that_asks_for_websocket_and_one_that_waits_to_be_asked_are_answered_without_waiting() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook.max_body(1000)).await;
    let request = signed(&event::room_created().text());
    let body = String::from_utf8(request.body.to_vec()).unwrap();
    let upgrade = format!(
        "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
         X-Jaas-Signature: {}\r\nContent-Length: {}\r\n\r\n{body}",
        request.signature,
        body.len()
    );
    let reply = timeout(Duration::from_secs(5), server.raw(&upgrade)).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    let large =
        "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n";
    let reply = timeout(Duration::from_secs(5), server.raw(large)).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 413"), "no 100 before it: {reply}");
}

#[tokio::test]
async fn a_forged_or_unsigned_event_gets_no_reason_and_is_not_stored() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook).await;
    let body = event::participant_joined().text();
    let forged = Signer::new("whsec_guessed").unwrap().sign(support::now(), body.clone());
    let reply = server.post("/webhooks/jaas", &forged).await;
    assert_eq!((reply.status, reply.body.len()), (401, 0));
    let mut changed = signed(&body);
    changed.body = [changed.body.as_ref(), b" "].concat().into();
    assert_eq!(server.post("/webhooks/jaas", &changed).await.status, 401);
    let head = "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let unsigned = server.raw(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
    assert!(unsigned.starts_with("HTTP/1.1 401"), "{unsigned}");
    assert_eq!(store.stats().await.unwrap(), Default::default());
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook.max_body(1000)).await;
    // Not a byte of the body is sent.
    let declared = "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n";
    let reply = server.raw(declared).await;
    assert!(reply.starts_with("HTTP/1.1 413") && reply.contains("connection: close"), "{reply}");
    let chunked = "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reply = server.raw(&format!("{chunked}3e9\r\n{}\r\n", "x".repeat(1001))).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    let fits = format!("{chunked}3e8\r\n{}\r\n0\r\n\r\n", "x".repeat(1000));
    let reply = server.raw(&fits.replacen("Host: x", "Host: x\r\nConnection: close", 1)).await;
    assert!(reply.starts_with("HTTP/1.1 401"), "it was read, but is not signed: {reply}");
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_refused() {
    let store = Arc::new(MemoryStore::new());
    let limit = Duration::from_millis(50);
    let server = Server::start(receiver(&store), |webhook| webhook.body_timeout(limit)).await;
    let reply = server.raw("POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    assert!(reply.starts_with("HTTP/1.1 408") && reply.contains("connection: close"), "{reply}");
}

#[tokio::test]
async fn more_bytes_at_once_than_there_is_room_for_are_put_off() {
    let dispatcher = Held::default();
    let auth = Auth::signature([SECRET]).unwrap();
    let receiver = Receiver::builder("main", auth, dispatcher.clone()).build().unwrap();
    let server = Server::start(receiver, |webhook| webhook.max_body(1000).max_bytes_in_flight(1000)).await;
    let body = format!("{:<900}", event::participant_joined().text());
    assert_eq!(body.len(), 900, "the length of the event");
    let first = server.posting("/webhooks/jaas", signed(&body));
    dispatcher.arrived().await;
    let second = server.post("/webhooks/jaas", &signed(&body)).await;
    assert_eq!((second.status, second.header("retry-after")), (503, Some("1")));
    dispatcher.let_go();
    assert_eq!(first.await.unwrap().status, 200);
    // Its bytes are free again.
    dispatcher.let_go();
    assert_eq!(server.post("/webhooks/jaas", &signed(&body)).await.status, 200);
}

#[tokio::test]
async fn only_post_is_allowed() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook).await;
    let reply = server.raw("GET /webhooks/jaas HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 405") && reply.contains("allow: POST"), "{reply}");
}

#[tokio::test]
async fn settings_are_answered_as_json_on_both_paths() {
    let store = Arc::new(MemoryStore::new());
    let server = Server::start(receiver(&store), |webhook| webhook).await;
    let question = r#"{"eventType":"SETTINGS_PROVISIONING","fqn":"vpaas-magic-cookie-1/board"}"#;
    for path in ["/webhooks/jaas", "/webhooks/settings"] {
        let reply = server.post(path, &signed(question)).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(answer["maxOccupants"], 12);
    }
    assert_eq!(store.stats().await.unwrap(), Default::default(), "a question is not an event");
}

#[tokio::test]
async fn when_it_stops_what_runs_is_answered_and_what_comes_is_not_let_in() {
    let dispatcher = Held::default();
    let auth = Auth::signature([SECRET]).unwrap();
    let receiver = Receiver::builder("main", auth, dispatcher.clone()).build().unwrap();
    let mut server = Server::start(receiver, |webhook| webhook).await;
    let running = server.posting("/webhooks/jaas", signed(&event::participant_joined().text()));
    dispatcher.arrived().await;
    server.receiver.close();
    let late = server.post("/webhooks/jaas", &signed(&event::participant_joined().text())).await;
    assert_eq!((late.status, late.header("retry-after")), (503, Some("5")));
    server.stop();
    dispatcher.let_go();
    assert_eq!(running.await.unwrap().status, 200);
    timeout(SOON, server.ended()).await.expect("it ends in time");
    assert!(server.connect().await.is_err(), "the server no longer listens");
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_keep_it_from_stopping() {
    let dispatcher = Held::default();
    let auth = Auth::signature([SECRET]).unwrap();
    let receiver = Receiver::builder("main", auth, dispatcher.clone()).build().unwrap();
    let mut server = Server::start_with(receiver, Duration::ZERO, |webhook| webhook).await;
    let running = server.posting("/webhooks/jaas", signed(&event::participant_joined().text()));
    dispatcher.arrived().await;
    server.stop();
    timeout(SOON, server.ended()).await.expect("it ends in time");
    drop(running);
}
