//! How long it takes to accept events at a steady rate while files are fetched, compared with no files, in turns.

use std::time::Duration;

use jaas_core::archive::{
    Archive, ArtifactHandler, ArtifactKind, ArtifactStore, HttpFetcher, ObjectName, ObjectSink, Sink,
    SinkError, Upload,
};
use jaas_core::{Clock as _, Handlers, SystemClock, Worker};
use jaas_diesel::{PostgresStore, SqliteStore};
use jaas_testkit::archive::uploaded;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::files::Files;
use crate::support::server::Postgres;
use crate::support::{Speed, delivery, prefix};

/// Rounds, each without files and then with them.
const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(5);
const PER_SECOND: u64 = 200;

/// Bytes per second of each of the four files that are fetched at once.
const SPEED: u64 = 10 << 20;

pub(crate) async fn measure() {
    println!(
        "\n{PER_SECOND} events/s accepted, without files and beside four files at {} MiB/s each, {ROUNDS} rounds of \
         {ROUND:?} in turns",
        SPEED >> 20
    );
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::open(folder.path().join("jaas.sqlite")).await.unwrap();
    beside("SQLite, folder on its disk", &sqlite, ObjectSink::folder(folder.path().join("files")).unwrap())
        .await;
    beside("SQLite, sink that takes no disk", &sqlite, Discard).await;
    if let Ok(database) = Postgres::create().await {
        let store = PostgresStore::open(&database.url()).await.unwrap();
        beside(
            "PostgreSQL, folder on its disk",
            &store,
            ObjectSink::folder(folder.path().join("more")).unwrap(),
        )
        .await;
        beside("PostgreSQL, sink that takes no disk", &store, Discard).await;
        store.close().await;
    }
}

struct Silent;
impl<Tx: Send + 'static> ArtifactHandler<Tx> for Silent {}

/// A sink that forgets what it takes, as a bucket elsewhere would.
struct Discard;

#[async_trait::async_trait]
impl Sink for Discard {
    async fn begin(&self, _: &ObjectName) -> Result<Box<dyn Upload>, SinkError> {
        Ok(Box::new(Self))
    }

    async fn delete(&self, _: &ObjectName) -> Result<(), SinkError> {
        Ok(())
    }
}

#[async_trait::async_trait]
impl Upload for Discard {
    async fn write(&mut self, _: bytes::Bytes) -> Result<(), SinkError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    async fn abort(&mut self) {}
}

async fn beside<S: ArtifactStore + Clone>(what: &str, store: &S, sink: impl Sink) {
    let files = Files::start();
    let archive = Archive::builder(store.clone(), sink)
        .fetcher(HttpFetcher::builder().local_files().build().unwrap())
        .build()
        .unwrap();
    let handlers = Handlers::new().transactional("archive", archive.intake());
    let worker = Worker::builder(store.clone(), handlers).build().unwrap().spawn();
    let (mut alone, mut busy) = (Vec::new(), Vec::new());
    // Not measured: what is allocated or planned once.
    accepted(store, Duration::from_secs(1)).await;
    for round in 0..ROUNDS {
        alone.extend(accepted(store, ROUND).await);
        let run = prefix();
        // Files that last for the round: each of the four places fetches files of one second.
        for number in 0..4 * (ROUND.as_secs() + 2) {
            let (now, key) = (SystemClock.now(), format!("{run}-{round}-{number}"));
            let link = files.link(SPEED, SPEED, &key);
            let deadline = now.saturating_add(Duration::from_secs(24 * 60 * 60));
            store.accept(uploaded(ArtifactKind::Recording, &key, &key, &link, now, deadline)).await.unwrap();
        }
        let archiver = archive.spawn(Silent);
        sleep(Duration::from_secs(1)).await;
        busy.extend(accepted(store, ROUND).await);
        let left = store.artifact_stats().await.unwrap().open;
        assert!(left > 0, "files are fetched until the end of the round");
        // The rest is fetched before the next round without files.
        while store.artifact_stats().await.unwrap().open > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        archiver.stop(Duration::from_secs(5)).await;
    }
    worker.stop(Duration::from_secs(5)).await;
    let (alone, busy) = (Speed::of(alone, ROUND), Speed::of(busy, ROUND));
    let ratio = |of: fn(&Speed) -> Duration| of(&busy).as_secs_f64() / of(&alone).as_secs_f64();
    println!(
        "{what:<36} p50 {:.2?} and {:.2?} ({:.2} x), p99 {:.2?} and {:.2?} ({:.2} x), longest {:.1?} and {:.1?}",
        alone.p50,
        busy.p50,
        ratio(|speed| speed.p50),
        alone.p99,
        busy.p99,
        ratio(|speed| speed.p99),
        alone.longest,
        busy.longest,
    );
}

/// Accepts events at the rate for so long; returns how long each took. An event does not wait for the one before.
async fn accepted<S: ArtifactStore + Clone>(store: &S, time: Duration) -> Vec<Duration> {
    let run = prefix();
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (began, mut tasks) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        let due = ticks.tick().await;
        let (store, event) = (store.clone(), delivery(&format!("{run}-{}", tasks.len())));
        tasks.push(tokio::spawn(async move {
            store.accept(event).await.unwrap();
            // From when it was due, so that a late start counts.
            due.elapsed()
        }));
    }
    let mut waits = Vec::with_capacity(tasks.len());
    for task in tasks {
        waits.push(task.await.unwrap());
    }
    waits
}
