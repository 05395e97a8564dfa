//! The database goes away while a file is fetched: the file is recorded when the database is back, and once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use jaas_core::archive::{
    Archive, ArtifactKind, ArtifactQuery, ArtifactState, ArtifactStore as _, Fetch, FetchError, Fetched,
    ObjectSink, Resume,
};
use jaas_core::store::EventStore as _;
use jaas_core::{Clock as _, Handlers, Link, SystemClock, Worker};
use jaas_testkit::archive::uploaded;
use tokio::sync::Notify;

use crate::archive::backend::{Backend, Mysql, Postgres};
use crate::own_servers::{Kind, OwnServer};

const FILE: &str = "a recording";
const SECOND: Duration = Duration::from_secs(1);

/// A file that arrives when the test lets it.
#[derive(Clone, Default)]
struct Gate {
    begun: Arc<Notify>,
    open: Arc<Notify>,
    fetches: Arc<AtomicUsize>,
}

#[async_trait]
impl Fetch for Gate {
    async fn fetch(&self, _: &Link, _: Option<&Resume>) -> Result<Fetched, FetchError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        self.begun.notify_one();
        self.open.notified().await;
        Ok(Fetched::new(futures_util::stream::iter([Ok(FILE.into())]).boxed()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_recorded_when_postgres_is_back() {
    is_recorded_when_back::<Postgres>(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_recorded_when_mariadb_is_back() {
    is_recorded_when_back::<Mysql>(Kind::Mysql).await;
}

async fn is_recorded_when_back<B: Backend>(kind: Kind) {
    let Some(mut server) = OwnServer::start(kind, &[]).await else { return };
    let address = server.address();
    let store = B::open(&address).await;
    B::create_table(&address).await;
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::default();
    let archive = Archive::builder(store.clone(), ObjectSink::folder(folder.path()).expect("a folder"))
        .fetcher(gate.clone())
        .build()
        .expect("an archive");
    let handlers = Handlers::new().transactional("archive", archive.intake());
    let worker = Worker::builder(store.clone(), handlers).build().expect("a worker").spawn();
    let archiver = archive.spawn(B::Files::default());
    let now = SystemClock.now();
    let deadline = now.saturating_add(24 * 3600 * SECOND);
    let event = uploaded(ArtifactKind::Recording, "k-1", "s-1", "https://8x8.vc/token", now, deadline);
    store.accept(event).await.expect("accepted");
    tokio::time::timeout(30 * SECOND, gate.begun.notified()).await.expect("the file is being fetched");

    server.stop();
    gate.open.notify_one();
    let object = folder.path().join("vpaas-magic-cookie-1/math/s-1/recording-k-1.mp4");
    soon(async || object.exists()).await;
    let error = store.artifacts(&ArtifactQuery::default()).await.expect_err("the database is away");
    assert!(error.is_transient(), "{error}");

    server.start_again(&[]).await;
    soon(async || B::count(&address).await > 0).await;
    let stored = async || {
        let records = store.artifacts(&ArtifactQuery::default()).await.map(|page| page.items);
        records.is_ok_and(|records| records[0].state == ArtifactState::Stored && records[0].kept.is_some())
    };
    soon(stored).await;
    archiver.stop(SECOND).await;
    worker.stop(SECOND).await;
    assert_eq!(B::rows(&address).await, [("k-1".to_owned(), FILE.len() as i64, None)]);
    assert_eq!(gate.fetches.load(Ordering::Relaxed), 1, "the file is not fetched again");
    assert_eq!(std::fs::read(&object).expect("an object"), FILE.as_bytes());
    B::close(&store).await;
}

/// Waits until this is so.
async fn soon(is_so: impl AsyncFn() -> bool) {
    let look = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(60 * SECOND, look).await.expect("in time");
}
