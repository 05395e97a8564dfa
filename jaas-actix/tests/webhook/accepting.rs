//! Genuine deliveries get 200 and are kept, whatever their content.

use crate::support::{Server, chunk, event, head, signature_header, signed, signed_with};
use futures_util::future::join_all;

#[actix_web::test]
async fn a_genuine_event_is_stored_byte_for_byte() {
    let server = Server::start(|webhook| webhook).await;
    // White space, escapes and key order that would not survive being parsed and written again.
    let body = "{ \"eventType\":\t\"ROOM_CREATED\",\r\n\"data\": {\"b\":1.0,\"a\":\"\\u00e9é\"}, \"idempotencyKey\":\"k\" }\n";
    let response = server.answer(signed(body)).await;
    assert_eq!((response.status, &*response.body), (200, &b""[..]));
    let events = server.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].body, body.as_bytes());
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_signature_in_two_header_lines_is_accepted() {
    let server = Server::start(|webhook| webhook).await;
    let bad = "v1=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (key, status) in [("split", 200), ("second", 200), ("wrong", 401)] {
        let body = event(key, 200);
        let header = signature_header(&body);
        let whole = header.trim_end().trim_start_matches("X-Jaas-Signature: ");
        let (t, v1) = whole.split_once(',').unwrap();
        let (first, second) = match key {
            "split" => (t.to_owned(), v1.to_owned()),
            "second" => (format!("{t},{bad}"), whole.to_owned()),
            _ => (t.to_owned(), bad.to_owned()),
        };
        let length = body.len();
        let lines = format!(
            "X-Jaas-Signature: {first}\r\nx-jaas-signature: {second}\r\nContent-Length: {length}\r\n\r\n"
        );
        let request = [head(&lines).as_bytes(), body.as_bytes()].concat();
        assert_eq!(server.answer(request).await.status, status, "{key}");
    }
    assert_eq!(server.events().await.len(), 2);
    server.stop().await;
}

#[actix_web::test]
async fn a_connection_carries_one_delivery_after_another_and_a_duplicate_gets_200() {
    let server = Server::start(|webhook| webhook).await;
    let mut client = server.client().await;
    for key in ["one", "one", "two"] {
        client.send(signed(event(key, 200))).await;
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(server.events().await.len(), 2);
    server.stop().await;
}

#[actix_web::test]
async fn simultaneous_copies_are_one_row() {
    let server = Server::start(|webhook| webhook).await;
    let request = signed(event("k", 5000));
    let (last, most) = request.split_last().unwrap();
    let mut clients = join_all((0..64).map(|_| server.client())).await;
    join_all(clients.iter_mut().map(|client| client.send(most))).await;
    join_all(clients.iter_mut().map(|client| client.send([*last]))).await;
    for response in join_all(clients.iter_mut().map(|client| client.response())).await {
        assert_eq!(response.status, 200);
    }
    assert_eq!(server.events().await.len(), 1);
    server.stop().await;
}

#[actix_web::test]
async fn a_body_in_many_chunks_is_put_together_as_it_was_signed() {
    let server = Server::start(|webhook| webhook).await;
    let body = event("k", 300_000);
    let headers = format!("{}Transfer-Encoding: chunked\r\n\r\n", signature_header(&body));
    let mut client = server.client().await;
    client.send(head(&headers)).await;
    for piece in body.as_bytes().chunks(7001) {
        client.send(chunk(std::str::from_utf8(piece).unwrap())).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(server.events().await[0].body, body.as_bytes());
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

#[actix_web::test]
async fn json_nested_a_hundred_thousand_deep_is_kept_and_the_server_survives() {
    let server = Server::start(|webhook| webhook).await;
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    for body in [
        format!(r#"{{"idempotencyKey":"deep","eventType":"ROOM_CREATED","data":{open}{close}}}"#),
        format!(r#"{{"idempotencyKey":"open","eventType":"ROOM_CREATED","data":{open}"#),
        open.clone(),
    ] {
        assert_eq!(server.answer(signed(body)).await.status, 200);
    }
    assert_eq!(server.answer(signed(event("after", 200))).await.status, 200);
    assert_eq!(server.events().await.len() + server.quarantined().await.len(), 4);
    server.stop().await;
}

#[actix_web::test]
async fn genuine_bytes_that_are_not_json_get_200_and_go_to_quarantine() {
    let server = Server::start(|webhook| webhook).await;
    let body = b"\xff\xfe no json \0";
    assert_eq!(server.answer(signed(body)).await.status, 200);
    assert_eq!(server.quarantined().await[0].body, &body[..]);
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn a_compressed_body_is_verified_and_kept_unchanged() {
    let server = Server::start(|webhook| webhook).await;
    // gzip of {"idempotencyKey":"zipped","eventType":"ROOM_CREATED"}
    let body: [u8; 73] = [
        31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 202, 76, 73, 205, 45, 200, 47, 73, 205, 75, 174, 244, 78,
        173, 84, 178, 82, 170, 202, 44, 40, 72, 77, 81, 210, 81, 74, 45, 75, 205, 43, 9, 169, 44, 72, 5, 10,
        6, 249, 251, 251, 198, 59, 7, 185, 58, 134, 184, 186, 40, 213, 2, 0, 172, 208, 6, 99, 54, 0, 0, 0,
    ];
    let response = server.answer(signed_with("Content-Encoding: gzip\r\n", body)).await;
    assert_eq!(response.status, 200);
    assert_eq!(server.quarantined().await[0].body, &body[..]);
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn the_trace_context_in_the_headers_is_kept_with_the_event() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let server = Server::start(|webhook| webhook).await;
    for (key, headers, trace) in [
        ("both", format!("TraceParent: {PARENT}\r\ntracestate: a=1\r\n"), Some(format!("{PARENT} a=1"))),
        (
            "two states",
            format!("traceparent: {PARENT}\r\ntracestate: a=1\r\ntracestate: b=2\r\n"),
            Some(format!("{PARENT} a=1,b=2")),
        ),
        ("malformed", "traceparent: 00-zz\r\n".to_owned(), None),
        ("none", String::new(), None),
    ] {
        let response = server.answer(signed_with(&headers, event(key, 200))).await;
        assert_eq!(response.status, 200, "{key}");
        let events = server.events().await;
        let kept = events.last().and_then(|event| event.trace.as_ref());
        assert_eq!(kept.map(ToString::to_string), trace, "{key}");
    }
    server.stop().await;
}
