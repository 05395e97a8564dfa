//! Endpoints that fall silent, and those that begin to refuse everything.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::MemoryStore;
use jaas_core::watch::{
    Gap, GapHandler, GapQuery, GapRecord, GapState, GapStore as _, Rule, Severity, Watch,
};
use jaas_core::{Auth, Clock as _, HandlerError, Inbox, Receiver, Reply, SessionId, Timestamp};
use jaas_testkit::{ManualClock, Signer};
use parking_lot::Mutex;
use serde_json::json;

const START: Timestamp = Timestamp::from_secs(1_795_420_800);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const WEEK: u32 = 7 * 24;
const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
const OTHER: &str = "whsec_1f35df66714a4cf088ee9d0979dd3bf7";

#[derive(Default)]
struct Told(Mutex<Vec<(Rule, &'static str)>>);

#[async_trait]
impl GapHandler for Told {
    async fn on_gap(&self, (): &mut (), gap: &Gap) -> Result<(), HandlerError> {
        self.0.lock().push((gap.rule, "found"));
        Ok(())
    }

    async fn on_closed(&self, (): &mut (), record: &GapRecord) -> Result<(), HandlerError> {
        self.0.lock().push((record.gap.rule, "closed"));
        Ok(())
    }
}

/// A process: its receiver and its watch.
struct Process {
    receiver: Receiver,
    watch: Watch<Arc<MemoryStore>>,
}

struct World {
    clock: ManualClock,
    store: Arc<MemoryStore>,
    told: Arc<Told>,
}

impl World {
    fn new() -> Self {
        Self { clock: ManualClock::at(START), store: Arc::default(), told: Arc::default() }
    }

    fn process(&self) -> Process {
        let watch = Watch::builder(self.store.clone()).clock(self.clock.clone()).build().expect("built");
        let auth = Auth::signature([SECRET]).expect("a secret");
        let receiver = Receiver::builder("main", auth, Inbox::new(self.store.clone()));
        let receiver =
            receiver.clock(self.clock.clone()).watched_by(&watch.endpoints()).build().expect("built");
        Process { receiver, watch }
    }

    /// Sends an event that is signed now, or was so long ago.
    async fn send(&self, process: &Process, secret: &str, ago: Duration) -> Reply {
        let now = self.clock.now();
        let body = json!({
            "idempotencyKey": now.as_millis().to_string(), "eventType": "ROOM_CREATED", "sessionId": "s-1",
            "fqn": "vpaas-magic-cookie-1/math", "timestamp": now.as_millis(), "data": {},
        });
        let request = Signer::new(secret).expect("a secret").sign(now.saturating_sub(ago), body.to_string());
        process.receiver.receive(request.credentials(), request.body.clone()).await
    }

    async fn audit(&self, process: &Process) -> Vec<(Rule, &'static str)> {
        process.watch.audit(self.told.clone()).await.expect("audited");
        std::mem::take(&mut *self.told.0.lock())
    }

    /// For so many hours, something comes in each.
    async fn used(&self, process: &Process, hours: u32) {
        for _ in 0..hours {
            assert_eq!(self.send(process, SECRET, Duration::ZERO).await.status(), 200);
            assert_eq!(self.audit(process).await, []);
            self.clock.advance(HOUR);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_falls_silent_is_reported_once_and_closed_when_an_event_comes() {
    let world = World::new();
    let process = world.process();
    world.used(&process, 4 * WEEK + 2).await;
    let last = world.clock.now().saturating_sub(HOUR);
    let mut told = Vec::new();
    for hour in 1..=24 {
        told.extend(world.audit(&process).await.into_iter().map(|news| (hour, news)));
        world.clock.advance(HOUR);
    }
    assert_eq!(told, [(7, (Rule::EndpointSilent, "found"))], "after six whole hours");
    let open = GapQuery { state: Some(GapState::Open), ..GapQuery::default() };
    let [record] = &world.store.gaps(&open).await.expect("listed").items[..] else { panic!("one gap") };
    assert_eq!(record.gap.session_id, SessionId::new("endpoint:main"));
    assert_eq!((record.gap.severity, record.gap.seen_at), (Severity::Warning, last));

    // Another process of the same application accepts one.
    let other = world.process();
    world.send(&other, SECRET, Duration::ZERO).await;
    assert_eq!(world.audit(&other).await, [(Rule::EndpointSilent, "closed")]);
    assert_eq!(world.audit(&process).await, []);
}

#[tokio::test]
async fn hours_in_which_the_application_was_down_are_not_silence() {
    let world = World::new();
    world.used(&world.process(), 4 * WEEK).await;
    world.clock.advance(HOUR * 12);
    let process = world.process();
    for _ in 0..6 {
        assert_eq!(world.audit(&process).await, []);
        world.clock.advance(HOUR);
    }
    assert_eq!(world.audit(&process).await, [(Rule::EndpointSilent, "found")]);
}

#[tokio::test]
async fn an_endpoint_that_begins_to_refuse_is_reported_once_and_closed_when_it_accepts() {
    for (secret, ago) in [(OTHER, Duration::ZERO), (SECRET, HOUR * 25)] {
        let world = World::new();
        let process = world.process();
        world.used(&process, 1).await;
        let mut told = Vec::new();
        for minute in 0..60 {
            assert_eq!(world.send(&process, secret, ago).await, Reply::Unauthorized);
            told.extend(world.audit(&process).await.into_iter().map(|news| (minute, news)));
            world.clock.advance(MINUTE);
        }
        assert_eq!(told, [(15, (Rule::EndpointRefuses, "found"))]);
        world.send(&process, SECRET, Duration::ZERO).await;
        assert_eq!(world.audit(&process).await, [(Rule::EndpointRefuses, "closed")]);
    }
}

#[tokio::test]
async fn refusals_beside_accepted_deliveries_are_no_gap() {
    let world = World::new();
    let [one, other] = [world.process(), world.process()];
    world.used(&one, 1).await;
    for minute in 0..120 {
        world.send(&one, OTHER, Duration::ZERO).await;
        // Half of the deliveries go to the process that has the new secret.
        if minute % 5 == 4 {
            world.send(&other, SECRET, Duration::ZERO).await;
        }
        assert_eq!([world.audit(&other).await, world.audit(&one).await], [[], []], "minute {minute}");
        world.clock.advance(MINUTE);
    }
    // The other process is gone, and accepted something a minute ago.
    let mut told = Vec::new();
    for minute in 1..60 {
        world.send(&one, OTHER, Duration::ZERO).await;
        told.extend(world.audit(&one).await.into_iter().map(|news| (minute, news)));
        world.clock.advance(MINUTE);
    }
    assert_eq!(told, [(15, (Rule::EndpointRefuses, "found"))]);
}

#[tokio::test]
async fn requests_without_a_signature_are_a_scanners() {
    let world = World::new();
    let process = world.process();
    world.used(&process, 1).await;
    for _ in 0..60 {
        process.receiver.receive(jaas_core::Credentials::default(), "{}".into()).await;
        assert_eq!(world.audit(&process).await, []);
        world.clock.advance(MINUTE);
    }
}
