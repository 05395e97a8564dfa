//! When the application hears of gaps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{EventAdmin as _, EventState, EventStore as _, MemoryStore};
use jaas_core::watch::{
    Gap, GapHandler, GapQuery, GapRecord, GapState, GapStore as _, Rule, Severity, Watch,
};
use jaas_core::{Delivery, HandlerError, Handlers, SessionId, Timestamp, Worker, WorkerHandle};
use jaas_testkit::ManualClock;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

const START: Timestamp = Timestamp::from_secs(1_795_420_800);

fn event(key: &str, kind: &str, secs: i64, data: &serde_json::Value) -> Delivery {
    let at = Timestamp::from_secs(START.as_secs() + secs);
    let body = json!({
        "idempotencyKey": key, "eventType": kind, "sessionId": "s-1", "fqn": "vpaas-magic-cookie-1/math",
        "timestamp": at.as_millis(), "data": data,
    });
    Delivery::parse("main", at, body.to_string().into()).expect("an envelope")
}

/// Remembers what was reported to it, and fails as often as it should.
#[derive(Default)]
struct Told {
    failures: AtomicUsize,
    calls: AtomicUsize,
    gaps: Mutex<Vec<(Rule, &'static str)>>,
    heard: Notify,
}

impl Told {
    fn hear(&self, rule: Rule, what: &'static str) -> Result<(), HandlerError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.heard.notify_one();
        let fail = |left: usize| left.checked_sub(1);
        match self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail) {
            Ok(left) if left % 2 == 0 => Err(HandlerError::retry("not today")),
            Ok(_) => panic!("not today either"),
            Err(_) => {
                self.gaps.lock().push((rule, what));
                Ok(())
            }
        }
    }
}

#[async_trait]
impl GapHandler for Told {
    async fn on_gap(&self, (): &mut (), gap: &Gap) -> Result<(), HandlerError> {
        self.hear(gap.rule, "found")
    }

    async fn on_closed(&self, (): &mut (), record: &GapRecord) -> Result<(), HandlerError> {
        self.hear(record.gap.rule, "closed")
    }
}

struct World {
    clock: ManualClock,
    store: Arc<MemoryStore>,
    watch: Watch<Arc<MemoryStore>>,
    told: Arc<Told>,
    worker: WorkerHandle,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at(START);
        let store = Arc::new(MemoryStore::new());
        let watch = Watch::builder(store.clone()).clock(clock.clone()).interval(Duration::from_millis(10));
        let watch = watch.build().expect("built");
        let handlers = Handlers::new().transactional("watch", watch.handler());
        let worker = Worker::builder(store.clone(), handlers).clock(clock.clone()).build().expect("built");
        Self { clock, store, watch, told: Arc::default(), worker: worker.spawn() }
    }

    async fn handle(&self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            self.clock.set(self.clock_now().max(delivery.received_at));
            self.store.accept(delivery.clone()).await.expect("accepted");
            while self.is_busy().await {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn is_busy(&self) -> bool {
        let stats = self.store.stats().await.expect("counted");
        stats.count(EventState::Waiting) + stats.count(EventState::Running) > 0
    }

    fn clock_now(&self) -> Timestamp {
        jaas_core::Clock::now(&self.clock)
    }

    async fn audit(&self) -> Vec<(Rule, &'static str)> {
        self.watch.audit(self.told.clone()).await.expect("audited");
        std::mem::take(&mut *self.told.gaps.lock())
    }
}

fn recorded() -> [Delivery; 3] {
    [
        event("r-1", "RECORDING_STARTED", 0, &json!({})),
        event("r-2", "RECORDING_ENDED", 60, &json!({})),
        event("d-1", "ROOM_DESTROYED", 120, &json!({})),
    ]
}

#[tokio::test]
async fn a_recording_that_is_not_uploaded_is_reported_once_in_time_to_save_it() {
    let world = World::new();
    world.handle(&recorded()).await;
    world.clock.advance(Duration::from_secs(3539));
    assert_eq!(world.audit().await, []);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.audit().await, [(Rule::RecordingNotUploaded, "found")]);
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(world.audit().await, []);
    let record = world.store.gaps(&GapQuery::default()).await.expect("listed").items.remove(0);
    assert_eq!((record.state, record.gap.severity), (GapState::Open, Severity::Critical));
    assert_eq!((record.gap.session_id, record.gap.subject), (SessionId::new("s-1"), "r-1".to_owned()));
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn an_upload_that_comes_before_everything_else_makes_no_gap() {
    let world = World::new();
    let [started, ended, destroyed] = recorded();
    let end = ended.occurred_at().as_millis();
    let uploaded = event("u-1", "RECORDING_UPLOADED", 100, &json!({"endTimestamp": end}));
    world.handle(&[uploaded.clone(), destroyed, uploaded, ended, started]).await;
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(world.audit().await, []);
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_gap_closes_when_the_event_comes_late() {
    let world = World::new();
    world.handle(&recorded()).await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(world.audit().await, [(Rule::RecordingNotUploaded, "found")]);
    world.handle(&[event("u-1", "RECORDING_UPLOADED", 3 * 3600, &json!({}))]).await;
    assert_eq!(world.audit().await, [(Rule::RecordingNotUploaded, "closed")]);
    assert_eq!(world.store.gap_counts().await.expect("counted"), []);
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_called_again_until_it_succeeds() {
    let world = World::new();
    world.handle(&recorded()).await;
    world.told.failures.store(2, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(world.audit().await, []);
    assert!(world.store.gaps(&GapQuery::default()).await.expect("listed").items.is_empty());
    assert_eq!(world.audit().await, [], "not before the retry interval");
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.audit().await, []);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.audit().await, [(Rule::RecordingNotUploaded, "found")]);
    assert_eq!(world.told.calls.load(Ordering::SeqCst), 3);
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_spawned_auditor_reports_what_becomes_due_and_stops() {
    let world = World::new();
    world.handle(&recorded()).await;
    let auditor = world.watch.spawn(world.told.clone());
    assert!(auditor.liveness()());
    world.clock.advance(Duration::from_secs(2 * 3600));
    world.told.heard.notified().await;
    auditor.stop(Duration::from_secs(5)).await;
    assert_eq!(*world.told.gaps.lock(), [(Rule::RecordingNotUploaded, "found")]);
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_session_without_an_end_is_a_gap_when_it_has_been_silent() {
    let world = World::new();
    let joined = json!({"participantId": "p-1", "id": "ada"});
    let lost = [event("o", "ROOM_CREATED", 0, &json!({})), event("j", "PARTICIPANT_JOINED", 1, &joined)];
    world.handle(&lost).await;
    world.clock.advance(Duration::from_secs(7 * 3600));
    assert_eq!(world.audit().await, []);
    // Nothing follows a poll, but it is a sign of life.
    world.handle(&[event("p", "POLL_CREATED", 7 * 3600 + 1, &json!({}))]).await;
    world.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(world.audit().await, []);
    world.clock.advance(Duration::from_secs(6 * 3600));
    let mut gaps = world.audit().await;
    gaps.sort_unstable();
    assert_eq!(gaps, [(Rule::StayNotLeft, "found"), (Rule::RoomNotClosed, "found")]);
    world.worker.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn no_address_of_a_visitor_is_kept() {
    let world = World::new();
    let jid = "Ada.Example@visitors1.meet.jitsi";
    let visitor = json!({"participantJid": jid, "role": "visitor", "name": "Ada Example"});
    world.handle(&[event("v", "PARTICIPANT_JOINED", 0, &visitor)]).await;
    let watched = world.store.watched(&SessionId::new("s-1")).await.expect("read");
    let text = format!("{watched:?}");
    assert!(!watched.sightings.is_empty() && !text.contains("Ada"), "{text}");
    world.worker.stop(Duration::ZERO).await;
}
