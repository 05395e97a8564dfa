//! `jaas settings`.

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService};

use crate::server::{Server, nowhere};
use crate::support::jaas;

const FQN: &str = "vpaas-magic-cookie-1/math";

/// A server that returns this after a while, for any request.
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
        let output = jaas(&args).await.exits(0).json();
        assert_eq!((output["valid"].as_bool(), output["withinBudget"].as_bool()), (Some(true), Some(true)));
        assert_eq!(
            (&output["answer"]["lobbyEnabled"], &output["answer"]["passcode"]),
            (&true.into(), &"…".into())
        );
    }
    let ran = jaas(&["settings", "--url", &server.url, "--fqn", FQN]).await.exits(0);
    assert!(ran.stdout.contains("valid\nstatus 200 in ") && !ran.stdout.contains("918273"), "{}", ran.stdout);
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
        (200, "hello", "not a JSON object"),
        (503, "{}", "the status is 503"),
    ] {
        let url = answering(status, body, Duration::ZERO);
        let output = jaas(&["--json", "settings", "--url", &url, "--fqn", FQN]).await.exits(1).json();
        assert_eq!(output["valid"], false);
        assert!(output["problem"].as_str().expect("a text").contains(why), "{output}");
        assert!(!output.to_string().contains("12ab"), "{output}");
    }
    let ran =
        jaas(&["settings", "--url", &answering(200, "{}", Duration::ZERO), "--fqn", FQN]).await.exits(0);
    assert!(ran.stdout.contains("nothing is set, so the room opens to everyone"), "{}", ran.stdout);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_fails() {
    let url = answering(200, "{}", Duration::from_millis(600));
    let args = ["settings", "--url", &url, "--fqn", FQN];
    let ran = jaas(&[&args[..], &["--budget", "500ms"]].concat()).await.exits(1);
    assert!(ran.stdout.contains("longer than the timeout of 500ms"), "{}", ran.stdout);
    let ran = jaas(&[&args[..], &["--budget", "1s"]].concat()).await.exits(0);
    assert!(ran.stdout.contains("more than half of the timeout of 1s"), "{}", ran.stdout);
    let ran = jaas(&[&args[..], &["--timeout", "100ms"]].concat()).await.exits(3);
    assert!(ran.stderr.contains("no answer within 100ms"), "{}", ran.stderr);
    jaas(&["settings", "--url", &nowhere(), "--fqn", FQN]).await.exits(3);
}
