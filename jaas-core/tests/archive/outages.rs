//! A disk that is full: nothing counts as stored that is not there, the record says why, and the file is kept once the
//! disk has room.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::archive::{
    Archive, ArchiverHandle, ArtifactKind, ArtifactQuery, ArtifactRecord, ArtifactState, ArtifactStore as _,
    HttpFetcher, ObjectSink,
};
use jaas_core::store::{EventStore as _, MemoryStore};
use jaas_core::{Backoff, Clock as _, Handlers, SystemClock, Worker, WorkerHandle};
use jaas_testkit::archive::{FileServer, Reply, uploaded};

use crate::archive::world::{HOUR, Heard};

const FILE: usize = 3_000_000;
const OBJECT: &str = "vpaas-magic-cookie-1/math/s-1/recording-k-1.mp4";

/// An archiver that fetches one file from this machine.
struct Running {
    store: Arc<MemoryStore>,
    heard: Heard,
    worker: WorkerHandle,
    archiver: ArchiverHandle,
    _server: FileServer,
}

impl Running {
    async fn start(sink: ObjectSink) -> Self {
        let server = FileServer::start().await.expect("a server");
        let link = server.serve("/p/token/file.mp4", [Reply::file(vec![7; FILE])]);
        let store = Arc::new(MemoryStore::new());
        let pause = Duration::from_millis(50);
        let archive = Archive::builder(store.clone(), sink)
            .fetcher(HttpFetcher::builder().local_files().build().expect("a fetcher"))
            .backoff(Backoff::default().initial_delay(pause).max_delay(pause))
            .poll_interval(Duration::from_millis(10))
            .build()
            .expect("an archive");
        let handlers = Handlers::new().transactional("archive", archive.intake());
        let worker = Worker::builder(store.clone(), handlers).build().expect("a worker").spawn();
        let heard = Heard::default();
        let archiver = archive.spawn(heard.clone());
        let now = SystemClock.now();
        let event =
            uploaded(ArtifactKind::Recording, "k-1", "s-1", &link, now, now.saturating_add(24 * HOUR));
        store.accept(event).await.expect("accepted");
        Self { store, heard, worker, archiver, _server: server }
    }

    /// The record, once it is as wanted.
    async fn when(&self, wanted: impl Fn(&ArtifactRecord) -> bool) -> ArtifactRecord {
        let look = async {
            loop {
                let records = self.store.artifacts(&ArtifactQuery::default()).await.expect("listed").items;
                if let Some(record) = records.into_iter().find(&wanted) {
                    return record;
                }
                // An archiver sends no signal when it has recorded a try.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), look).await.expect("in time")
    }

    /// Waits until several tries have failed with an error that says this, and checks that nothing counts as stored.
    async fn fails_with(&self, text: &str) {
        let record = self.when(|record| record.failures >= 2).await;
        assert!(record.kept.is_none() && self.heard.lines().is_empty(), "nothing is stored");
        let error = record.error.expect("an error");
        assert!(error.contains("the sink failed") && error.contains(text), "{error}");
        for hidden in ["token", "math"] {
            assert!(!error.contains(hidden), "{error}");
        }
    }

    async fn is_kept(&self) {
        let record = self.when(|record| record.state == ArtifactState::Stored).await;
        assert_eq!(record.kept.expect("kept").bytes, FILE as u64);
        assert_eq!(self.heard.lines(), [format!("stored k-1 {FILE}")]);
    }

    async fn stop(self) {
        self.archiver.stop(Duration::from_secs(1)).await;
        self.worker.stop(Duration::from_secs(1)).await;
    }
}

/// A small file system, which is there until it is dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// A file system with so many bytes; `None`, which is printed, where this process may not mount one.
    fn mounted(bytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        let _ = writeln!(std::io::stderr(), "NOT TESTED here: a full disk, because tmpfs cannot be mounted");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn resize(&self, bytes: usize) {
        let options = format!("remount,size={bytes}");
        let resized = Command::new("mount").args(["-o", &options]).arg(self.path()).status().expect("run");
        assert!(resized.success());
    }

    /// How many files are in it.
    fn files(&self) -> usize {
        fn below(folder: &Path) -> usize {
            let entries =
                std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
            entries.map(|path| if path.is_dir() { below(&path) } else { 1 }).sum()
        }
        below(self.path())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_keeps_nothing_and_is_used_again_when_it_has_room() {
    let Some(disk) = SmallDisk::mounted(1 << 20) else { return };
    let running = Running::start(ObjectSink::folder(disk.path()).expect("a folder")).await;
    running.fails_with("No space left on device").await;
    assert!(!disk.path().join(OBJECT).exists());
    disk.resize(16 << 20);
    running.is_kept().await;
    running.stop().await;
    assert_eq!(std::fs::read(disk.path().join(OBJECT)).expect("kept").len(), FILE);
    assert_eq!(disk.files(), 1, "what was written before the disk was full is removed");
}
