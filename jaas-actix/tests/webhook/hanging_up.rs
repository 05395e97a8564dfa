//! Senders that go away at a bad moment.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;

use crate::support::{Server, event, head, signed, until};
use async_trait::async_trait;
use jaas_core::{DispatchError, Dispatcher, Disposition, Incoming};
use tokio::sync::Notify;

#[actix_web::test]
async fn a_sender_gone_in_the_middle_of_the_body_leaves_no_row_and_no_bytes_held() {
    let server = Server::start(|webhook| webhook).await;
    let request = signed(event("k", 1000));
    for reset in [false, true] {
        let mut client = server.client().await;
        client.send(&request[..request.len() - 1]).await;
        server.until_bytes_in_flight(999).await;
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        server.until_bytes_in_flight(0).await;
    }
    assert!(server.events().await.is_empty());
    server.stop().await;
}

#[actix_web::test]
async fn a_sender_gone_before_the_reply_does_not_undo_the_row() {
    let server = Server::start(|webhook| webhook).await;
    for n in 0..20 {
        server.client().await.send(signed(event(&format!("k{n}"), 1000))).await;
    }
    until(async || server.events().await.len() == 20).await;
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_sender_that_resets_while_the_event_is_dispatched_leaves_no_bytes_held() {
    struct NeverDone(Arc<Notify>);
    #[async_trait]
    impl Dispatcher for NeverDone {
        async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
            self.0.notify_one();
            pending().await
        }
    }
    let begun = Arc::new(Notify::new());
    let server = Server::over(NeverDone(begun.clone())).await;
    let mut client = server.client().await;
    client.send(signed(event("k", 1000))).await;
    begun.notified().await;
    assert_eq!(server.webhook.bytes_in_flight(), 1000);
    client.reset();
    server.until_bytes_in_flight(0).await;
    server.stop().await;
}

#[actix_web::test]
async fn a_dispatcher_that_panics_costs_its_connection_only() {
    struct Panicking;
    #[async_trait]
    impl Dispatcher for Panicking {
        async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
            // Unlike `panic!` this prints nothing.
            resume_unwind(Box::new("on purpose"))
        }
    }
    let server = Server::over(Panicking).await;
    for _ in 0..4 {
        let mut client = server.client().await;
        client.send(signed(event("k", 1000))).await;
        client.until_closed().await;
    }
    server.until_bytes_in_flight(0).await;
    assert_eq!(server.answer(head("Content-Length: 0\r\n\r\n")).await.status, 401);
    server.stop().await;
}
