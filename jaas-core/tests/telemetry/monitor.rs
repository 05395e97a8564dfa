//! What the monitor reports about a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jaas_core::store::{ClaimRequest, EventAdmin as _, EventStore as _, Failure, MemoryStore};
use jaas_core::{Delivery, Monitor, Timestamp};
use jaas_testkit::{Fault, FaultyStore, Op, event};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::time::sleep;

use crate::lines::Lines;

const EVERY: Duration = Duration::from_secs(15);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn room_created(key: &str, received: i64) -> Delivery {
    let body = event::room_created().key(key).in_session(key).body();
    Delivery::parse("main", at(received), body).expect("an envelope")
}

fn gauges(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let values = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let labels: Vec<_> = key.key().labels().map(metrics::Label::value).collect();
        let DebugValue::Gauge(value) = value else { unreachable!("only gauges are set") };
        (format!("{} {}", key.key().name(), labels.join(" ")), value.into_inner())
    });
    values.collect()
}

#[tokio::test(start_paused = true)]
async fn every_state_has_its_number_and_the_age_of_its_oldest() {
    let recorder = DebuggingRecorder::new();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let snapshotter = recorder.snapshotter();
    let store = Arc::new(MemoryStore::new());
    store.accept(room_created("dead", 0)).await.expect("accepted");
    let claim = store.claim(&ClaimRequest::new("w", at(0), 1)).await.expect("claimed").remove(0);
    let failure = Failure { error: "no".into(), retry_in: None, passable: false, next: None };
    store.fail(claim.lease, &failure, at(1)).await.expect("recorded");
    for (key, received) in [("a", 40), ("b", 10), ("c", 30)] {
        store.accept(room_created(key, received)).await.expect("accepted");
    }
    let another = event::room_destroyed().key("a").body();
    store.accept(Delivery::parse("main", at(50), another).expect("an envelope")).await.expect("kept");

    let now = Arc::new(AtomicI64::new(100));
    let clock = now.clone();
    let monitor = Monitor::new(store.clone()).clock(move || at(clock.load(Ordering::Relaxed)));
    let monitor = monitor.spawn().expect("spawned");
    sleep(Duration::from_secs(1)).await;
    let values = gauges(&snapshotter);
    assert_eq!(values.len(), 6 + 2 + 6, "{values:?}");
    for (gauge, value) in [
        ("jaas_queue_events waiting", 3.0),
        ("jaas_queue_oldest_seconds waiting", 60.0),
        ("jaas_queue_events running", 0.0),
        ("jaas_queue_oldest_seconds running", 0.0),
        ("jaas_queue_events dead", 1.0),
        ("jaas_queue_oldest_seconds dead", 100.0),
        ("jaas_queue_events conflict", 1.0),
        ("jaas_queue_events quarantined", 0.0),
    ] {
        assert_eq!(values[gauge], value, "{gauge}");
    }

    let claims = store.claim(&ClaimRequest::new("w", at(100), 10)).await.expect("claimed");
    assert_eq!(claims.len(), 3);
    now.store(110, Ordering::Relaxed);
    sleep(Duration::from_secs(13)).await;
    // This recorder resets a gauge to 0 when it is read.
    assert!(gauges(&snapshotter).values().all(|value| *value == 0.0), "not yet time");
    sleep(Duration::from_secs(2)).await;
    let values = gauges(&snapshotter);
    assert_eq!((values["jaas_queue_events waiting"], values["jaas_queue_events running"]), (0.0, 3.0));
    assert_eq!(values["jaas_queue_oldest_seconds waiting"], 0.0, "not as it was");
    assert_eq!(values["jaas_queue_oldest_seconds running"], 70.0);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() {
    let lines = Lines::default();
    let _logging = lines.listen();
    let store = FaultyStore::new(MemoryStore::new());
    store.script(Op::Stats, Fault::StallBefore(Duration::from_secs(60 * 60)));
    store.outage([Op::Stats], Fault::Before);
    let monitor = Monitor::new(store.clone()).interval(EVERY).timeout(Duration::from_secs(3)).spawn();
    let monitor = monitor.expect("spawned");
    sleep(EVERY * 5).await;
    assert!(store.calls(Op::Stats) >= 5, "it continues to check");
    assert_eq!(
        lines.of("jaas::store"),
        ["WARN the store cannot be counted; its gauges are NaN until it can error=\"no response within 3s\""]
    );
    store.mend();
    sleep(EVERY * 5).await;
    let said = lines.of("jaas::store");
    assert_eq!(said[1..], ["INFO the store can be counted again; its gauges are set"]);
    monitor.stop().await;
    let calls = store.calls(Op::Stats);
    sleep(EVERY * 5).await;
    assert_eq!(store.calls(Op::Stats), calls, "it has stopped");
}

#[tokio::test(start_paused = true)]
async fn the_activity_is_recorded_once_a_minute() {
    let lines = Lines::default();
    let _logging = lines.listen();
    let store = FaultyStore::new(MemoryStore::new());
    let started = tokio::time::Instant::now();
    let clock = move || at(1_795_420_800).saturating_add(started.elapsed());
    let monitor = Monitor::new(store.clone()).interval(EVERY).clock(clock).spawn().expect("spawned");
    sleep(Duration::from_secs(130)).await;
    assert_eq!(store.calls(Op::RecordActivity), 3, "in the minutes 0, 1 and 2");
    let recorded = store.activity(at(1_795_420_800), at(1_795_420_800 + 130)).await.expect("listed");
    assert_eq!(recorded.len(), 2);

    store.outage([Op::RecordActivity], Fault::Before);
    sleep(Duration::from_secs(90)).await;
    let said = lines.of("jaas::store");
    assert_eq!(said.len(), 1, "once for the outage: {said:?}");
    assert!(said[0].starts_with("WARN the activity cannot be recorded"), "{said:?}");
    assert!(store.calls(Op::RecordActivity) > 4, "it is tried at each check");
    store.mend();
    sleep(EVERY).await;
    monitor.stop().await;
    let recorded = store.activity(at(1_795_420_800), at(1_795_420_800 + 300)).await.expect("listed");
    assert_eq!(recorded.len(), 3, "a longer row spans the outage");
}

#[tokio::test(start_paused = true)]
async fn gauges_without_a_monitor_are_not_a_number() {
    let recorder = DebuggingRecorder::new();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let snapshotter = recorder.snapshotter();
    let store = FaultyStore::new(MemoryStore::new());
    let monitor = || Monitor::new(store.clone()).interval(EVERY).spawn().expect("spawned");
    // This recorder resets a gauge to 0 when it is read.
    let all_unknown = || {
        let values = gauges(&snapshotter);
        values.len() == 6 + 2 + 6 && values.values().all(|value| value.is_nan())
    };
    let none_unknown = || gauges(&snapshotter).values().all(|value| !value.is_nan());

    let watching = monitor();
    sleep(Duration::from_secs(1)).await;
    assert!(none_unknown());
    store.outage([Op::Stats], Fault::Before);
    sleep(EVERY).await;
    assert!(all_unknown(), "the store is unavailable");
    store.mend();
    sleep(EVERY).await;
    assert!(none_unknown(), "it is available again");
    watching.stop().await;
    assert!(all_unknown(), "stopped");

    let watching = monitor();
    sleep(Duration::from_secs(1)).await;
    assert!(none_unknown());
    drop(watching);
    sleep(Duration::from_secs(1)).await;
    assert!(all_unknown(), "dropped");
}

#[tokio::test]
async fn an_interval_or_timeout_of_zero_is_refused() {
    let monitor = || Monitor::new(Arc::new(MemoryStore::new()));
    for monitor in [monitor().interval(Duration::ZERO), monitor().timeout(Duration::ZERO)] {
        let refused = monitor.spawn().expect_err("refused");
        assert!(refused.to_string().contains("must not be zero"), "{refused}");
    }
}
