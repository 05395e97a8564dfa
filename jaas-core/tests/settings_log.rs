//! What is logged and counted about settings questions, and what never is.
#![allow(clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jaas_core::settings::{
    Cached, FailurePolicy, Fixed, MeetingSettings, RoomRules, SettingsProvider, SettingsService, chain,
};
use jaas_core::store::MemoryStore;
use jaas_core::{Auth, Credentials, Inbox, Receiver, Timestamp};
use jaas_testkit::Signer;
use jaas_testkit::settings::{Script, ScriptedProvider, SettingsQuestion};
use metrics::{Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, SharedString, Unit};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);
const SECRET: &str = "whsec_00000000000000000000000000000000";

/// Keeps every line of this thread.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().expect("not poisoned").push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Keeps every metric of this thread: counters as they are, of histograms how many values there are.
#[derive(Default)]
struct Counts(Mutex<BTreeMap<String, Arc<Count>>>);

#[derive(Default)]
struct Count(AtomicU64);

impl CounterFn for Count {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl HistogramFn for Count {
    fn record(&self, value: f64) {
        assert!((0.0..3.0).contains(&value), "seconds: {value}");
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn of(&self, key: &Key) -> Arc<Count> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{} {}", key.name(), labels.join(" "));
        self.0.lock().expect("not poisoned").entry(name).or_default().clone()
    }

    /// The counts of all names with this prefix.
    fn counted(&self, name: &str) -> Vec<(String, u64)> {
        let counts = self.0.lock().expect("not poisoned");
        let of_name = counts.iter().filter(|(key, _)| key.starts_with(name));
        of_name
            .map(|(key, count)| (key[name.len()..].trim().to_owned(), count.0.load(Ordering::Relaxed)))
            .collect()
    }
}

impl metrics::Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &metrics::Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, _: &Key, _: &metrics::Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &metrics::Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.of(key))
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_distinguished_and_no_passcode_room_or_body_is_logged() {
    let (lines, counts) = (Lines::default(), Counts::default());
    let _logging = tracing::subscriber::set_default(lines.clone());
    let _counting = metrics::set_default_local_recorder(&counts);

    let provider = ScriptedProvider::by(|request, _| match request.room() {
        "good-zoe" => {
            Script::Answer(MeetingSettings::builder().passcode("918273645").build().expect("allowed"))
        }
        "slow-zoe" => Script::Hang,
        "broken-zoe" => Script::Fail("cannot reach https://db.example/t0ken".into()),
        "panics-zoe" => Script::Panic("a mistake".into()),
        _ => Script::None,
    });
    let service = SettingsService::builder(provider, FailurePolicy::fail_closed()).passcode_key([7; 32]);
    let service = service.records(MemoryStore::new(), jaas_core::store::Keep::FOREVER).build().expect("good");
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver = Receiver::builder("main", auth, Inbox::new(Arc::new(MemoryStore::new()))).clock(|| NOW);
    let receiver = receiver.settings(service.clone()).build().expect("good");
    let mut passcodes = vec!["918273645".to_owned()];
    for room in ["good-zoe", "good-zoe", "slow-zoe", "broken-zoe", "panics-zoe", "unknown-zoe"] {
        let body = SettingsQuestion::about(&format!("app/{room}")).with("token", "b0dy").body();
        let signed = Signer::new(SECRET).expect("good").sign(NOW, body.clone());
        receiver.receive(signed.credentials(), signed.body.clone()).await;
        let fqn = jaas_core::Fqn::new(format!("app/{room}"));
        passcodes.push(service.passcode_when_closed(&fqn).expect("it closes").expose().to_owned());
        let forged = Credentials { signature: None, authorization: Some("Bearer t0p") };
        receiver.receive(forged, body.into()).await;
    }
    receiver.receive_settings(Credentials::default(), "x".into()).await;
    let signed = Signer::new(SECRET).expect("good").sign(NOW, "[]");
    receiver.receive_settings(signed.credentials(), signed.body.clone()).await;
    service.close().await;

    let lines = lines.0.lock().expect("not poisoned").join("\n");
    for hidden in ["zoe", "b0dy", "t0ken", "t0p"].iter().copied().chain(passcodes.iter().map(String::as_str))
    {
        assert!(!lines.contains(hidden), "{hidden}: {lines}");
    }
    let logged = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
    assert_eq!(logged("DEBUG message=settings answered endpoint=\"main\" source=provider"), 2);
    assert_eq!(logged("exceeded its timeout; the failure policy answered"), 1, "{lines}");
    assert_eq!(logged("error=cannot reach https://db.example/…"), 1, "{lines}");
    assert_eq!(logged("the settings provider panicked; the failure policy answered"), 1);
    assert_eq!(logged("has no settings for the room"), 1);
    assert_eq!(logged("does not name a meeting"), 1);
    assert_eq!(
        logged(
            "a settings question was accepted; the first with these credentials endpoint=main credentials=\"signature\""
        ),
        1,
        "once for each kind"
    );
    assert_eq!(logged("endpoint=main credentials=\"authorization\""), 6);

    let answers = counts.counted("jaas_settings_answers_total");
    let named = |source: &str, failure: &str| format!("endpoint=main source={source} failure={failure}");
    let mut wanted: Vec<_> = ["failed", "no_settings", "panicked", "timed_out", "unreadable"]
        .map(|failure| (named("fail_closed", failure), 1))
        .to_vec();
    wanted.push((named("provider", "none"), 2));
    assert_eq!(answers, wanted);
    assert_eq!(
        counts.counted("jaas_settings_seconds"),
        [("endpoint=main source=fail_closed".to_owned(), 5), ("endpoint=main source=provider".to_owned(), 2)]
    );
    let arrived =
        |credentials: &str, result: &str| format!("endpoint=main credentials={credentials} result={result}");
    assert_eq!(
        counts.counted("jaas_settings_credentials_total"),
        [
            (arrived("authorization", "refused"), 6),
            (arrived("none", "refused"), 1),
            (arrived("signature", "accepted"), 7)
        ]
    );
    assert_eq!(
        counts.counted("jaas_deliveries_total"),
        [("endpoint=main reply=settings".to_owned(), 7), ("endpoint=main reply=unauthorized".to_owned(), 7)]
    );
}

#[tokio::test]
async fn without_a_service_the_log_says_what_to_do() {
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    let auth = Auth::signature([SECRET]).expect("good");
    let receiver = Receiver::builder("main", auth, Inbox::new(Arc::new(MemoryStore::new()))).clock(|| NOW);
    let receiver = receiver.build().expect("good");
    let signed = Signer::new(SECRET).expect("good").sign(NOW, SettingsQuestion::about("app/r").body());
    receiver.receive(signed.credentials(), signed.body.clone()).await;
    let lines = lines.0.lock().expect("not poisoned").join("\n");
    assert!(lines.contains("the room opens without lobby and passcode"), "{lines}");
    assert!(lines.contains("ReceiverBuilder::settings"), "{lines}");
}

/// With `fail_closed`, rules without a default close every room that none matches.
#[test]
fn a_policy_that_closes_rooms_warns_about_rules_without_a_default() {
    let rules = || RoomRules::new().rule("*-vip", MeetingSettings::default()).expect("allowed");
    let fixed = || Fixed::new(MeetingSettings::default());
    let closed = FailurePolicy::fail_closed;
    let last = || FailurePolicy::last_known_good(Duration::from_secs(60), closed());
    let everything = RoomRules::new().rule("*", MeetingSettings::default()).expect("allowed");
    let provider = |provider: Box<dyn SettingsProvider>| provider;
    for (provider, policy, warns) in [
        (provider(Box::new(rules())), closed(), true),
        (provider(Box::new(Arc::new(rules()))), last(), true),
        (provider(Box::new(Cached::new(rules(), Duration::from_secs(1)))), closed(), true),
        (provider(Box::new(chain(rules(), rules()))), closed(), true),
        (provider(Box::new(chain(rules(), fixed()))), closed(), false),
        (provider(Box::new(rules().default_settings(MeetingSettings::default()))), closed(), false),
        (provider(Box::new(everything)), closed(), false),
        (provider(Box::new(rules())), FailurePolicy::fallback(MeetingSettings::default()), false),
    ] {
        let lines = Lines::default();
        let _logging = tracing::subscriber::set_default(lines.clone());
        SettingsService::builder(provider, policy.clone()).build().expect("good");
        let lines = lines.0.lock().expect("not poisoned").join("\n");
        let warned = lines.starts_with("WARN") && lines.contains("RoomRules::default_settings");
        assert_eq!(warned, warns, "{policy:?}: {lines}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_records_are_counted_and_logged_once() {
    let (lines, counts) = (Lines::default(), Counts::default());
    let _logging = tracing::subscriber::set_default(lines.clone());
    let _counting = metrics::set_default_local_recorder(&counts);
    let provider = ScriptedProvider::of([Script::Answer(MeetingSettings::default())]);
    let service = SettingsService::builder(provider, FailurePolicy::fail_closed());
    let full = Arc::new(MemoryStore::with_capacity(1));
    let service = service.records(full, jaas_core::store::Keep::FOREVER).build().expect("good");
    for _ in 0..5000 {
        service.answer(SettingsQuestion::about("app/r").request()).await;
    }
    // Some wait for room in a store that has none; retrying ends by itself.
    tokio::time::sleep(Duration::from_secs(600)).await;
    service.close().await;
    let lost = counts.counted("jaas_settings_records_lost_total");
    assert_eq!(
        lost.iter().map(|(reason, _)| reason.as_str()).collect::<Vec<_>>(),
        ["reason=not_written", "reason=queue_full"]
    );
    assert!((4900..=5000).contains(&lost.iter().map(|(_, count)| count).sum::<u64>()), "{lost:?}");
    let lines = lines.0.lock().expect("not poisoned");
    assert_eq!(lines.iter().filter(|line| line.contains("reason=\"queue_full\"")).count(), 1);
}
