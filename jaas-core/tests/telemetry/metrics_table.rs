//! A run in which everything happens, and the metrics it emits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService};
use jaas_core::signature::Tolerance;
use jaas_core::store::{ClaimRequest, EventStore as _, Keep, MemoryStore, Retention};
use jaas_core::telemetry::{METRICS, MetricKind, describe_metrics};
use jaas_core::{Direct, Inbox, Monitor, Purger, RequestHead, Timestamp};
use jaas_testkit::event;
use jaas_testkit::settings::SettingsQuestion;
use metrics::Unit;
use metrics_util::MetricKind as Emitted;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::sleep;

use crate::archived::archived;
use crate::watched::watched;
use crate::world::{AsTold, NOW, deliver, handlers, receiver, worker};

/// The metrics under a name.
#[derive(Debug, PartialEq, Default)]
struct Seen {
    kind: &'static str,
    unit: Option<Unit>,
    labels: BTreeSet<Vec<String>>,
    help: String,
}

struct Emission {
    seen: BTreeMap<String, Seen>,
    values: BTreeMap<String, DebugValue>,
}

fn emitted(snapshotter: &Snapshotter) -> Emission {
    let (mut seen, mut values) = (BTreeMap::<String, Seen>::new(), BTreeMap::new());
    for (key, unit, help, value) in snapshotter.snapshot().into_vec() {
        let metric = seen.entry(key.key().name().to_owned()).or_default();
        metric.kind = match key.kind() {
            Emitted::Counter => "counter",
            Emitted::Gauge => "gauge",
            Emitted::Histogram => "histogram",
        };
        metric.unit = unit;
        metric.help = help.map(|help| help.to_string()).unwrap_or_default();
        metric.labels.insert(key.key().labels().map(|label| label.key().to_owned()).collect());
        let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
        values.insert(format!("{} {}", key.key().name(), labels.join(" ")), value);
    }
    Emission { seen, values }
}

impl Emission {
    fn count(&self, series: &str) -> u64 {
        match self.values.get(series) {
            Some(DebugValue::Counter(count)) => *count,
            Some(DebugValue::Histogram(values)) => values.len() as u64,
            _ => 0,
        }
    }

    fn histogram(&self, series: &str) -> Vec<f64> {
        match self.values.get(series) {
            Some(DebugValue::Histogram(values)) => values.iter().map(|value| value.into_inner()).collect(),
            other => panic!("{series}: {other:?} of {:?}", self.values.keys()),
        }
    }
}

/// A known type with fields that do not fit, in `data` and beside it.
const ODD: &str = r#"{"idempotencyKey":"odd","eventType":"PARTICIPANT_JOINED","sessionId":"s-odd","timestamp":"soon",
    "data":{"moderator":"perhaps","name":{"ada@example.org":1},"isBreakout":3,"unheardOf":[1]}}"#;

#[tokio::test(start_paused = true)]
async fn what_is_emitted_is_the_table_with_its_kinds_units_and_labels() {
    let recorder = DebuggingRecorder::new();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let snapshotter = recorder.snapshotter();
    describe_metrics();

    let store = Arc::new(MemoryStore::new());
    in_the_inbox(&store).await;
    directly().await;
    questions().await;
    archived().await;
    watched().await;
    let monitor = Monitor::new(store.clone()).spawn().expect("spawned");
    let later = NOW.saturating_add(Duration::from_secs(400 * 24 * 60 * 60));
    let retention = Retention::builder(Tolerance::default()).build().expect("sound");
    let purger = Purger::new(store.clone(), retention).clock(move || later).spawn().expect("spawned");
    sleep(Duration::from_secs(1)).await;
    monitor.stop().await;
    purger.stop().await;

    let emission = emitted(&snapshotter);
    let table: BTreeMap<String, Seen> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric.labels.iter().map(|label| label.name.to_owned()).collect();
            let seen = Seen {
                kind: metric.kind.as_str(),
                unit: Some(metric.unit),
                labels: BTreeSet::from([labels]),
                help: metric.help.to_owned(),
            };
            (metric.name.to_owned(), seen)
        })
        .collect();
    assert_eq!(emission.seen, table);
    values(&emission);
    every_label_value_is_documented(&emission);
}

/// Deliveries of every kind, stored, and handled by a worker.
async fn in_the_inbox(store: &Arc<MemoryStore>) {
    let receiver = receiver(Inbox::new(store.clone())).build().expect("good");
    for key in ["done-1", "ignore-1", "retry-1", "permanent-1", "panic-1", "hang-1"] {
        let body = event::room_created().key(key).in_session(key).body();
        assert_eq!(deliver(&receiver, body).await.status(), 200);
    }
    deliver(&receiver, event::room_created().key("done-1").in_session("done-1").body()).await;
    deliver(&receiver, event::room_destroyed().key("done-1").body()).await;
    deliver(&receiver, r#"{"idempotencyKey":"new","eventType":"NEWER_THAN_US","data":{}}"#).await;
    deliver(&receiver, r#"{"idempotencyKey":"list","eventType":"ROOM_CREATED","data":[1]}"#).await;
    deliver(&receiver, ODD).await;
    deliver(&receiver, "no envelope").await;
    receiver.receive(RequestHead::default(), "{}".into()).await;

    let started = worker(store.clone(), AsTold::default()).clock(clock()).lease(Duration::from_secs(3));
    let started = started.build().expect("good").spawn();
    sleep(Duration::from_secs(60)).await;
    // Another worker takes over an event that runs.
    let body = event::room_created().key("hang-2").in_session("hang-2").body();
    assert_eq!(deliver(&receiver, body).await.status(), 200);
    sleep(Duration::from_millis(100)).await;
    let claim = ClaimRequest::new("another", at(80), 100);
    assert_eq!(store.claim(&claim).await.expect("claimed").len(), 1);
    // And ends with its process: the event is dead-lettered.
    sleep(Duration::from_secs(90)).await;
    started.stop(Duration::ZERO).await;
}

/// `NOW`, advancing with the runtime's clock.
fn clock() -> impl jaas_core::Clock {
    let began = tokio::time::Instant::now();
    move || NOW.saturating_add(began.elapsed())
}

fn at(secs: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// The same without a store.
async fn directly() {
    let direct = Direct::builder(handlers(AsTold::default())).build().expect("good");
    let receiver = receiver(direct).build().expect("good");
    for key in ["done-3", "ignore-3", "permanent-3", "retry-3", "retry-3", "retry-3"] {
        deliver(&receiver, event::room_destroyed().key(key).body()).await;
    }
}

async fn questions() {
    let provider = Fixed::new(MeetingSettings::default());
    let service = SettingsService::builder(provider, FailurePolicy::fail_closed());
    let service = service.records(MemoryStore::with_capacity(0), Keep::FOREVER).build().expect("good");
    let inbox = Inbox::new(Arc::new(MemoryStore::new()));
    let receiver = receiver(inbox).settings(service.clone()).build().expect("good");
    assert_eq!(deliver(&receiver, SettingsQuestion::about("app/r").body()).await.status(), 200);
    service.close().await;
}

fn values(emission: &Emission) {
    for (series, count) in [
        ("jaas_deliveries_total main stored", 10),
        ("jaas_deliveries_total main duplicate", 1),
        ("jaas_deliveries_total main conflict", 1),
        ("jaas_deliveries_total main quarantined", 1),
        ("jaas_deliveries_total main unavailable", 2),
        ("jaas_deliveries_total main unauthorized", 1),
        ("jaas_deliveries_total main settings", 1),
        ("jaas_refused_total main signature_missing", 1),
        ("jaas_authentic_total main 0", 13 + 6 + 1),
        ("jaas_accept_seconds main stored", 10),
        ("jaas_accept_seconds main unauthorized", 0),
        ("jaas_accept_seconds main settings", 0),
        ("jaas_wait_seconds ROOM_CREATED", 6 + 1 + 1),
        ("jaas_handler_seconds scripted ROOM_CREATED panicked", 1),
        ("jaas_handler_seconds scripted ROOM_CREATED timed_out", 1),
        ("jaas_handler_seconds scripted ROOM_CREATED retry", 2),
        ("jaas_handler_seconds scripted ROOM_CREATED permanent", 1),
        ("jaas_handler_seconds scripted ROOM_CREATED ignored", 1),
        ("jaas_handler_seconds scripted ROOM_DESTROYED done", 2),
        ("jaas_events_total ROOM_CREATED retry", 4),
        ("jaas_events_total ROOM_CREATED ignored", 1),
        ("jaas_events_total ROOM_CREATED dead", 2),
        ("jaas_events_total ROOM_DESTROYED retry", 2),
        ("jaas_events_total ROOM_DESTROYED dead", 1),
        ("jaas_dead_letters_total ROOM_CREATED permanent", 1),
        ("jaas_dead_letters_total ROOM_CREATED crashed", 1),
        ("jaas_dead_letters_total ROOM_DESTROYED permanent", 1),
        ("jaas_unknown_events_total type", 1),
        ("jaas_unknown_events_total data", 1),
        ("jaas_undecoded_fields_total PARTICIPANT_JOINED moderator", 1),
        ("jaas_undecoded_fields_total PARTICIPANT_JOINED name", 1),
        ("jaas_undecoded_fields_total PARTICIPANT_JOINED isBreakout", 1),
        ("jaas_undecoded_fields_total PARTICIPANT_JOINED timestamp", 1),
        ("jaas_leases_lost_total ", 1),
        ("jaas_settings_answers_total main provider none", 1),
        ("jaas_settings_seconds main provider", 1),
        ("jaas_settings_credentials_total main signature accepted", 1),
        ("jaas_settings_records_lost_total not_written", 1),
        ("jaas_artifacts_total recording stored", 1),
        ("jaas_artifacts_total chat gone", 1),
        ("jaas_artifact_seconds recording fetched", 1),
        ("jaas_artifact_seconds chat gone", 1),
        ("jaas_artifact_bytes_total recording", 6),
        ("jaas_artifact_left_seconds recording", 1),
        ("jaas_purged_total quarantined", 1),
        ("jaas_purged_total conflicts", 0),
    ] {
        assert_eq!(emission.count(series), count, "{series} of {:#?}", emission.values.keys());
    }
    assert_eq!(emission.histogram("jaas_signature_age_seconds main")[0], 3.0);
    assert_eq!(emission.histogram("jaas_handler_seconds scripted ROOM_CREATED timed_out"), [2.0]);
    let mut attempts = emission.histogram("jaas_event_attempts ROOM_CREATED handled");
    attempts.sort_by(f64::total_cmp);
    assert_eq!(attempts, [1.0, 1.0, 2.0, 2.0, 3.0]);
    assert_eq!(emission.histogram("jaas_event_attempts ROOM_DESTROYED handled"), [1.0, 3.0]);
    let undecoded = emission.values.keys().filter(|series| series.starts_with("jaas_undecoded"));
    assert_eq!(undecoded.count(), 4);
}

/// Each seen value of a label with a list of values is in that list.
fn every_label_value_is_documented(emission: &Emission) {
    let named = |meaning: &str| meaning.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    for metric in METRICS {
        for series in emission.values.keys().filter(|series| series.starts_with(&format!("{} ", metric.name)))
        {
            if let [label] = metric.labels
                && named(label.meaning).len() > 1
            {
                let value = &series[metric.name.len() + 1..];
                assert!(named(label.meaning).contains(&value.to_owned()), "{series}: {}", label.meaning);
            }
        }
        assert!(metric.kind != MetricKind::Counter || !metric.help.is_empty());
    }
}
