//! The evidence of each decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::settings::{
    FailurePolicy, SettingsFailure, SettingsLog, SettingsQuery, SettingsRecord, SettingsService,
    SettingsSource,
};
use jaas_core::store::{Keep, MemoryStore, Page, StoreError, StoreErrorKind};
use jaas_core::{Fqn, Timestamp};
use jaas_testkit::settings::{Script, ScriptedProvider, SettingsQuestion, settings_request};
use tokio::time::{Instant, sleep};

use super::{builder, protected};

async fn records(log: &MemoryStore) -> Vec<SettingsRecord> {
    log.settings_records(&SettingsQuery::default()).await.expect("listed").items
}

#[tokio::test(start_paused = true)]
async fn each_answer_leaves_a_record_of_the_decision_and_the_reason() {
    let log = Arc::new(MemoryStore::new());
    let provider = ScriptedProvider::by(|request, _| match request.room() {
        "good" => Script::Slow(
            Duration::from_millis(20),
            protected().with_decided_by("the rule \"*\"").with_extra("newKey", 1).expect("allowed"),
        ),
        "slow" => Script::Hang,
        "broken" => Script::Fail("cannot reach https://db.example/secret/path".into()),
        "panics" => Script::Panic("at the disco".into()),
        _ => Script::None,
    });
    let service = SettingsService::builder(provider, FailurePolicy::fail_closed())
        .records(log.clone(), Keep::FOREVER)
        .build()
        .expect("good");
    for room in ["good", "slow", "broken", "panics", "unknown"] {
        service.answer(SettingsQuestion::about(&format!("App/{room}")).request()).await;
    }
    service.close().await;
    let records = records(&log).await;
    let found: Vec<_> = records
        .iter()
        .map(|record| (record.fqn.as_str(), record.source, record.failure, record.error.as_deref()))
        .collect();
    let closed = SettingsSource::FailClosed;
    assert_eq!(
        found,
        [
            ("App/good", SettingsSource::Provider, None, None),
            ("App/slow", closed, Some(SettingsFailure::TimedOut), None),
            ("App/broken", closed, Some(SettingsFailure::Failed), Some("cannot reach https://db.example/…")),
            ("App/panics", closed, Some(SettingsFailure::Panicked), Some("at the disco")),
            ("App/unknown", closed, Some(SettingsFailure::NoSettingsForRoom), None),
        ]
    );
    let good = &records[0];
    assert_eq!(good.answer, r#"{"lobbyEnabled":true,"newKey":1,"passcode":"…"}"#);
    assert_eq!(good.decided_by.as_deref(), Some("the rule \"*\""));
    assert_eq!((good.took, records[1].took), (Duration::from_millis(20), Duration::from_millis(1500)));
    assert_eq!((&*good.endpoint, good.received_at), ("main", Timestamp::from_secs(1_760_000_000)));
    for record in &records {
        assert!(record.answer.contains(r#""passcode":"…""#), "{record:?}");
    }
}

#[tokio::test]
async fn records_are_found_by_room_and_time_and_page_by_page() {
    let log = Arc::new(MemoryStore::new());
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let service = builder(&provider).records(log.clone(), Keep::FOREVER).build().expect("good");
    let at = Timestamp::from_secs;
    for second in 0..10 {
        let fqn = ["App/Math", "app/math", "other/math", "app/%6Dath", "app/art"][second % 5];
        service.answer(SettingsQuestion::about(fqn).received_at(at(second as i64)).request()).await;
    }
    service.close().await;
    let found = async |query: SettingsQuery| {
        let mut query = query;
        let mut seconds = Vec::new();
        query.page.limit = 2;
        loop {
            let page = log.settings_records(&query).await.expect("listed");
            seconds.extend(page.items.iter().map(|record| record.received_at.as_secs()));
            let Some(next) = page.next else { return seconds };
            query.page.after = Some(next);
        }
    };
    let of = |fqn: &str| SettingsQuery { fqn: Some(Fqn::new(fqn)), ..SettingsQuery::default() };
    assert_eq!(found(SettingsQuery::default()).await, (0..10).collect::<Vec<_>>());
    assert_eq!(found(of("APP/MATH")).await, [0, 1, 3, 5, 6, 8]);
    assert_eq!(found(of("math")).await, [0, 1, 2, 3, 5, 6, 7, 8], "of any tenant");
    let query = SettingsQuery { from: Some(at(1)), until: Some(at(6)), ..of("app/math") };
    assert_eq!(found(query).await, [1, 3, 5]);
    let query = SettingsQuery { source: Some(SettingsSource::Fallback), ..SettingsQuery::default() };
    assert!(found(query).await.is_empty());
    let query = SettingsQuery { endpoint: Some("other".into()), ..SettingsQuery::default() };
    assert!(found(query).await.is_empty());
}

/// A log that hangs or fails as long as the test wants.
struct Troubled {
    hang: bool,
    failures: AtomicUsize,
    memory: MemoryStore,
}

#[async_trait]
impl SettingsLog for Troubled {
    async fn record_settings(&self, records: &[SettingsRecord]) -> Result<(), StoreError> {
        if self.hang {
            std::future::pending::<()>().await;
        }
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(StoreError::new(StoreErrorKind::Unavailable, "the database is away")),
            Err(_) => self.memory.record_settings(records).await,
        }
    }

    async fn settings_records(&self, query: &SettingsQuery) -> Result<Page<SettingsRecord>, StoreError> {
        self.memory.settings_records(query).await
    }

    async fn purge_settings_records(
        &self,
        keep: Keep,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.memory.purge_settings_records(keep, now, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_hangs_delays_no_answer_and_closing_ends() {
    let log = Arc::new(Troubled { hang: true, failures: AtomicUsize::new(0), memory: MemoryStore::new() });
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let service = builder(&provider).records(log, Keep::FOREVER).build().expect("good");
    let asked = Instant::now();
    for _ in 0..10_000 {
        service.answer(settings_request("a/r")).await;
    }
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let closing = Instant::now();
    service.close().await;
    assert_eq!(closing.elapsed(), Duration::from_secs(20));
    service.close().await;
    assert_eq!(service.answer(settings_request("a/r")).await.status(), 200, "still answered");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_fails_for_a_moment_loses_nothing() {
    let log = Arc::new(Troubled { hang: false, failures: AtomicUsize::new(2), memory: MemoryStore::new() });
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let service = builder(&provider).records(log.clone(), Keep::FOREVER).build().expect("good");
    for _ in 0..250 {
        service.answer(settings_request("a/r")).await;
    }
    service.close().await;
    let query = SettingsQuery {
        page: jaas_core::store::PageRequest { limit: 1000, ..jaas_core::store::PageRequest::first() },
        ..SettingsQuery::default()
    };
    assert_eq!(log.settings_records(&query).await.expect("listed").items.len(), 250);
}

#[tokio::test(start_paused = true)]
async fn old_records_are_deleted_immediately_and_once_an_hour() {
    let log = Arc::new(MemoryStore::new());
    let day = 24 * 60 * 60;
    let record = |at| {
        let at = Timestamp::from_secs(at);
        SettingsRecord::new("main", Fqn::new("a/r"), at, SettingsSource::Provider, "{}")
    };
    let all: Vec<_> = (0..1200).map(|number| record(number % 2 * 2 * day)).collect();
    log.record_settings(&all).await.expect("recorded");
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let now = jaas_testkit::ManualClock::at(Timestamp::from_secs(3 * day));
    let service =
        builder(&provider).records(log.clone(), Keep::days(2)).clock(now.clone()).build().expect("good");
    let count = async || {
        let page = jaas_core::store::PageRequest { limit: 1000, ..jaas_core::store::PageRequest::first() };
        log.settings_records(&SettingsQuery { page, ..SettingsQuery::default() })
            .await
            .expect("listed")
            .items
            .len()
    };
    sleep(Duration::from_secs(1)).await;
    assert_eq!(count().await, 600);
    now.set(Timestamp::from_secs(5 * day));
    sleep(Duration::from_secs(30 * 60)).await;
    assert_eq!(count().await, 600, "not yet time");
    sleep(Duration::from_secs(31 * 60)).await;
    assert_eq!(count().await, 0);
    service.close().await;

    log.record_settings(&all).await.expect("recorded");
    let now = Timestamp::from_secs(0);
    assert_eq!(log.purge_settings_records(Keep::FOREVER.newest(900), now, 200).await.expect("purged"), 200);
    assert_eq!(log.purge_settings_records(Keep::FOREVER.newest(900), now, 200).await.expect("purged"), 100);
    assert_eq!(log.purge_settings_records(Keep::FOREVER.newest(900), now, 200).await.expect("purged"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_service_writes_the_queue_and_ends_its_task() {
    let log = Arc::new(MemoryStore::new());
    let provider = ScriptedProvider::of([Script::Answer(protected())]);
    let service = builder(&provider).records(log.clone(), Keep::days(1)).build().expect("good");
    service.answer(settings_request("a/r")).await;
    drop(service);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(records(&log).await.len(), 1);
    assert_eq!(Arc::strong_count(&log), 1, "the task has ended");
}
