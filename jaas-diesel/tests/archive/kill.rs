//! A process is killed again and again while it fetches from a server that fails: every file is kept, whole and once.
//!
//! Each test starts this test binary again as the process to kill. `JAAS_TEST_ARCHIVE_KILLS` says how often it is
//! killed, with 50 files for each time: 4 times by default, 100 times for the full dose.

use std::env;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jaas_core::archive::{
    Archive, ArtifactKind, ArtifactQuery, ArtifactState, ArtifactStore as _, HttpFetcher, ObjectSink,
};
use jaas_core::store::{Accepted, EventStore as _, PageRequest};
use jaas_core::{Backoff, Clock as _, Handlers, SystemClock, Worker};
use jaas_testkit::archive::{FileServer, Reply, uploaded};

use crate::archive::backend::{Backend, Mysql, Postgres, Sqlite};
use crate::server;

const CHILD: &str = "JAAS_ARCHIVE_CHILD";
const FOLDER: &str = "JAAS_ARCHIVE_FOLDER";
const KILLS: &str = "JAAS_TEST_ARCHIVE_KILLS";

const FILES_PER_KILL: usize = 50;
const BYTES: usize = 100_000;
const LEASE: Duration = Duration::from_secs(3);

/// The longest time without another file.
const STUCK: Duration = Duration::from_secs(120);

#[test]
fn on_sqlite_every_file_is_kept_whole_and_once_however_often_the_process_dies() {
    runtime().block_on(async {
        let test = "on_sqlite_every_file_is_kept_whole_and_once_however_often_the_process_dies";
        if env::var_os(CHILD).is_some() {
            return survives::<Sqlite>(test, async || String::new()).await;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let address = folder.path().join("jaas.sqlite").to_str().expect("UTF-8").to_owned();
        survives::<Sqlite>(test, async || address).await;
    });
}

#[test]
fn on_postgres_every_file_is_kept_whole_and_once_however_often_the_process_dies() {
    runtime().block_on(async {
        let test = "on_postgres_every_file_is_kept_whole_and_once_however_often_the_process_dies";
        if env::var_os(CHILD).is_some() {
            return survives::<Postgres>(test, async || String::new()).await;
        }
        let database = crate::server_or_return!(server::Postgres);
        survives::<Postgres>(test, async || database.url()).await;
    });
}

#[test]
fn on_mysql_every_file_is_kept_whole_and_once_however_often_the_process_dies() {
    runtime().block_on(async {
        let test = "on_mysql_every_file_is_kept_whole_and_once_however_often_the_process_dies";
        if env::var_os(CHILD).is_some() {
            return survives::<Mysql>(test, async || String::new()).await;
        }
        let database = crate::server_or_return!(server::Mysql);
        survives::<Mysql>(test, async || database.url()).await;
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

async fn survives<B: Backend>(test: &str, address: impl AsyncFnOnce() -> String) {
    if let Ok(address) = env::var(CHILD) {
        let folder = PathBuf::from(env::var_os(FOLDER).expect("a folder"));
        return fetch::<B>(&address, &folder).await;
    }
    let kills: usize = env::var(KILLS).map_or(4, |kills| kills.parse().expect("a number"));
    let files = kills * FILES_PER_KILL;
    let folder = tempfile::tempdir().expect("a folder");
    let address = address().await;
    let server = FileServer::start().await.expect("a file server");
    // Of 100 replies 30 are 5xx, 5 stall, 2 are cut short.
    server.otherwise((0..100_u32).map(|number| match number * 37 % 100 {
        0..20 => Reply::status(503),
        20..30 => Reply::status(500),
        30..35 => Reply::file(vec![1; BYTES]).stall_after(BYTES / 2),
        35..37 => Reply::file(vec![1; BYTES]).cut_after(BYTES / 3),
        _ => Reply::file(vec![1; BYTES]),
    }));
    accept::<B>(&address, &server, files).await;

    let began = Instant::now();
    let mut process = Process::start(test, &address, folder.path());
    let mut before = 0;
    for kill in 1..=kills {
        before = progress::<B>(&address, before, (kill * files / (kills + 1)) as i64).await;
        // At another moment of what is running each time.
        tokio::time::sleep(Duration::from_millis(kill as u64 * 37 % 200)).await;
        process.kill();
        let done = B::count(&address).await;
        assert!(done < files as i64, "killed while files are fetched: {done} of {files}");
        check_objects(folder.path());
        process = Process::start(test, &address, folder.path());
    }
    progress::<B>(&address, before, files as i64).await;
    process.kill();
    let took = began.elapsed();

    let rows = B::rows(&address).await;
    let mut keys: Vec<_> = rows.iter().map(|(key, ..)| key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((rows.len(), keys.len()), (files, files), "each file is reported once");
    assert!(rows.iter().all(|(_, bytes, lost)| *bytes == BYTES as i64 && lost.is_none()), "no file is lost");
    assert_eq!(check_objects(folder.path()), files);
    assert_eq!(stored::<B>(&address).await, files, "no file is forgotten");
    let requests = server.requests().len();
    let _ = writeln!(
        std::io::stderr(),
        "{}: {kills} kills during {files} files: each kept whole and reported once; {requests} requests in {took:.0?}",
        B::NAME
    );
}

/// Fetches until it is killed.
async fn fetch<B: Backend>(address: &str, folder: &Path) {
    let store = B::open(address).await;
    let fetcher = HttpFetcher::builder().local_files().min_speed(1000).speed_window(Duration::from_secs(1));
    let second = Duration::from_secs(1);
    let archive = Archive::builder(store.clone(), ObjectSink::folder(folder).expect("a folder"))
        .fetcher(fetcher.build().expect("a fetcher"))
        .concurrency(16)
        .lease(LEASE)
        .handler_timeout(second)
        .backoff(Backoff::default().initial_delay(second / 10).max_delay(second))
        .poll_interval(second / 10)
        .build()
        .expect("an archive");
    let handlers = Handlers::new().transactional("archive", archive.intake());
    // Each kill is a crash of the event that the intake works on. By default the second makes it a dead letter, for the
    // operator to replay.
    let worker = Worker::builder(store, handlers).lease(LEASE).max_crashes(1000).build().expect("a worker");
    let _worker = worker.spawn();
    let _archiver = archive.spawn(B::Files::default());
    std::future::pending::<()>().await;
}

/// Accepts an event for each file, before the first process fetches.
async fn accept<B: Backend>(address: &str, server: &FileServer, files: usize) {
    let store = B::open(address).await;
    B::create_table(address).await;
    for number in 0..files {
        let now = SystemClock.now();
        let link = server.link(&format!("/{number}.mp4"));
        let deadline = now.saturating_add(Duration::from_secs(24 * 60 * 60));
        let session = format!("s-{}", number % (files / 10));
        let event = uploaded(ArtifactKind::Recording, &format!("k-{number}"), &session, &link, now, deadline);
        assert_eq!(store.accept(event).await.expect("accepted"), Accepted::New);
    }
    B::close(&store).await;
}

/// Waits until so many files are reported; returns how many are.
async fn progress<B: Backend>(address: &str, mut before: i64, wanted: i64) -> i64 {
    let mut moved = Instant::now();
    loop {
        let done = B::count(address).await;
        if done >= wanted {
            return done;
        }
        if done > before {
            (before, moved) = (done, Instant::now());
        }
        assert!(moved.elapsed() < STUCK, "{}: stuck at {done} files of {wanted}", B::NAME);
        // The other process sends no signal.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many artifacts are recorded as stored.
async fn stored<B: Backend>(address: &str) -> usize {
    let store = B::open(address).await;
    let mut query = ArtifactQuery { state: Some(ArtifactState::Stored), ..ArtifactQuery::default() };
    let mut found = 0;
    loop {
        let page = store.artifacts(&query).await.expect("listed");
        found += page.items.iter().filter(|record| record.kept.is_some()).count();
        let Some(next) = page.next else { break };
        query.page = PageRequest { after: Some(next), ..query.page };
    }
    B::close(&store).await;
    found
}

/// Checks that each visible object is whole; returns how many there are.
fn check_objects(folder: &Path) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found += check_objects(&path);
        } else if !path.to_string_lossy().contains('#') {
            // With a number sign: what was being written when a process died. It is not an object, and is removed
            // later.
            let bytes = std::fs::read(&path).expect("an object");
            assert!(bytes.len() == BYTES && bytes.iter().all(|byte| *byte == 1), "{}", path.display());
            found += 1;
        }
    }
    found
}

/// A process that is killed when it is dropped.
struct Process(Child);

impl Process {
    fn start(test: &str, address: &str, folder: &Path) -> Self {
        let child = Command::new(env::current_exe().expect("a path"))
            .args([&format!("archive::kill::{test}"), "--exact", "--test-threads=1"])
            .env(CHILD, address)
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("started"))
    }

    /// Kills it with SIGKILL; it must have run until then.
    fn kill(&mut self) {
        assert!(self.0.try_wait().expect("waited").is_none(), "the process runs until it is killed");
        self.0.kill().expect("killed");
        self.0.wait().expect("waited");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
