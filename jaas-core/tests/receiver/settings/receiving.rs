//! Questions among the requests of a receiver.

use std::sync::Arc;

use bytes::Bytes;
use jaas_core::event::EventKind;
use jaas_core::settings::{FailurePolicy, SettingsService};
use jaas_core::store::{EventAdmin as _, EventQuery, MemoryStore, PageRequest};
use jaas_core::{Auth, Credentials, Disposition, Inbox, Receiver, ReceiverBuilder, Reply, Timestamp};
use jaas_testkit::settings::{Script, ScriptedProvider, SettingsQuestion, assert_valid_for_jaas};
use jaas_testkit::{Signer, event, fixture};

use super::{builder, protected, service};

const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
const SECRET: &str = "whsec_00000000000000000000000000000000";
const VALUE: &str = "Bearer 1234";

struct World {
    store: Arc<MemoryStore>,
    provider: ScriptedProvider,
    receiver: Receiver,
}

impl World {
    fn new(configure: impl FnOnce(ReceiverBuilder, &ScriptedProvider) -> ReceiverBuilder) -> Self {
        let store = Arc::new(MemoryStore::new());
        let provider = ScriptedProvider::of([Script::Answer(protected())]);
        let auth = Auth::signature([SECRET]).expect("a good secret");
        let receiver = Receiver::builder("main", auth, Inbox::new(store.clone())).clock(|| NOW);
        let receiver = configure(receiver, &provider).build().expect("a good configuration");
        Self { store, provider, receiver }
    }

    fn with_service() -> Self {
        Self::new(|receiver, provider| receiver.settings(service(provider)))
    }

    async fn send(&self, body: impl Into<Bytes>) -> Reply {
        let request = Signer::new(SECRET).expect("good").sign(NOW, body);
        self.receiver.receive(request.credentials(), request.body.clone()).await
    }

    async fn send_to_settings(&self, body: impl Into<Bytes>) -> Reply {
        let request = Signer::new(SECRET).expect("good").sign(NOW, body);
        self.receiver.receive_settings(request.credentials(), request.body.clone()).await
    }

    async fn kept(&self) -> (usize, usize) {
        let events = self.store.events(&EventQuery::default()).await.expect("listed").items.len();
        let quarantined = self.store.quarantined(PageRequest::first()).await.expect("listed").items.len();
        (events, quarantined)
    }
}

fn question() -> String {
    SettingsQuestion::about("app/math").body()
}

fn given() -> Reply {
    Reply::Settings(protected().to_answer().into())
}

#[tokio::test]
async fn a_question_is_answered_on_both_paths_with_and_without_its_type() {
    let world = World::with_service();
    let typed = SettingsQuestion::about("app/math").with_event_type();
    let with_key =
        typed.clone().with("idempotencyKey", "k-1").with("timestamp", 1).with("data", serde_json::json!({}));
    let odd = SettingsQuestion::about("app/math").with("eventType", serde_json::Value::Null);
    let bodies = [
        question(),
        typed.body(),
        with_key.body(),
        typed.with("idempotencyKey", "k".repeat(300)).body(),
        odd.clone().body(),
        odd.with("idempotencyKey", serde_json::Value::Null).body(),
        SettingsQuestion::about("room").with("x", 1).body(),
    ];
    for body in &bodies {
        assert_eq!(world.send(body.clone()).await, given(), "{body}");
        assert_eq!(world.send_to_settings(body.clone()).await, given(), "{body}");
    }
    assert_eq!((world.provider.calls(), world.kept().await), (14, (0, 0)));
    let asked = &world.provider.asked()[0];
    assert_eq!((&*asked.endpoint, asked.received_at, asked.body()), ("main", NOW, &Bytes::from(question())));
}

#[tokio::test]
async fn an_event_is_an_event_on_both_paths() {
    let world = World::with_service();
    for (place, fixture) in fixture::EVENTS.iter().chain(fixture::CASES).enumerate() {
        let body = fixture::with_key(fixture.body, &format!("k-{place}")).expect("a key");
        let reply = if place % 2 == 0 { world.send(body).await } else { world.send_to_settings(body).await };
        assert_eq!(reply, Reply::Received(Disposition::Stored), "{}", fixture.name);
    }
    assert_eq!(world.provider.calls(), 0);
}

#[tokio::test]
async fn a_body_that_is_neither_is_quarantined_among_events_and_answered_by_the_policy_on_the_settings_path()
{
    let world = World::with_service();
    for (name, body) in fixture::UNREADABLE {
        let reply = world.send(Bytes::from_static(body)).await;
        assert_eq!(reply, Reply::Received(Disposition::Quarantined), "{name}");
        let reply = world.send_to_settings(Bytes::from_static(body)).await;
        assert_eq!(assert_valid_for_jaas(&reply)["maxOccupants"], 77, "{name}");
    }
    // A question among events that does not name a meeting is still a question.
    let reply = world.send(r#"{"eventType":"SETTINGS_PROVISIONING"}"#).await;
    assert_eq!(assert_valid_for_jaas(&reply)["maxOccupants"], 77);
    assert_eq!((world.provider.calls(), world.kept().await), (0, (0, fixture::UNREADABLE.len())));
}

#[tokio::test]
async fn without_a_service_a_question_is_kept_like_any_body_that_is_not_an_event() {
    let world = World::new(|receiver, _| receiver);
    assert_eq!(world.send(question()).await, Reply::Received(Disposition::Quarantined));
    let typed = SettingsQuestion::about("app/math").with_event_type();
    assert_eq!(world.send_to_settings(typed.body()).await, Reply::Received(Disposition::Quarantined));
    let with_key = typed.with("idempotencyKey", "k-1").body();
    assert_eq!(world.send(with_key).await, Reply::Received(Disposition::Stored));
    assert_eq!(world.kept().await, (1, 2));
}

#[tokio::test]
async fn g6_an_unauthentic_question_reaches_neither_the_provider_nor_the_store() {
    let own = Auth::signature_or_authorization([SECRET], [VALUE]).expect("good");
    for world in [
        World::with_service(),
        World::new(|receiver, provider| {
            receiver.settings(builder(provider).auth(own).build().expect("good"))
        }),
        World::new(|receiver, _| receiver),
    ] {
        let forged = Signer::new("whsec_ffffffff").expect("good").sign(NOW, question());
        for (signature, authorization) in [
            (None, None),
            (Some(&*forged.signature), None),
            (None, Some("Bearer")),
            (Some("t=1,v1=AAAA"), Some("")),
        ] {
            let credentials = Credentials { signature, authorization };
            for body in [question(), "{}".to_owned(), "x".repeat(100_000)] {
                let reply = world.receiver.receive(credentials, body.clone().into()).await;
                assert_eq!(reply, Reply::Unauthorized);
                let reply = world.receiver.receive_settings(credentials, body.into()).await;
                assert_eq!((reply.json(), reply.status()), (None, 401));
            }
        }
        assert_eq!((world.provider.calls(), world.kept().await), (0, (0, 0)));
    }
}

#[tokio::test]
async fn the_service_may_require_other_credentials_than_events() {
    let value = Auth::authorization([VALUE]).expect("good");
    let world = World::new(|receiver, provider| {
        receiver.settings(builder(provider).auth(value).build().expect("good"))
    });
    let with_value = Credentials { signature: None, authorization: Some(VALUE) };
    assert_eq!(world.receiver.receive(with_value, question().into()).await, given());
    assert_eq!(world.receiver.receive_settings(with_value, question().into()).await, given());
    let event = fixture::of(EventKind::RoomCreated).body;
    assert_eq!(
        world.receiver.receive(with_value, event.into()).await,
        Reply::Unauthorized,
        "an event needs its signature"
    );
    assert_eq!(world.receiver.receive_settings(with_value, event.into()).await, Reply::Unauthorized);
    assert_eq!(world.kept().await, (0, 0));
    assert_eq!(world.send(question()).await, Reply::Unauthorized, "a question needs the value");
    assert_eq!(world.send(event).await, Reply::Received(Disposition::Stored));
    assert_eq!(world.provider.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_wait_for_no_event_and_never_get_503() {
    let world = World::with_service();
    world.receiver.close();
    assert_eq!(world.send(fixture::of(EventKind::RoomCreated).body).await.status(), 503);
    assert_eq!(world.send(question()).await, given(), "a question does not come back after a restart");
    assert_eq!(World::new(|receiver, _| receiver.max_in_flight(1)).send(question()).await.status(), 200);

    // One place for events, and it is occupied.
    let gate = Arc::new(tokio::sync::Notify::new());
    let auth = Auth::signature([SECRET]).expect("good");
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let receiver = Receiver::builder("main", auth, Stuck(gate.clone())).clock(|| NOW).max_in_flight(1);
    let receiver = Arc::new(receiver.settings(service(&provider)).build().expect("good"));
    let sign = |body: &str| Signer::new(SECRET).expect("good").sign(NOW, body.to_owned());
    let stuck = tokio::spawn({
        let (receiver, request) = (receiver.clone(), sign(fixture::of(EventKind::RoomCreated).body));
        async move { receiver.receive(request.credentials(), request.body.clone()).await }
    });
    gate.notified().await;
    let event = sign(fixture::of(EventKind::RoomDestroyed).body);
    assert_eq!(receiver.receive(event.credentials(), event.body.clone()).await.status(), 503);
    let asked = sign(&question());
    assert_eq!(receiver.receive(asked.credentials(), asked.body.clone()).await, given());
    stuck.abort();
}

#[tokio::test(start_paused = true)]
async fn a_question_that_waits_takes_no_place_from_an_event() {
    let world = World::new(|receiver, _| {
        let hanging = ScriptedProvider::of([Script::Hang]);
        receiver.settings(service(&hanging)).max_in_flight(1)
    });
    let waiting = world.send(question());
    let mut waiting = std::pin::pin!(waiting);
    tokio::select! {
        biased;
        reply = &mut waiting => panic!("answered immediately: {reply}"),
        () = std::future::ready(()) => {}
    }
    let stored = world.send(fixture::of(EventKind::RoomCreated).body).await;
    assert_eq!(stored, Reply::Received(Disposition::Stored));
    assert_eq!(assert_valid_for_jaas(&waiting.await)["maxOccupants"], 77);
}

struct Stuck(Arc<tokio::sync::Notify>);

#[async_trait::async_trait]
impl jaas_core::Dispatcher for Stuck {
    async fn dispatch(&self, _: jaas_core::Incoming) -> Result<Disposition, jaas_core::DispatchError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_service_can_be_shared_by_two_receivers_and_distinguishes_their_rooms() {
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let policy = FailurePolicy::fail_closed();
    let service = SettingsService::builder(provider.clone(), policy).build().expect("good");
    for endpoint in ["one", "other"] {
        let auth = Auth::signature([SECRET]).expect("good");
        let receiver =
            Receiver::builder(endpoint, auth, Inbox::new(Arc::new(MemoryStore::new()))).clock(|| NOW);
        let receiver = receiver.settings(service.clone()).build().expect("good");
        let request = Signer::new(SECRET).expect("good").sign(NOW, question());
        assert_eq!(receiver.receive(request.credentials(), request.body.clone()).await, given());
    }
    let asked: Vec<_> = provider.asked().iter().map(|request| request.endpoint.to_string()).collect();
    assert_eq!(asked, ["one", "other"]);
}

/// Some gateways put a byte order mark in front of a body; the signature covers it.
#[tokio::test]
async fn a_question_and_an_event_behind_a_byte_order_mark_are_recognized() {
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let service =
        SettingsService::builder(provider.clone(), FailurePolicy::fail_closed()).build().expect("good");
    let store = Arc::new(MemoryStore::new());
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver = Receiver::builder("main", auth, Inbox::new(store.clone())).clock(|| NOW);
    let receiver = receiver.settings(service).build().expect("good");
    let sign = |body: String| Signer::new(SECRET).expect("good").sign(NOW, body);
    for body in [
        "\u{feff}{\"fqn\":\"vpaas-magic-cookie-1/board-vip\"}",
        "\u{feff} \n{\"fqn\":\"a/r\",\"eventType\":\"SETTINGS_PROVISIONING\"}",
    ] {
        let asked = sign(body.to_owned());
        assert_eq!(
            receiver.receive(asked.credentials(), asked.body.clone()).await,
            given(),
            "among the events"
        );
        assert_eq!(receiver.receive_settings(asked.credentials(), asked.body.clone()).await, given());
    }
    assert_eq!(provider.asked()[0].room(), "board-vip");

    let body = format!("\u{feff}{}", event::participant_joined().key("k").named("Ada").text());
    let joined = sign(body.clone());
    let reply = receiver.receive(joined.credentials(), joined.body.clone()).await;
    assert_eq!(reply, Reply::Received(Disposition::Stored));
    let stored = store.events(&EventQuery::default()).await.expect("listed").items;
    assert_eq!(stored[0].body, body.as_str(), "byte for byte, with the mark");
    let delivery = jaas_core::Delivery::parse("main", NOW, joined.body).expect("an envelope");
    let jaas_core::event::Event::ParticipantJoined(joined) = delivery.event() else { panic!("a join") };
    assert_eq!(joined.participant.name.map(|name| name.into_exposed()).as_deref(), Some("Ada"));
}
