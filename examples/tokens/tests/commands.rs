//! The handler gives commands to a server that stands in for JaaS.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use jaas_core::event::RoomCreated;
use jaas_core::{Delivery, Handled, HandlerResult, Retry, Timestamp};
use jaas_testkit::{ManualClock, event};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use tokens::{CommandErrorKind, Commands, Doorkeeper, SigningKey};

const APP: &str = "vpaas-magic-cookie-1fc542a3e4414a44b2611668195e2bfe";
const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);

fn keys() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys"))
}

/// What came: the claims of the token, and the body.
type Came = Arc<Mutex<Vec<(Value, Value)>>>;

/// Replies with this status; a token that the public key does not fit gets a 401.
struct Jaas {
    address: String,
    came: Came,
    status: Arc<Mutex<u16>>,
    server: actix_web::dev::ServerHandle,
}

impl Jaas {
    fn start() -> Self {
        let (came, status) = (Came::default(), Arc::new(Mutex::new(200)));
        let state = web::Data::new((came.clone(), status.clone()));
        let app = move || {
            let command = web::post().to(command);
            App::new().app_data(state.clone()).route("/v1/_jaas/conference-commands/v1/meeting", command)
        };
        let server = HttpServer::new(app).workers(1).bind("127.0.0.1:0").expect("bound");
        let address = format!("http://{}/v1/_jaas", server.addrs()[0]);
        let server = server.disable_signals().run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, came, status, server: handle }
    }

    fn replies(&self, status: u16) {
        *self.status.lock().expect("not poisoned") = status;
    }

    fn came(&self) -> Vec<(Value, Value)> {
        std::mem::take(&mut self.came.lock().expect("not poisoned"))
    }

    fn commands(&self) -> Commands {
        let key = SigningKey::read(keys().join("pkcs8.pem"), &format!("{APP}/4f4910")).expect("a key");
        Commands::new(key, ManualClock::at(NOW)).expect("a client").at(&self.address)
    }

    fn doorkeeper(&self) -> Doorkeeper<ManualClock> {
        Doorkeeper::new(self.commands(), ManualClock::at(NOW)).ban("u-banned").close("Old Room")
    }
}

async fn command(
    request: HttpRequest,
    body: web::Bytes,
    state: web::Data<(Came, Arc<Mutex<u16>>)>,
) -> HttpResponse {
    let header =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header("Authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&["jitsi"]);
    validation.set_issuer(&["chat"]);
    validation.validate_exp = false;
    let public = std::fs::read(keys().join("public.pem")).expect("read");
    let key = DecodingKey::from_rsa_pem(&public).expect("a public key");
    let Ok(token) = decode::<Value>(&token, &key, &validation) else {
        return HttpResponse::Unauthorized().finish();
    };
    assert_eq!(header("Content-Type"), "application/json");
    let body = serde_json::from_slice(&body).expect("JSON");
    state.0.lock().expect("not poisoned").push((token.claims, body));
    let status = *state.1.lock().expect("not poisoned");
    HttpResponse::build(StatusCode::from_u16(status).expect("a status")).finish()
}

fn joined(user: &str) -> Delivery {
    let event = event::participant_joined().of_app(APP).in_room("math").user(user).participant("3988218d");
    event.at(NOW).delivery()
}

fn opened(room: &str) -> Delivery {
    event::room_created()
        .with(|event: &mut RoomCreated| event.room = jaas_core::Room::Main)
        .of_app(APP)
        .in_room(room)
        .at(NOW)
        .delivery()
}

async fn handle(doorkeeper: &Doorkeeper<ManualClock>, delivery: &Delivery) -> HandlerResult {
    delivery.handle(doorkeeper, &mut ()).await
}

#[tokio::test]
async fn a_banned_user_is_kicked_with_an_admin_token_and_nobody_else() {
    let jaas = Jaas::start();
    let doorkeeper = jaas.doorkeeper();
    assert_eq!(handle(&doorkeeper, &joined("u-banned")).await, Ok(Handled::Done));
    let (claims, body) = jaas.came().pop().expect("a command");
    assert_eq!(
        (&claims["admin"], &claims["sub"], &claims["exp"]),
        (&json!(true), &json!(APP), &json!(1_795_420_860))
    );
    let conference = format!("math@conference.{APP}.8x8.vc");
    let expected = json!({"action": "KICK_PARTICIPANT",
        "payload": {"conferenceFullName": conference, "participantId": "3988218d"}});
    assert_eq!(body, expected);
    assert_eq!(handle(&doorkeeper, &joined("u-1")).await, Ok(Handled::ignored("not banned")));
    assert!(jaas.came().is_empty());
    jaas.server.stop(true).await;
}

#[tokio::test]
async fn a_meeting_in_a_closed_room_is_ended_however_the_room_is_spelled() {
    let jaas = Jaas::start();
    let doorkeeper = jaas.doorkeeper();
    assert_eq!(handle(&doorkeeper, &opened("old%20room")).await, Ok(Handled::Done));
    let (_, body) = jaas.came().pop().expect("a command");
    let conference = format!("old%20room@conference.{APP}.8x8.vc");
    assert_eq!(body, json!({"action": "DESTROY", "payload": {"conferenceFullName": conference}}));
    assert_eq!(handle(&doorkeeper, &opened("math")).await, Ok(Handled::ignored("not closed")));
    assert!(jaas.came().is_empty());
    jaas.server.stop(true).await;
}

#[tokio::test]
async fn an_old_event_and_one_of_another_tenant_give_no_command() {
    let jaas = Jaas::start();
    let late =
        Doorkeeper::new(jaas.commands(), ManualClock::at(NOW.saturating_add(Duration::from_secs(301))));
    let late = late.ban("u-banned").close("math");
    for event in [joined("u-banned"), opened("math")] {
        assert_eq!(handle(&late, &event).await, Ok(Handled::ignored("too old for a command")));
    }
    let foreign =
        event::participant_joined().of_app("vpaas-magic-cookie-2").user("u-banned").at(NOW).delivery();
    assert_eq!(
        handle(&jaas.doorkeeper(), &foreign).await,
        Ok(Handled::ignored("a meeting of another tenant"))
    );
    assert!(jaas.came().is_empty());
    jaas.server.stop(true).await;
}

#[tokio::test]
async fn what_jaas_replies_decides_whether_the_event_is_retried() {
    let jaas = Jaas::start();
    let doorkeeper = jaas.doorkeeper();
    jaas.replies(404);
    assert_eq!(handle(&doorkeeper, &joined("u-banned")).await, Ok(Handled::ignored("gone already")));
    for (status, retry) in [
        (500, Retry::Backoff),
        (503, Retry::Backoff),
        (429, Retry::Backoff),
        (401, Retry::Never),
        (403, Retry::Never),
        (302, Retry::Never),
    ] {
        jaas.replies(status);
        let error = handle(&doorkeeper, &joined("u-banned")).await.expect_err("not accepted");
        assert_eq!(error.when_to_retry(), retry, "{status}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
    jaas.server.stop(true).await;
    let error = handle(&doorkeeper, &joined("u-banned")).await.expect_err("JaaS is not there");
    assert_eq!(error.when_to_retry(), Retry::Backoff);
    assert!(!error.to_string().contains("http"), "{error}");
}

#[tokio::test]
async fn a_key_that_jaas_does_not_know_is_refused() {
    let jaas = Jaas::start();
    jaas.replies(401);
    let error = jaas.commands().destroy("math").await.expect_err("refused");
    assert_eq!(error.kind(), CommandErrorKind::Refused);
    assert!(error.to_string().contains("public key"), "{error}");
    jaas.server.stop(true).await;
}
