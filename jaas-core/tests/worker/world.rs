//! Shared by the tests: a store, a clock that follows the paused time, and handlers that follow a script.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jaas_core::event::{ParticipantJoined, UnknownEvent};
use jaas_core::store::{Accepted, EventAdmin, EventQuery, EventState, EventStore, StoredEvent};
use jaas_core::{
    Clock, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, Timestamp, Worker,
    WorkerBuilder,
};
use jaas_testkit::TokioClock;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;

use super::store::TestStore;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Arc<TestStore>,
    pub(crate) clock: WallClock,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::over(TestStore::new())
    }

    pub(crate) fn over(store: TestStore) -> Self {
        Self {
            store: Arc::new(store),
            clock: WallClock { tokio: TokioClock::starting_at(START), ahead: Arc::default() },
        }
    }

    /// How long the world has existed.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.now().duration_since(START)
    }

    /// A `PARTICIPANT_JOINED` that happened this many milliseconds after the start and arrives now.
    pub(crate) async fn arrives(&self, key: &str, session: Option<&str>, happened: i64) {
        let body = json!({
            "idempotencyKey": key,
            "eventType": "PARTICIPANT_JOINED",
            "sessionId": session,
            "timestamp": START.as_millis() + happened,
            "data": {"id": key},
        });
        assert_eq!(self.accepts(&body.to_string()).await, Accepted::New);
    }

    /// The same, handed over to the worker that was built last; returns whether that had room for it.
    pub(crate) async fn is_handed_over(&self, key: &str, session: Option<&str>) -> bool {
        let to = self.store.hand_over_to();
        let slot = to.slot();
        self.arrives(key, session, 0).await;
        let Some(slot) = slot else { return false };
        slot.give(self.store.claim_for(&to, self.clock.now()).await).expect("the worker is alive");
        true
    }

    pub(crate) async fn accepts(&self, body: &str) -> Accepted {
        let delivery =
            Delivery::parse("main", self.clock.now(), body.to_owned().into()).expect("an envelope");
        self.store.accept(delivery).await.expect("accepted")
    }

    /// A worker that would not poll within a test, with one plain handler.
    pub(crate) fn worker(&self, handler: &Acting) -> WorkerBuilder<Arc<TestStore>> {
        self.worker_with(Handlers::new().plain("handler", handler.clone()))
    }

    pub(crate) fn worker_with(&self, handlers: Handlers) -> WorkerBuilder<Arc<TestStore>> {
        Worker::builder(self.store.clone(), handlers).clock(self.clock.clone()).poll_interval(HOUR)
    }

    /// A handler that does what `act` says, and remembers when it was called.
    pub(crate) fn acting<R>(&self, act: impl Fn(Delivery) -> R + Send + Sync + 'static) -> Acting
    where
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        let act = Arc::new(move |delivery| act(delivery).boxed());
        Acting { runs: Arc::new(watch::Sender::new(Vec::new())), clock: self.clock.clone(), act }
    }

    /// A handler that needs this long, and succeeds.
    pub(crate) fn taking(&self, time: Duration) -> Acting {
        self.acting(move |_| async move {
            tokio::time::sleep(time).await;
            Ok(Handled::Done)
        })
    }

    /// A handler that returns immediately.
    pub(crate) fn returning(
        &self,
        answer: impl Fn(&Delivery) -> HandlerResult + Send + Sync + 'static,
    ) -> Acting {
        self.acting(move |delivery| {
            let answer = answer(&delivery);
            async { answer }
        })
    }

    pub(crate) async fn event(&self, key: &str) -> StoredEvent {
        let query = EventQuery { idempotency_key: Some(key.into()), ..EventQuery::default() };
        self.store.events(&query).await.expect("listed").items.remove(0)
    }

    /// The event once `wanted` is true for it.
    pub(crate) async fn event_when(&self, key: &str, wanted: impl Fn(&StoredEvent) -> bool) -> StoredEvent {
        let mut changes = self.store.changes();
        within(24 * HOUR, async {
            loop {
                let event = self.event(key).await;
                if wanted(&event) {
                    return event;
                }
                changes.changed().await.expect("the store is alive");
            }
        })
        .await
    }

    pub(crate) async fn settled(&self, key: &str) -> StoredEvent {
        self.event_when(key, |event| event.state.is_settled()).await
    }

    /// Waits until nothing is waiting or running.
    pub(crate) async fn all_settled(&self) {
        let mut changes = self.store.changes();
        within(24 * HOUR, async {
            loop {
                let stats = self.store.stats().await.expect("counted");
                if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
                    return;
                }
                changes.changed().await.expect("the store is alive");
            }
        })
        .await;
    }

    pub(crate) async fn is_done(&self, key: &str) {
        assert_eq!(self.settled(key).await.state, EventState::Done, "{key}");
    }
}

/// The paused time, which can jump as a wall clock does when it is set or the machine slept.
#[derive(Debug, Clone)]
pub(crate) struct WallClock {
    tokio: TokioClock,
    ahead: Arc<AtomicU64>,
}

impl WallClock {
    pub(crate) fn jump(&self, by: Duration) {
        self.ahead.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        self.tokio.now().saturating_add(Duration::from_millis(self.ahead.load(Ordering::SeqCst)))
    }
}

/// Fails when this takes longer in paused time.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> T {
    timeout(limit, work).await.unwrap_or_else(|_| panic!("not within {limit:?}"))
}

/// A handler that remembers when it was called. Clones share the memory.
#[derive(Clone)]
pub(crate) struct Acting {
    runs: Arc<watch::Sender<Vec<Run>>>,
    clock: WallClock,
    act: Arc<dyn Fn(Delivery) -> BoxFuture<'static, HandlerResult> + Send + Sync>,
}

/// One call.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) key: String,
    pub(crate) attempt: u32,
    /// Since the start.
    pub(crate) at: Duration,
    pub(crate) unknown: Option<String>,
}

impl Acting {
    pub(crate) fn runs(&self) -> Vec<Run> {
        self.runs.borrow().clone()
    }

    /// The keys in the order of the calls.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.runs().into_iter().map(|run| run.key).collect()
    }

    /// Waits until it was called this often, and returns all calls.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Run> {
        let mut runs = self.runs.subscribe();
        within(24 * HOUR, runs.wait_for(|runs| runs.len() >= count))
            .await
            .expect("the sender is ours")
            .clone()
    }

    async fn run(&self, delivery: &Delivery, unknown: Option<String>) -> HandlerResult {
        let run = Run {
            key: delivery.envelope.idempotency_key.to_string(),
            attempt: delivery.attempt,
            at: self.clock.now().duration_since(START),
            unknown,
        };
        self.runs.send_modify(|runs| runs.push(run));
        (self.act)(delivery.clone()).await
    }
}

#[async_trait]
impl EventHandler for Acting {
    async fn participant_joined(&self, cx: &mut Context<'_>, _: &ParticipantJoined) -> HandlerResult {
        self.run(cx.delivery(), None).await
    }

    async fn unknown(&self, cx: &mut Context<'_>, event: &UnknownEvent<'_>) -> HandlerResult {
        self.run(cx.delivery(), Some(event.reason.to_string())).await
    }
}
