//! Nothing secret or personal is told: unmistakable values are planted wherever JaaS, a stranger, a handler or a provider
//! can put one, everything is driven over two stores, and what was logged, counted and shown is searched for them.
#![cfg(feature = "sqlite")]
#![allow(clippy::expect_used, clippy::panic)]

#[path = "../../jaas-core/tests/support/lines.rs"]
mod lines;
#[path = "nothing_secret/planted.rs"]
mod planted;

use std::fmt::{Debug, Write as _};
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::Clock as _;
use jaas_core::event::Event;
use jaas_core::settings::{
    Cached, FailurePolicy, MeetingSettings, SettingsLog, SettingsQuery, SettingsService,
};
use jaas_core::signature::{Secret, Tolerance};
use jaas_core::store::{
    AttemptQuery, ClaimRequest, EventAdmin, EventQuery, EventState, Failure, Keep, MemoryStore, PageRequest,
    Retention,
};
use jaas_core::{
    Auth, Backoff, Context, Credentials, Delivery, Direct, EventHandler, Handled, HandlerError,
    HandlerResult, Handlers, Inbox, Monitor, Purger, Receiver, Reply, SystemClock, Timestamp, Worker,
};
use jaas_diesel::SqliteStore;
use jaas_testkit::doctor::Doctor;
use jaas_testkit::settings::{Script, ScriptedProvider, SettingsQuestion};
use jaas_testkit::{Fault, FaultyStore, Op, Signer, fixture};
use metrics_util::debugging::DebuggingRecorder;

use self::lines::Lines;
use self::planted::{
    AUTHORIZATION, LINK, PASSCODE, PHONE, PLANTED, SECRET, assert_nothing_in, planted_body, shown_ids,
};

/// Does what stands in the key before the first `-`, and says planted things.
#[derive(Clone, Copy)]
struct Talkative;

#[async_trait]
impl<Tx: Send + 'static> EventHandler<Tx> for Talkative {
    async fn any_event(&self, cx: &mut Context<'_, Tx>, _: &Event) -> HandlerResult {
        SHOWN.add(&*cx);
        let error = format!("cannot fetch {LINK} (see <{LINK}>): {LINK}");
        match cx.envelope().idempotency_key.as_str().split('-').next() {
            Some("retry") if cx.attempt() < 2 => Err(error.into()),
            Some("exhaust") => Err(HandlerError::retry_after(Duration::from_millis(1), error)),
            Some("permanent") => Err(HandlerError::permanent(error)),
            Some("undecodable") => cx.data_as::<Vec<u32>>().map(|_| Handled::Done).map_err(Into::into),
            Some("panic") => panic!("{error}"),
            Some("hang") => pending().await,
            _ => Ok(Handled::Done),
        }
    }
}

/// Everything that was shown by `Debug` and `Display`.
struct Shown(Mutex<String>);

static SHOWN: Shown = Shown(Mutex::new(String::new()));

impl Shown {
    fn add(&self, value: &dyn Debug) {
        let _ = writeln!(self.0.lock().expect("not poisoned"), "{value:?}\n{value:#?}");
    }

    fn add_text(&self, text: &dyn std::fmt::Display) {
        self.0.lock().expect("not poisoned").push_str(&text.to_string());
    }
}

const DEEDS: [&str; 8] = ["done", "retry", "exhaust", "permanent", "undecodable", "panic", "hang", "ignored"];

#[test]
fn nothing_secret_or_personal_is_in_any_log_metric_error_or_debug() {
    // The message of a panic is the handler's own, and the standard library prints it.
    std::panic::set_hook(Box::new(|_| {}));
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.subscriber()).expect("the first one");
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("the first one");

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        every_event_is_shown();
        drive(Arc::new(MemoryStore::new())).await;
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("inbox.sqlite")).await.expect("opened");
        drive(store.clone()).await;
        store.close().await;
        questions().await;
        troubles().await;
        a_doctor_examines();
    });

    let mut counted = String::new();
    for (key, _, _, _) in snapshotter.snapshot().into_vec() {
        let _ = writeln!(counted, "{key:?}");
    }
    let told = lines.everything();
    for (what, text, at_least) in [("the logs", &told, 20_000), ("the metrics", &counted, 5_000)] {
        assert!(text.len() > at_least, "only {} bytes of {what}", text.len());
        assert_nothing_in(what, text);
    }
    // What must have been told, or the above proves nothing.
    for line in [
        "handler failed permanently",
        "it will run again",
        "refused",
        "going to quarantine",
        "another body came before",
        "the settings provider failed",
        "the settings provider panicked",
        "dead letter",
        "lease lost",
        "cannot be counted",
        "purge failed",
        "crashed too often",
        "https://files.example/…",
        "exceeded its timeout",
    ] {
        assert!(told.contains(line), "{line}");
    }
    let shown = SHOWN.0.lock().expect("not poisoned");
    assert!(shown.len() > 500_000, "only {} bytes were shown", shown.len());
    assert_nothing_in("Debug and Display", &shown);
}

/// Payloads by themselves, as handlers have them.
fn every_event_is_shown() {
    for fixture in fixture::EVENTS.iter().chain(fixture::CASES) {
        let Some(body) = planted_body(fixture.body, "done-1") else { continue };
        let delivery = Delivery::parse("main", Timestamp::from_secs(0), body.into()).expect("an envelope");
        SHOWN.add(&delivery);
        SHOWN.add(&delivery.event());
        SHOWN.add(&delivery.envelope);
        SHOWN.add(&delivery.undecoded_fields());
    }
}

fn auth() -> Auth {
    Auth::signature_or_authorization([SECRET], [AUTHORIZATION]).expect("good")
}

async fn deliver(receiver: &Receiver, body: impl Into<bytes::Bytes>) -> Reply {
    let request = Signer::new(SECRET).expect("good").sign(SystemClock.now(), body);
    SHOWN.add(&request.credentials());
    receiver.receive(request.credentials(), request.body.clone()).await
}

/// Everything an inbox, a worker and `Direct` do with this store.
async fn drive<S: EventAdmin + SettingsLog + Clone + Debug>(store: S) {
    let receiver = Receiver::builder("main", auth(), Inbox::new(store.clone())).build().expect("good");
    SHOWN.add(&receiver);
    let mut accepted = 0;
    for fixture in fixture::EVENTS {
        for deed in DEEDS {
            // Every event is handled once, and a few in every way.
            if deed != "done"
                && !["PARTICIPANT_JOINED", "RECORDING_UPLOADED", "USAGE"].contains(&fixture.name)
            {
                continue;
            }
            let body = planted_body(fixture.body, &format!("{deed}-{}", fixture.name)).expect("JSON");
            let reply = deliver(&receiver, body).await;
            assert_eq!(reply.status(), 200);
            SHOWN.add(&reply);
            accepted += 1;
        }
    }
    strange_requests(&receiver).await;

    let handlers = Handlers::new().plain("plain", Talkative).transactional("transactional", Talkative);
    let worker = Worker::builder(store.clone(), handlers)
        .handler_timeout(Duration::from_millis(50))
        .transaction_timeout(Duration::from_millis(50))
        .backoff(
            Backoff::default()
                .initial_delay(Duration::from_millis(1))
                .max_delay(Duration::from_millis(2))
                .max_failures(2),
        )
        .poll_interval(Duration::from_millis(20))
        .build()
        .expect("good");
    SHOWN.add(&worker);
    let worker = worker.spawn();
    settled(&store, accepted).await;
    SHOWN.add(&worker.stop(Duration::from_secs(1)).await);
    crashes(&store).await;
    show_what_is_stored(&store).await;

    let handlers = Handlers::new().plain("plain", Talkative);
    let direct = Direct::builder(handlers).timeout(Duration::from_millis(50)).build().expect("good");
    SHOWN.add(&direct);
    let direct = Arc::new(direct);
    let receiver = Receiver::builder("direct", auth(), direct.clone()).build().expect("good");
    for deed in DEEDS {
        let body = planted_body(fixture::EVENTS[2].body, &format!("{deed}-direct")).expect("JSON");
        SHOWN.add(&deliver(&receiver, body).await);
    }
    strange_requests(&receiver).await;
    SHOWN.add(&(direct.quarantined(), direct.conflicts()));

    let retention = Retention::builder(Tolerance::default()).build().expect("sound");
    let later = SystemClock.now().saturating_add(Duration::from_secs(400 * 24 * 60 * 60));
    let purged = store.purge(&retention, later, 1000).await.expect("purged");
    assert!(purged.events > 0);
}

/// What is not authentic, not readable, or not the same as before.
async fn strange_requests(receiver: &Receiver) {
    let body = fixture::EVENTS[2].body;
    let again = planted_body(body, "done-PARTICIPANT_JOINED")
        .expect("JSON")
        .replace(PLANTED, &format!("another {PLANTED}"));
    SHOWN.add(&deliver(receiver, again.clone()).await);
    SHOWN.add(&deliver(receiver, again.replace("another", "a third")).await);
    for unreadable in [
        PLANTED.to_owned(),
        format!("{{\"name\":\"{PLANTED}\""),
        format!("[{PLANTED}]"),
        format!("{{\"idempotencyKey\":{{\"{PLANTED}\":1}},\"eventType\":\"{PLANTED}\"}}"),
    ] {
        assert_eq!(deliver(receiver, unreadable.clone()).await.status(), 200);
        let read =
            Delivery::parse("main", Timestamp::from_secs(0), unreadable.into()).expect_err("unreadable");
        SHOWN.add(&read);
        SHOWN.add_text(&read.reason);
    }
    for (signature, authorization) in [
        (None, None),
        (Some(PLANTED), None),
        (Some(&*format!("t={PLANTED},v1={PLANTED}")), None),
        (Some("t=1,v1=cGw0bnRlZA=="), Some(PLANTED)),
    ] {
        let credentials = Credentials { signature, authorization };
        SHOWN.add(&credentials);
        let reply = receiver.receive(credentials, body.into()).await;
        assert_eq!(reply, Reply::Unauthorized);
        let refused = auth().check(credentials, body.as_bytes(), SystemClock.now()).expect_err("refused");
        SHOWN.add(&refused);
        SHOWN.add_text(&refused);
    }
    let credentials = Credentials { signature: None, authorization: Some(AUTHORIZATION) };
    assert_eq!(receiver.receive(credentials, again.into()).await.status(), 200);
}

/// Waits until nothing waits or runs any more.
async fn settled(store: &impl EventAdmin, accepted: u64) {
    let all = async {
        loop {
            let stats = store.stats().await.expect("counted");
            let ended = [EventState::Done, EventState::Ignored, EventState::Dead];
            if ended.iter().map(|state| stats.count(*state)).sum::<u64>() >= accepted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("everything is settled within a minute");
}

/// An event whose worker is gone twice, and a lease that is lost to somebody else.
async fn crashes<S: EventAdmin + Clone>(store: &S) {
    let now = SystemClock.now();
    let body = planted_body(fixture::EVENTS[2].body, "crash-1").expect("JSON");
    store.accept(Delivery::parse("main", now, body.into()).expect("an envelope")).await.expect("accepted");
    for minutes in [0, 1, 2] {
        let at = now.saturating_add(Duration::from_secs(60 * minutes));
        let claims = store.claim(&ClaimRequest::new("gone", at, 100)).await.expect("claimed");
        assert_eq!(claims.len(), usize::from(minutes < 2), "given up the third time");
        SHOWN.add(&claims);
    }
    let body = planted_body(fixture::EVENTS[2].body, "hang-2").expect("JSON");
    store.accept(Delivery::parse("main", now, body.into()).expect("an envelope")).await.expect("accepted");
    let worker = Worker::builder(store.clone(), Handlers::new().plain("plain", Talkative));
    let worker = worker.lease(Duration::from_millis(300)).build().expect("good").spawn();
    let running = async {
        while store.stats().await.expect("counted").count(EventState::Running) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let later = SystemClock.now().saturating_add(Duration::from_secs(60));
        let mut claims = store.claim(&ClaimRequest::new("thief", later, 100)).await.expect("claimed");
        let lease = claims.remove(0).lease;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let failure = Failure {
            error: "somebody else gave up".to_owned(),
            retry_in: None,
            passable: false,
            next: None,
        };
        store.fail(lease, &failure, later).await.expect("recorded");
    };
    tokio::time::timeout(Duration::from_secs(30), running).await.expect("it runs");
    worker.stop(Duration::ZERO).await;
}

async fn show_what_is_stored<S: EventAdmin + Debug>(store: &S) {
    let all = PageRequest { limit: 1000, ..PageRequest::first() };
    let query = EventQuery { page: all, ..EventQuery::default() };
    let events = store.events(&query).await.expect("listed").items;
    assert!(events.iter().any(|event| event.note.is_some()));
    assert!(events.iter().all(|event| event.body.len() > 10), "the bodies are there to be shown");
    SHOWN.add(&events);
    SHOWN.add(&store.conflicts(all).await.expect("listed").items);
    SHOWN.add(&store.quarantined(all).await.expect("listed").items);
    let attempts = AttemptQuery { page: all, ..AttemptQuery::default() };
    SHOWN.add(&store.attempts(&attempts).await.expect("listed").items);
    SHOWN.add(&store.dead_letters().await.expect("grouped"));
    let nobody = jaas_core::store::RowId::new(-1);
    let note = jaas_core::store::AuditNote::new("me", "a test");
    let error = store.replay(nobody, &note, Timestamp::from_secs(0)).await.expect_err("there is none");
    SHOWN.add(&error);
    SHOWN.add_text(&error);
    SHOWN.add(store);
}

/// Settings: every policy, and every way a provider can end.
async fn questions() {
    let settings =
        MeetingSettings::builder().passcode(PASSCODE).outbound_phone_no(PHONE).build().expect("allowed");
    SHOWN.add(&settings);
    let fallback = FailurePolicy::fallback(settings.clone());
    for policy in [
        fallback.clone(),
        FailurePolicy::fail_closed(),
        FailurePolicy::refuse("not now"),
        FailurePolicy::last_known_good(Duration::from_secs(60), fallback),
    ] {
        SHOWN.add(&policy);
        let answered = settings.clone();
        let provider = ScriptedProvider::by(move |request, _| match request.room().rsplit('-').next() {
            Some("good") => Script::Answer(answered.clone()),
            Some("fails") => Script::Fail(format!("cannot ask {LINK}")),
            Some("panics") => Script::Panic(format!("cannot ask {LINK}")),
            Some("hangs") => Script::Hang,
            _ => Script::None,
        });
        let log = Arc::new(MemoryStore::new());
        let cached = Cached::new(provider, Duration::ZERO).last_known_good(Duration::from_secs(60));
        let service = SettingsService::builder(cached, policy).timeout(Duration::from_millis(100));
        let service = service.passcode_key(SECRET).records(log.clone(), Keep::FOREVER).build().expect("good");
        SHOWN.add(&service);
        let receiver = Receiver::builder("main", auth(), Inbox::new(Arc::new(MemoryStore::new())));
        let receiver = receiver.settings(service.clone()).build().expect("good");
        SHOWN.add(&receiver);
        for room in ["good", "fails", "panics", "hangs", "unknown"] {
            let question = SettingsQuestion::about(&format!("app/{PLANTED}-{room}")).with("token", PLANTED);
            SHOWN.add(&question.request());
            let reply = deliver(&receiver, question.body()).await;
            SHOWN.add(&reply);
            SHOWN.add_text(&reply);
            let forged = Credentials { signature: Some(PLANTED), authorization: Some(PLANTED) };
            receiver.receive_settings(forged, question.body().into()).await;
        }
        let signed =
            Signer::new(SECRET).expect("good").sign(SystemClock.now(), format!("{{\"{PLANTED}\":7}}"));
        receiver.receive_settings(signed.credentials(), signed.body.clone()).await;
        service.close().await;
        let records = log.settings_records(&SettingsQuery::default()).await.expect("listed").items;
        assert_eq!(records.len(), 6);
        SHOWN.add(&records);
    }
    // Without a settings service.
    let receiver =
        Receiver::builder("main", auth(), Inbox::new(Arc::new(MemoryStore::new()))).build().expect("good");
    deliver(&receiver, SettingsQuestion::about(&format!("app/{PLANTED}")).body()).await;
}

/// What the monitor and the purger say when the store does not answer, and a receiver when it stores nothing.
async fn troubles() {
    let store = FaultyStore::new(MemoryStore::new());
    store.outage([Op::Stats, Op::Purge, Op::Accept, Op::Quarantine, Op::Claim], Fault::Before);
    let monitor = Monitor::new(store.clone());
    SHOWN.add(&monitor);
    let monitor = monitor.spawn().expect("spawned");
    let retention = Retention::builder(Tolerance::default()).build().expect("sound");
    let purger = Purger::new(store.clone(), retention);
    SHOWN.add(&purger);
    let purger = purger.spawn().expect("spawned");
    let worker = Worker::builder(store.clone(), Handlers::new().plain("plain", Talkative))
        .build()
        .expect("good")
        .spawn();
    let receiver = Receiver::builder("main", auth(), Inbox::new(store.clone())).build().expect("good");
    let body = planted_body(fixture::EVENTS[2].body, "done-1").expect("JSON");
    assert_eq!(deliver(&receiver, body).await.status(), 503);
    assert_eq!(deliver(&receiver, PLANTED).await.status(), 503);
    let asked = async {
        while [Op::Stats, Op::Purge, Op::Claim].iter().any(|op| store.calls(*op) == 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("all have tried");
    monitor.stop().await;
    purger.stop().await;
    worker.stop(Duration::ZERO).await;
}

fn a_doctor_examines() {
    let doctor = Doctor::new([SECRET]).expect("good").others([format!("whsec_{PLANTED}other")]);
    SHOWN.add(&doctor);
    SHOWN.add(&auth());
    SHOWN.add(&Secret::new(SECRET).expect("good"));
    SHOWN.add(&Signer::new(SECRET).expect("good"));
    let body = format!("{{\"name\":\"{PLANTED}\"}}");
    let now = SystemClock.now();
    let signed = Signer::new(SECRET).expect("good").sign(now, body.clone());
    let stripped = Signer::new(SECRET.trim_start_matches("whsec_")).expect("good").sign(now, body.clone());
    for header in [signed.signature.as_str(), stripped.signature.as_str(), PLANTED, ""] {
        let diagnosis = doctor.examine(header, body.as_bytes(), now);
        SHOWN.add(&diagnosis);
        diagnosis.findings.iter().for_each(|finding| SHOWN.add_text(&finding.explanation));
    }
    for wrong in ["", " ", &format!("{PLANTED} ")] {
        let error = Secret::new(wrong).expect_err("refused");
        SHOWN.add(&error);
        SHOWN.add_text(&error);
    }
    assert!(!shown_ids().is_empty());
}
