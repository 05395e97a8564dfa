//! A webhook that is built inside the closure of `HttpServer::new`, once for each worker thread.
#![allow(clippy::expect_used, clippy::unwrap_used)]

#[path = "../../jaas-core/tests/support/lines.rs"]
mod lines;

use std::sync::Arc;

use actix_web::App;
use actix_web::test::init_service;
use jaas_actix::Webhook;
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Inbox, Receiver};
use lines::Lines;

fn receiver(endpoint: &str) -> Arc<Receiver> {
    let auth = Auth::signature(["whsec_9635df66714a4cf088ee9d0979dd3bf6"]).unwrap();
    let inbox = Inbox::new(Arc::new(MemoryStore::new()));
    Arc::new(Receiver::builder(endpoint, auth, inbox).build().unwrap())
}

#[actix_web::test]
async fn a_second_webhook_of_an_endpoint_and_path_is_logged_once_and_a_clone_is_not() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let warned =
        || lines.of("jaas::http").iter().filter(|line| line.contains("a second Webhook is mounted")).count();
    let main = receiver("main");

    let once = Webhook::new(main.clone());
    let clones = [once.clone(), once.clone(), once];
    let mut served = Vec::new();
    for webhook in &clones {
        served.push(init_service(App::new().configure(webhook.config())).await);
    }
    assert_eq!(warned(), 0, "one webhook for all worker threads");

    served.push(init_service(App::new().configure(Webhook::new(receiver("other")).config())).await);
    served
        .push(init_service(App::new().configure(Webhook::new(main.clone()).at("/elsewhere").config())).await);
    assert_eq!(warned(), 0, "another endpoint, and another path");
    drop((served, clones));

    let mut served = Vec::new();
    for _ in 0..4 {
        // As the closure would.
        served.push(init_service(App::new().configure(Webhook::new(main.clone()).config())).await);
        assert_eq!(warned(), usize::from(served.len() > 1));
    }
    let line = lines.of("jaas::http").remove(0);
    assert!(line.starts_with("WARN") && line.contains("outside the closure of HttpServer::new"), "{line}");
    drop(served);

    let _again = init_service(App::new().configure(Webhook::new(main).config())).await;
    assert_eq!(warned(), 1, "the earlier ones were dropped");
}
