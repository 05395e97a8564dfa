//! Settings questions over HTTP.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{
    FailurePolicy, MeetingSettings, SettingsProvider, SettingsRequest, SettingsService,
};
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Inbox, Receiver, Timestamp};
use std::sync::Arc;

use crate::support::{self, PATH, Response, SECRET, Server, signature_header, signed};

const SETTINGS: &str = "/webhooks/settings";
const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

struct ByRoom;

#[async_trait]
impl SettingsProvider for ByRoom {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        match request.room() {
            "slow" => std::future::pending().await,
            "panics" => panic!("as asked for"),
            "open" => Ok(MeetingSettings::default()),
            _ => Ok(MeetingSettings::builder().lobby_enabled(true).passcode("0420").build()?),
        }
    }
}

fn receiver(policy: FailurePolicy) -> Arc<Receiver> {
    let service =
        SettingsService::builder(ByRoom, policy).timeout(Duration::from_millis(200)).build().unwrap();
    let inbox = Inbox::new(Arc::new(MemoryStore::new()));
    let receiver = Receiver::builder("main", Auth::signature([SECRET]).unwrap(), inbox).clock(|| NOW);
    Arc::new(receiver.settings(service).build().unwrap())
}

fn question(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\n{}Content-Length: {}\r\n\r\n{body}",
        signature_header(body),
        body.len()
    )
}

fn is_json(response: &Response) -> bool {
    response.header("content-type") == Some("application/json")
        && response.header("cache-control") == Some("no-store")
}

#[actix_web::test]
async fn a_question_is_answered_as_json_on_both_paths() {
    let server =
        Server::of(receiver(FailurePolicy::fail_closed()), |webhook| webhook.settings_at(SETTINGS)).await;
    for (path, body) in [
        (PATH, r#"{"fqn":"app/math"}"#),
        (SETTINGS, r#"{"fqn":"app/math"}"#),
        (PATH, r#"{"eventType":"SETTINGS_PROVISIONING","fqn":"app/math"}"#),
    ] {
        let response = server.answer(question(path, body)).await;
        assert_eq!((response.status, is_json(&response)), (200, true), "{path} {body}: {response:?}");
        assert_eq!(response.body, br#"{"lobbyEnabled":true,"passcode":"0420"}"#);
    }
    let open = server.answer(question(PATH, r#"{"fqn":"app/open"}"#)).await;
    assert_eq!((open.status, &*open.body, is_json(&open)), (200, &b"{}"[..], true));
    let event = server.answer(signed(support::event("k", 200))).await;
    assert_eq!((event.status, event.header("content-type"), event.body.len()), (200, None, 0));
    let event = question(SETTINGS, &support::event("k", 200));
    assert_eq!(server.answer(event).await.body.len(), 0, "an event is one on either path");
    server.stop().await;
}

#[actix_web::test]
async fn when_a_provider_hangs_or_panics_the_policy_answers_within_the_timeout() {
    let server = Server::of(receiver(FailurePolicy::refuse("Try again")), |webhook| webhook).await;
    for room in ["slow", "panics"] {
        let asked = Instant::now();
        let response = server.answer(question(PATH, &format!(r#"{{"fqn":"app/{room}"}}"#))).await;
        assert_eq!((response.status, is_json(&response)), (400, true));
        let body = String::from_utf8(response.body).unwrap();
        assert!(
            body.contains(r#""messageKey":"settings.provisioning.exception""#) && body.contains("Try again")
        );
        // The timeout of JaaS, not ours: this only shows that it does not hang.
        assert!(asked.elapsed() < Duration::from_secs(3));
    }
    server.stop().await;
}

#[actix_web::test]
async fn an_unauthentic_request_or_another_method_is_refused_as_everywhere() {
    let server =
        Server::of(receiver(FailurePolicy::fail_closed()), |webhook| webhook.settings_at(SETTINGS)).await;
    let body = r#"{"fqn":"app/math"}"#;
    for path in [PATH, SETTINGS] {
        let forged =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let response = server.answer(forged).await;
        assert_eq!((response.status, response.body.len()), (401, 0));
        let got = server.answer(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await;
        assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    }
    let without = Server::of(receiver(FailurePolicy::fail_closed()), |webhook| webhook).await;
    assert_eq!(without.answer(question(SETTINGS, body)).await.status, 404, "unless it is mounted");
    without.stop().await;
    server.stop().await;
}
