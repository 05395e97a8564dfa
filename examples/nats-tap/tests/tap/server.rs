//! Runs the example as a process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use diesel::QueryDsl as _;
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_diesel::sqlite::Connection;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::load::SECRET;
use crate::{SOON, dose};

diesel::table! {
    journal (id) {
        id -> BigInt,
        event_key -> Text,
        received_at -> BigInt,
        handled_at -> BigInt,
    }
}

pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    nats: String,
    tap: &'static str,
    pub(crate) address: String,
}

/// What `GET /tap` returns.
#[derive(Debug)]
pub(crate) struct Counts {
    pub(crate) published: u64,
    pub(crate) dead: u64,
}

impl Server {
    pub(crate) async fn start(folder: &Path, nats: &str) -> Self {
        Self::start_with(folder, nats, "on").await
    }

    /// The same server, which publishes nothing.
    pub(crate) async fn without_tap(folder: &Path, nats: &str) -> Self {
        Self::start_with(folder, nats, "off").await
    }

    async fn start_with(folder: &Path, nats: &str, tap: &'static str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_nats-tap"))
            .env("JAAS_WEBHOOK_SECRET", SECRET)
            .env("JAAS_BIND", "127.0.0.1:0")
            .env("JAAS_DATABASE", folder.join("jaas.sqlite"))
            .env("JAAS_LEASE_MS", "1500")
            .env("JAAS_TAP", tap)
            .env("NATS_URL", nats)
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let listening = async {
            let mut log = Vec::new();
            while let Some(line) = lines.next_line().await.expect("read") {
                if let Some((_, rest)) = line.split_once("listening address=") {
                    return rest.split(' ').next().expect("an address").to_owned();
                }
                log.push(line);
            }
            panic!("the server ended: {}", log.join("\n"));
        };
        let address = timeout(SOON, listening).await.expect("listening in time");
        // The pipe must be read, or the server blocks when it is full.
        let shown = std::env::var_os("JAAS_HARNESS_LOG").is_some();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if shown && !line.contains(" INFO ") {
                    crate::say(&line);
                }
            }
        });
        Self { child, folder: folder.to_owned(), nats: nats.to_owned(), tap, address }
    }

    /// `kill -9`, and a new process on the same files.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.child.kill().await.expect("killed");
        *self = Self::start_with(&self.folder, &self.nats, self.tap).await;
    }

    pub(crate) async fn tap(&self) -> Counts {
        let got = reqwest::get(format!("http://{}/tap", self.address)).await.expect("a reply");
        let counts: Value = serde_json::from_slice(&got.bytes().await.expect("a body")).expect("JSON");
        let count = |name: &str| counts[name].as_u64().expect("a count");
        Counts { published: count("published"), dead: count("dead") }
    }

    /// Waits until the check succeeds.
    pub(crate) async fn until(&mut self, what: &str, mut yes: impl AsyncFnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !yes(self).await {
            assert!(began.elapsed() < dose(SOON, SOON * 5), "not in time: {what}; {:?}", self.tap().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the application's handler has a row for each event, exactly one. Returns how long each event waited
    /// for it, in ms, in ascending order.
    pub(crate) async fn handled(&mut self, count: usize) -> Vec<i64> {
        let path = self.folder.join("jaas.sqlite");
        let mut connection = Connection::establish(path.to_str().expect("UTF-8")).await.expect("opened");
        connection.batch_execute("PRAGMA busy_timeout = 5000").await.expect("set");
        let mut rows: Vec<(String, i64, i64)> = Vec::new();
        self.until("every event is handled", async |_| {
            let all = journal::table.select((journal::event_key, journal::received_at, journal::handled_at));
            rows = all.load(&mut connection).await.expect("rows");
            rows.len() >= count
        })
        .await;
        let mut keys: Vec<_> = rows.iter().map(|(key, ..)| key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!((rows.len(), keys.len()), (count, count), "each event is handled once");
        let mut waits: Vec<_> = rows.iter().map(|(_, received, handled)| handled - received).collect();
        waits.sort_unstable();
        waits
    }

    /// Waits until this many events are published.
    pub(crate) async fn published(&mut self, count: usize) {
        self.until("every event is published", async |server| server.tap().await.published >= count as u64)
            .await;
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().expect("running").to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.expect("sent").success());
        timeout(SOON, self.child.wait()).await.expect("stopped in time").expect("waited").code()
    }
}
