//! Four files of 2 GiB at once (`JAAS_BENCH_MIB` for another length): by how much the resident memory of the process grows, and how long the next event of
//! the same session waits.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jaas_core::archive::{
    Archive, ArtifactHandler, ArtifactKind, ArtifactQuery, ArtifactState, ArtifactStore as _, HttpFetcher,
    ObjectSink,
};
use jaas_core::event::ParticipantJoined;
use jaas_core::store::EventStore as _;
use jaas_core::{
    Clock as _, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, SystemClock, Worker,
};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use jaas_testkit::archive::uploaded;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::files::Files;

const FILES: usize = 4;
const ADDRESS: &str = "JAAS_BENCH_LINK";

/// The length of each file in MiB, if it is not 2 GiB.
const MIB: &str = "JAAS_BENCH_MIB";

/// The length of each file, in bytes.
fn bytes() -> u64 {
    std::env::var(MIB).map_or(2048, |mib| mib.parse().expect("a number of MiB")) << 20
}

/// The promises.
const MAX_GROWTH: u64 = 64 << 20;
const MAX_WAIT: Duration = Duration::from_millis(100);

pub(crate) async fn measure() {
    println!(
        "\n{FILES} files of {} MiB at once, over HTTP from this machine into a folder; events on SQLite",
        bytes() >> 20
    );
    let files = Files::start();
    let status = Command::new(std::env::current_exe().unwrap())
        .env(crate::ROLE, "memory")
        .env(ADDRESS, files.link(bytes(), 0, ""))
        .stdout(Stdio::inherit())
        .status();
    assert!(status.unwrap().success(), "a promise is broken; see above");
}

struct Silent;
impl ArtifactHandler<Connection> for Silent {}

/// Sends the key of each event that it handles.
struct Heard(mpsc::UnboundedSender<()>);

#[async_trait]
impl EventHandler for Heard {
    async fn participant_joined(&self, _: &mut Context<'_>, _: &ParticipantJoined) -> HandlerResult {
        let _ = self.0.send(());
        Ok(Handled::Done)
    }
}

/// The process that fetches.
pub(crate) async fn measured() {
    let link = std::env::var(ADDRESS).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.unwrap();
    let archive = Archive::builder(store.clone(), ObjectSink::folder(folder.path().join("files")).unwrap())
        .fetcher(HttpFetcher::builder().local_files().build().unwrap())
        .build()
        .unwrap();
    let (sender, mut heard) = mpsc::unbounded_channel();
    let handlers = Handlers::new().transactional("archive", archive.intake()).plain("heard", Heard(sender));
    let worker = Worker::builder(store.clone(), handlers).build().unwrap().spawn();
    let archiver = archive.spawn(Silent);
    // Once through everything, so that what is allocated once does not count.
    recorded(&store, 1, &link.replace(&bytes().to_string(), "1000000"), "warm").await;
    joined(&store, &mut heard, "warm").await;
    stored(&store, 1).await;
    let mut alone = Vec::new();
    for number in 0..50 {
        alone.push(joined(&store, &mut heard, &format!("alone-{number}")).await);
    }

    let (before, largest, ends) = (resident(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watch = std::thread::spawn({
        let (largest, ends) = (largest.clone(), ends.clone());
        move || {
            while !ends.load(Ordering::Relaxed) {
                largest.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let began = Instant::now();
    recorded(&store, FILES, &link, "file").await;
    let mut waits = Vec::new();
    while running(&store).await < FILES {
        sleep(Duration::from_millis(5)).await;
    }
    while running(&store).await > 0 {
        waits.push(joined(&store, &mut heard, &format!("j-{}", waits.len())).await);
        sleep(Duration::from_millis(100)).await;
    }
    stored(&store, FILES + 1).await;
    let took = began.elapsed();
    ends.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    archiver.stop(Duration::from_secs(5)).await;
    worker.stop(Duration::from_secs(5)).await;

    waits.sort();
    alone.sort();
    let growth = largest.load(Ordering::Relaxed).saturating_sub(before);
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    let late = waits.iter().filter(|wait| **wait > MAX_WAIT).count();
    println!(
        "resident: {} MiB before, {} MiB more at most (promise: {}); {:.0} MiB/s for {took:.1?}\nnext event of the session, \
         accepted to handled: median {median:.1?}, longest {longest:.1?} of {} (promise: {MAX_WAIT:?}, {late} over it); \
         without files: median {:.1?}, longest {:.1?}",
        before >> 20,
        growth >> 20,
        MAX_GROWTH >> 20,
        (FILES as u64 * (bytes() >> 20)) as f64 / took.as_secs_f64(),
        waits.len(),
        alone[alone.len() / 2],
        alone[alone.len() - 1],
    );
    std::io::stdout().flush().unwrap();
    if growth > MAX_GROWTH || late > 0 {
        std::process::exit(1);
    }
}

/// Accepts an event for each file, all of one session.
async fn recorded(store: &SqliteStore, files: usize, link: &str, name: &str) {
    for number in 0..files {
        let (now, key) = (SystemClock.now(), format!("{name}-{number}"));
        let deadline = now.saturating_add(Duration::from_secs(24 * 60 * 60));
        let link = format!("{link}{key}.mp4");
        store.accept(uploaded(ArtifactKind::Recording, &key, "s-1", &link, now, deadline)).await.unwrap();
    }
}

/// How long an event of the same session takes from its acceptance to its handler.
async fn joined(store: &SqliteStore, heard: &mut mpsc::UnboundedReceiver<()>, key: &str) -> Duration {
    let now = SystemClock.now();
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":"s-1","timestamp":{}}}"#,
        now.as_millis()
    );
    store.accept(Delivery::parse("main", now, body.into()).unwrap()).await.unwrap();
    let accepted = Instant::now();
    heard.recv().await.unwrap();
    accepted.elapsed()
}

async fn count(store: &SqliteStore, state: ArtifactState) -> usize {
    let query = ArtifactQuery { state: Some(state), ..ArtifactQuery::default() };
    store.artifacts(&query).await.unwrap().items.len()
}

async fn running(store: &SqliteStore) -> usize {
    count(store, ArtifactState::Running).await
}

async fn stored(store: &SqliteStore, files: usize) {
    while count(store, ArtifactState::Stored).await < files {
        sleep(Duration::from_millis(5)).await;
    }
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
