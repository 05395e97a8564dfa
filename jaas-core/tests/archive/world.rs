//! An archiver, a fetcher that follows a script, and a handler that writes down what it hears.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use jaas_core::archive::{
    Archive, ArchiveBuilder, ArchiverHandle, ArtifactContext, ArtifactHandler, ArtifactKind, ArtifactQuery,
    ArtifactRecord, ArtifactStore, AtRisk, Fetch, FetchError, FetchErrorKind, Fetched, Kept, Lost, Resume,
};
use jaas_core::store::{Accepted, EventStore as _, MemoryStore};
use jaas_core::{
    Delivery, Handled, HandlerError, HandlerResult, Handlers, Link, Timestamp, Worker, WorkerHandle,
};
use jaas_testkit::TokioClock;
use jaas_testkit::archive::{FakeSink, uploaded};

pub(crate) const START: Timestamp = Timestamp::from_millis(1_795_420_800_000);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// What a fetch does.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    File(&'static str),
    Fail(FetchErrorKind),
    /// Takes this long, and is a file then.
    Slow(Duration),
    /// Never ends.
    Hang,
}

/// Follows a script for each link, and repeats its last act.
#[derive(Clone, Default)]
pub(crate) struct ScriptedFetch(Arc<Mutex<HashMap<String, VecDeque<Act>>>>, Arc<Mutex<Vec<String>>>);

impl ScriptedFetch {
    pub(crate) fn script(&self, link: &str, acts: impl IntoIterator<Item = Act>) {
        self.0.lock().expect("not poisoned").insert(link.to_owned(), acts.into_iter().collect());
    }

    /// The links that were fetched, in their order.
    pub(crate) fn fetched(&self) -> Vec<String> {
        self.1.lock().expect("not poisoned").clone()
    }
}

#[async_trait]
impl Fetch for ScriptedFetch {
    async fn fetch(&self, link: &Link, _: Option<&Resume>) -> Result<Fetched, FetchError> {
        self.1.lock().expect("not poisoned").push(link.expose().to_owned());
        let act = {
            let mut scripts = self.0.lock().expect("not poisoned");
            let script = scripts.get_mut(link.expose()).expect("a link with a script");
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        let body = |text: &'static str| {
            futures_util::stream::iter([Ok(Bytes::from_static(text.as_bytes()))]).boxed()
        };
        match act.expect("something to do") {
            Act::File(text) => Ok(Fetched::new(body(text))),
            Act::Fail(kind) => Err(FetchError::new(kind, format!("scripted to be {kind:?}"))),
            Act::Slow(time) => {
                tokio::time::sleep(time).await;
                Ok(Fetched::new(body("slow")))
            }
            Act::Hang => std::future::pending().await,
        }
    }
}

/// Writes down what it hears as `what key`, and fails as often as [`fail`](Heard::fail) says.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    failures: Arc<Mutex<usize>>,
}

impl Heard {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("not poisoned").clone()
    }

    pub(crate) fn fail(&self, times: usize) {
        *self.failures.lock().expect("not poisoned") = times;
    }

    fn hear(&self, line: String) -> HandlerResult {
        let mut failures = self.failures.lock().expect("not poisoned");
        if *failures > 0 {
            *failures -= 1;
            return Err(HandlerError::retry("not today"));
        }
        self.lines.lock().expect("not poisoned").push(line);
        Ok(Handled::Done)
    }
}

#[async_trait]
impl ArtifactHandler for Heard {
    async fn stored(&self, cx: &mut ArtifactContext<'_>, kept: &Kept) -> HandlerResult {
        self.hear(format!("stored {} {}", cx.artifact().idempotency_key, kept.bytes))
    }

    async fn at_risk(&self, cx: &mut ArtifactContext<'_>, risk: &AtRisk) -> HandlerResult {
        self.hear(format!("at risk {} {}", cx.artifact().idempotency_key, risk.left.as_secs() / 3600))
    }

    async fn lost(&self, cx: &mut ArtifactContext<'_>, lost: &Lost) -> HandlerResult {
        self.hear(format!("lost {} {}", cx.artifact().idempotency_key, lost.why))
    }
}

/// A store with a worker that has the intake, and an archiver.
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) fetch: ScriptedFetch,
    pub(crate) sink: FakeSink,
    pub(crate) heard: Heard,
    pub(crate) clock: TokioClock,
    worker: WorkerHandle,
    archiver: ArchiverHandle,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::with(|archive| archive)
    }

    pub(crate) fn with(
        settings: impl FnOnce(ArchiveBuilder<Arc<MemoryStore>>) -> ArchiveBuilder<Arc<MemoryStore>>,
    ) -> Self {
        Self::over(Arc::new(MemoryStore::new()), settings)
    }

    pub(crate) fn over(
        store: Arc<MemoryStore>,
        settings: impl FnOnce(ArchiveBuilder<Arc<MemoryStore>>) -> ArchiveBuilder<Arc<MemoryStore>>,
    ) -> Self {
        let clock = TokioClock::starting_at(START);
        let (fetch, sink, heard) = (ScriptedFetch::default(), FakeSink::new(), Heard::default());
        let archive = Archive::builder(store.clone(), sink.clone()).fetcher(fetch.clone()).clock(clock);
        // Days pass in these tests.
        let archive = archive.poll_interval(Duration::from_secs(10));
        let archive = settings(archive).build().expect("an archive");
        let handlers = Handlers::new().transactional("archive", archive.intake());
        let worker = Worker::builder(store.clone(), handlers)
            .clock(clock)
            .poll_interval(Duration::from_secs(60))
            .build()
            .expect("a worker")
            .spawn();
        let archiver = archive.spawn(heard.clone());
        Self { store, fetch, sink, heard, clock, worker, archiver }
    }

    /// An event with a link that does this, and that dies after this time.
    pub(crate) async fn event(&self, key: &str, dies_after: Duration, acts: impl IntoIterator<Item = Act>) {
        let link = format!("https://8x8.vc/p/{key}/token");
        self.fetch.script(&link, acts);
        let now = jaas_core::Clock::now(&self.clock);
        let deadline = now.saturating_add(dies_after);
        self.accept(uploaded(ArtifactKind::Recording, key, "s-1", &link, now, deadline)).await;
    }

    pub(crate) async fn accept(&self, delivery: Delivery) {
        assert_eq!(self.store.accept(delivery).await.expect("accepted"), Accepted::New);
    }

    pub(crate) async fn records(&self) -> Vec<ArtifactRecord> {
        self.store.artifacts(&ArtifactQuery::default()).await.expect("listed").items
    }

    pub(crate) async fn stop(self, grace: Duration) -> (Arc<MemoryStore>, FakeSink, Heard) {
        self.worker.stop(grace).await;
        self.archiver.stop(grace).await;
        (self.store, self.sink, self.heard)
    }
}

/// Lets time pass, in which tasks run.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}
