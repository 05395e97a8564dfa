//! `jaas settings`.

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService};

use crate::server::{Server, nowhere};
use crate::support::jaas;

const FQN: &str = "vpaas-magic-cookie-1/math";

/// A server that answers this after a while, whatever it is asked.
fn answering(status: u16, body: &'static str, after: Duration) -> String {
    let server = HttpServer::new(move || {
        App::new().default_service(web::to(move || async move {
            actix_web::rt::time::sleep(after).await;
            let status = actix_web::http::StatusCode::from_u16(status).expect("a status");
            HttpResponse::build(status).content_type("application/json").body(body)
        }))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).expect("bound");
    let url = format!("http://{}/settings", server.addrs()[0]);
    tokio::spawn(server.run());
    url
}

#[tokio::test]
async fn a_service_answers_validly_and_in_time() {
    let settings =
        MeetingSettings::builder().lobby_enabled(true).passcode("918273").build().expect("allowed");
    let service =
        SettingsService::builder(Fixed::new(settings), FailurePolicy::fail_closed()).build().expect("good");
    let server = Server::answering(service).await;
    for extra in [&[][..], &["--with-type"]] {
        let args = [&["--json", "settings", "--url", &server.url, "--fqn", FQN], extra].concat();
        let told = jaas(&args).await.exits(0).json();
        assert_eq!((told["valid"].as_bool(), told["withinBudget"].as_bool()), (Some(true), Some(true)));
        assert_eq!(
            (&told["answer"]["lobbyEnabled"], &told["answer"]["passcode"]),
            (&true.into(), &"…".into())
        );
    }
    let ran = jaas(&["settings", "--url", &server.url, "--fqn", FQN]).await.exits(0);
    assert!(
        ran.stdout.contains("valid\nanswered 200 in ") && !ran.stdout.contains("918273"),
        "{}",
        ran.stdout
    );
    let ran = jaas(&["settings", "--url", &server.url, "--fqn", FQN, "--show-secrets"]).await.exits(0);
    assert!(ran.stdout.contains("918273"), "{}", ran.stdout);
    let ran = jaas(&["settings", "--url", &server.url, "--fqn", FQN, "--unsigned"]).await.exits(1);
    assert!(ran.stderr.contains("secret of that endpoint"), "{}", ran.stderr);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_jaas_would_misread_is_named() {
    for (status, body, why) in [
        (200, r#"{"passcode":"12ab"}"#, "passcode is not a string of digits"),
        (200, "hello", "no JSON object"),
        (503, "{}", "the status is 503"),
    ] {
        let url = answering(status, body, Duration::ZERO);
        let told = jaas(&["--json", "settings", "--url", &url, "--fqn", FQN]).await.exits(1).json();
        assert_eq!(told["valid"], false);
        assert!(told["problem"].as_str().expect("a text").contains(why), "{told}");
        assert!(!told.to_string().contains("12ab"), "{told}");
    }
    let ran =
        jaas(&["settings", "--url", &answering(200, "{}", Duration::ZERO), "--fqn", FQN]).await.exits(0);
    assert!(ran.stdout.contains("nothing is set, so the room opens to everyone"), "{}", ran.stdout);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_as_good_as_none() {
    let url = answering(200, "{}", Duration::from_millis(600));
    let args = ["settings", "--url", &url, "--fqn", FQN];
    let ran = jaas(&[&args[..], &["--budget", "500ms"]].concat()).await.exits(1);
    assert!(ran.stdout.contains("longer than the 500ms there are"), "{}", ran.stdout);
    let ran = jaas(&[&args[..], &["--budget", "1s"]].concat()).await.exits(0);
    assert!(ran.stdout.contains("more than half of the 1s there are"), "{}", ran.stdout);
    let ran = jaas(&[&args[..], &["--timeout", "100ms"]].concat()).await.exits(3);
    assert!(ran.stderr.contains("no answer came within 100ms"), "{}", ran.stderr);
    jaas(&["settings", "--url", &nowhere(), "--fqn", FQN]).await.exits(3);
}
