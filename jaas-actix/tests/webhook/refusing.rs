//! Refused requests and their status; a refusal costs neither memory nor further reading.

use std::time::{Duration, Instant};

use crate::support::{PATH, Server, chunk, event, head, signature_header, signed, signed_with};
use async_trait::async_trait;
use jaas_actix::Webhook;
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, DispatchError, DispatchErrorKind, Dispatcher, Disposition, Inbox, Incoming, Receiver};

const LIMIT: usize = 64 * 1024;

#[actix_web::test]
async fn a_forged_signature_gets_401_with_an_empty_body_and_stores_nothing() {
    let server = Server::start(|webhook| webhook).await;
    let (genuine, forged) = (event("a", 200), event("b", 200));
    let headers = format!("{}Content-Length: {}\r\n\r\n", signature_header(genuine), forged.len());
    let response = server.answer(head(&headers) + &forged).await;
    assert_eq!((response.status, &*response.body), (401, &b""[..]));
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn a_request_without_a_signature_gets_401() {
    let server = Server::start(|webhook| webhook).await;
    for request in [head("Content-Length: 2\r\n\r\n{}"), head("\r\n")] {
        let response = server.answer(request).await;
        assert_eq!((response.status, &*response.body), (401, &b""[..]));
    }
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn methods_other_than_post_get_405_with_allow() {
    let server = Server::start(|webhook| webhook).await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let response = server
            .answer(format!("{method} {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n"))
            .await;
        assert_eq!((response.status, response.header("allow")), (405, Some("POST")), "{method}");
    }
    server.stop().await;
}

#[actix_web::test]
async fn another_method_with_an_endless_body_is_disconnected() {
    let server = Server::start(|webhook| webhook).await;
    let mut client = server.client().await;
    client
        .send(format!(
            "PUT {PATH} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            chunk("x")
        ))
        .await;
    assert_eq!(client.response().await.status, 405);
    client.send_until_cut_off(chunk(&"x".repeat(4096)).as_bytes()).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_body_exactly_at_the_limit_is_accepted_and_one_byte_more_gets_413() {
    let server = Server::start(|webhook| webhook.max_body(LIMIT)).await;
    let chunked = |body: &str| {
        head(&format!("{}Transfer-Encoding: chunked\r\n\r\n", signature_header(body)))
            + &chunk(&body[..100])
            + &chunk(&body[100..])
            + "0\r\n\r\n"
    };
    assert_eq!(server.answer(signed(event("a", LIMIT))).await.status, 200);
    assert_eq!(server.answer(chunked(&event("b", LIMIT))).await.status, 200);
    assert_eq!(server.answer(signed(event("c", LIMIT + 1))).await.status, 413);
    assert_eq!(server.answer(chunked(&event("d", LIMIT + 1))).await.status, 413);
    assert_eq!(server.events().await.len(), 2);
    server.stop().await;
}

#[actix_web::test]
async fn ten_gigabytes_declared_get_413_immediately_and_are_disconnected() {
    let server = Server::start(|webhook| webhook).await;
    for length in ["10000000000", "18446744073709551615"] {
        let mut client = server.client().await;
        client.send(head(&format!("Content-Length: {length}\r\n\r\n"))).await;
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (413, Some("close")));
        assert_eq!(server.webhook.bytes_in_flight(), 0);
        client.send_until_cut_off(&[b'x'; 4096]).await;
    }
    server.stop().await;
}

#[actix_web::test]
async fn an_endless_chunked_body_gets_413_at_the_limit_and_is_disconnected() {
    let server = Server::start(|webhook| webhook.max_body(LIMIT)).await;
    let mut client = server.client().await;
    client.send(head("Transfer-Encoding: chunked\r\n\r\n")).await;
    let piece = chunk(&"x".repeat(LIMIT / 4));
    for _ in 0..5 {
        client.send(&piece).await;
    }
    let response = client.response().await;
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    server.until_bytes_in_flight(0).await;
    client.send_until_cut_off(piece.as_bytes()).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_body_that_trickles_gets_408_at_the_timeout_and_is_disconnected() {
    let server = Server::start(|webhook| webhook.body_timeout(Duration::from_millis(300))).await;
    for framing in ["Content-Length: 100\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"] {
        let byte = if framing.starts_with('T') { chunk("x") } else { "x".to_owned() };
        let mut client = server.client().await;
        let start = Instant::now();
        client.send(head(framing)).await;
        while !client.hears_within(Duration::from_millis(50)).await {
            client.send(&byte).await;
        }
        assert!(start.elapsed() >= Duration::from_millis(300));
        let response = client.response().await;
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        client.send_until_cut_off(byte.as_bytes()).await;
        server.until_bytes_in_flight(0).await;
    }
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn a_malformed_chunk_gets_400() {
    let server = Server::start(|webhook| webhook).await;
    let response = server.answer(head("Transfer-Encoding: chunked\r\n\r\nzz\r\n")).await;
    assert_eq!(response.status, 400);
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_request_beyond_the_bytes_in_flight_gets_503_until_there_is_room() {
    let server = Server::start(|webhook| webhook.max_body(1000).max_bytes_in_flight(1500)).await;
    let held = signed(event("held", 1000));
    let mut holder = server.client().await;
    holder.send(&held[..held.len() - 1]).await;
    server.until_bytes_in_flight(999).await;

    let too_much = signed(event("next", 502));
    let response = server.answer(&too_much).await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    let chunked = head("Transfer-Encoding: chunked\r\n\r\n") + &chunk(&"x".repeat(502));
    assert_eq!(server.answer(chunked).await.status, 503);
    assert_eq!(server.answer(signed(event("small", 500))).await.status, 200);

    holder.send(&held[held.len() - 1..]).await;
    assert_eq!(holder.response().await.status, 200);
    server.until_bytes_in_flight(0).await;
    assert_eq!(server.answer(&too_much).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn declaring_bytes_without_sending_them_takes_no_room() {
    let server = Server::start(|webhook| webhook.max_body(1000).max_bytes_in_flight(1000)).await;
    let mut idle = Vec::new();
    for _ in 0..10 {
        let mut client = server.client().await;
        client.send(head("Content-Length: 1000\r\n\r\n")).await;
        idle.push(client);
    }
    assert_eq!(server.answer(signed(event("k", 1000))).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn one_body_of_the_largest_size_is_admitted_however_small_the_room() {
    let server = Server::start(|webhook| webhook.max_body(1000).max_bytes_in_flight(1)).await;
    assert_eq!(server.answer(signed(event("k", 1000))).await.status, 200);
    server.stop().await;
}

#[actix_web::test]
async fn a_closed_receiver_gets_503() {
    let server = Server::start(|webhook| webhook).await;
    server.receiver.close();
    let response = server.answer(signed(event("k", 200))).await;
    assert_eq!(response.status, 503);
    assert!(response.header("retry-after").is_some());
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn a_failing_dispatcher_gives_503_with_the_delay_it_asks_for() {
    struct Failing;
    #[async_trait]
    impl Dispatcher for Failing {
        async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
            Err(DispatchError::new(
                DispatchErrorKind::Unavailable,
                "the disk is full",
                Duration::from_secs(17),
            ))
        }
    }
    let server = Server::over(Failing).await;
    let response = server.answer(signed(event("k", 200))).await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("17")));
    assert!(response.body.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn the_debug_output_of_a_webhook_shows_no_secret() {
    let auth = Auth::signature_and_authorization(["whsec_Pl4nted"], ["Bearer Pl4nted"]).unwrap();
    let receiver = Receiver::builder("main", auth, Inbox::new(MemoryStore::new())).build().unwrap();
    let webhook = Webhook::new(receiver);
    let shown = format!("{webhook:?} {webhook:#?}");
    assert!(shown.contains("main") && !shown.contains("Pl4nted"), "{shown}");
}

/// Scanners, and proxies that forward WebSocket, ask for it in any request. Actix then ends the body with the
/// connection; the webhook must not wait for that.
#[actix_web::test]
async fn a_post_that_asks_for_websocket_is_a_post_and_gets_a_response_without_waiting() {
    let server = Server::start(|webhook| webhook.max_body(LIMIT).body_timeout(Duration::from_secs(60))).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for (name, request, status) in [
        ("a genuine event", signed_with(upgrade, event("k", 5000)), 200),
        (
            "more behind it",
            [signed_with(upgrade, event("more", 500)), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat(),
            200,
        ),
        ("nothing", head(&format!("{upgrade}\r\n")).into_bytes(), 401),
        ("an empty body", head(&format!("{upgrade}Content-Length: 0\r\n\r\n")).into_bytes(), 401),
        ("no signature", head(&format!("{upgrade}Content-Length: 2\r\n\r\n{{}}")).into_bytes(), 401),
        ("too large", head(&format!("{upgrade}Content-Length: {}\r\n\r\n", LIMIT + 1)).into_bytes(), 413),
        ("another method", format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n").into_bytes(), 405),
    ] {
        let mut client = server.client().await;
        client.send(request).await;
        let response = client.response().await;
        assert_eq!(response.status, status, "{name}");
        assert_eq!(response.header("connection"), Some("close"), "{name}");
        client.send_until_cut_off(b"something else").await;
    }
    let body = event("chunked", 500);
    let headers = format!("{upgrade}{}Transfer-Encoding: chunked\r\n\r\n", signature_header(&body));
    assert_eq!(server.answer(head(&headers) + &chunk(&body) + "0\r\n\r\n").await.status, 200);
    assert_eq!(server.events().await.len(), 3);
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

/// The 100 comes from actix: it is sent before a handler runs. Nothing of the body is read after it.
#[actix_web::test]
async fn a_body_that_is_too_large_and_waits_for_the_100_gets_413_immediately() {
    let server = Server::start(|webhook| webhook.max_body(LIMIT)).await;
    let mut client = server.client().await;
    client.send(head(&format!("Expect: 100-continue\r\nContent-Length: {}\r\n\r\n", LIMIT + 1))).await;
    assert_eq!(client.response().await.status, 100);
    assert_eq!(client.response().await.status, 413);
    client.send_until_cut_off(&[b'x'; 4096]).await;
    server.stop().await;
}
