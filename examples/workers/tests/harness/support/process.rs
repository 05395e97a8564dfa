//! Runs the example as processes.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::database::Database;
use super::sender::{SECRET, Sender};

/// Starting and stopping take no longer than this.
const SOON: Duration = Duration::from_secs(30);

/// How the processes of a test are started.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) url: String,
    pub(crate) role: &'static str,
    pub(crate) slow: Duration,
    /// `None` for the default.
    pub(crate) lease: Option<Duration>,
}

impl Plan {
    pub(crate) fn new(database: &Database) -> Self {
        Self { url: database.url.clone(), role: "both", slow: Duration::ZERO, lease: None }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workers"));
        command
            .args(["--role", self.role, "--slow-ms", &self.slow.as_millis().to_string()])
            .env("DATABASE_URL", &self.url)
            .env("JAAS_BIND", "127.0.0.1:0")
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if self.role != "worker" {
            command.env("JAAS_WEBHOOK_SECRET", SECRET);
        }
        if let Some(lease) = self.lease {
            command.env("JAAS_LEASE_MS", lease.as_millis().to_string());
        }
        command
    }

    pub(crate) async fn start(&self) -> Process {
        let mut child = self.command().spawn().expect("started");
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, mut log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                sender.send_modify(|log: &mut Vec<String>| log.push(line));
            }
        });
        let address = timeout(SOON, async {
            loop {
                if let Some(address) = log.borrow_and_update().iter().find_map(|line| address(line)) {
                    return address;
                }
                let ended = log.changed().await.is_err();
                assert!(!ended, "the process ended: {}", log.borrow().join("\n"));
            }
        });
        let address = address_in_time(address.await);
        // It listens a moment before it handles SIGTERM, and responds only after that.
        assert_eq!(Sender::to(&address).get("/livez").await, 200);
        Process { child, address, log }
    }
}

fn address_in_time(address: Result<String, tokio::time::error::Elapsed>) -> String {
    address.expect("listening in time")
}

fn address(line: &str) -> Option<String> {
    Some(line.split_once("listening address=")?.1.split(' ').next()?.to_owned())
}

pub(crate) struct Process {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
    log: watch::Receiver<Vec<String>>,
}

impl Process {
    /// Its name, as in the rows.
    pub(crate) fn is(&self, worker: &str) -> bool {
        worker.ends_with(&format!("-{}", self.pid()))
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("running")
    }

    async fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().await;
        assert!(sent.expect("sent").success(), "{signal}");
    }

    pub(crate) async fn freeze(&self) {
        self.signal("-STOP").await;
    }

    pub(crate) async fn thaw(&self) {
        self.signal("-CONT").await;
    }

    /// Kills it with `kill -9`, and returns its log.
    pub(crate) async fn kill(mut self) -> Vec<String> {
        self.child.kill().await.expect("killed");
        self.logged().await
    }

    /// Stops it with SIGTERM, which must succeed, and returns its log.
    pub(crate) async fn terminate(mut self) -> Vec<String> {
        self.signal("-TERM").await;
        let status = timeout(SOON, self.child.wait()).await.expect("stopped in time").expect("waited");
        let log = self.logged().await;
        assert_eq!(status.code(), Some(0), "{}", log.join("\n"));
        log
    }

    async fn logged(mut self) -> Vec<String> {
        while self.log.changed().await.is_ok() {}
        self.log.borrow().clone()
    }

    /// Returns which of these texts is in a line of its log, if any.
    pub(crate) fn says<'a>(&self, any: &[&'a str]) -> Option<&'a str> {
        let log = self.log.borrow();
        any.iter().copied().find(|part| log.iter().any(|line| line.contains(part)))
    }
}

/// Returns the warnings of processes with their counts, the most frequent first. Numbers are removed, so that equal warnings
/// are counted together.
pub(crate) fn warnings(log: &[String]) -> Vec<(usize, String)> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for line in log {
        let Some((_, said)) = line.split_once(" WARN ").or_else(|| line.split_once("ERROR ")) else {
            continue;
        };
        let kind: String = said.chars().filter(|char| !char.is_ascii_digit()).take(220).collect();
        *kinds.entry(kind).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| (count, kind)).collect();
    kinds.sort_by(|one, other| other.cmp(one));
    kinds
}

/// Several processes, any of which can be sent to, as behind a load balancer.
pub(crate) struct Fleet {
    plan: Plan,
    running: Vec<Option<Process>>,
    addresses: Addresses,
    log: Vec<String>,
}

/// Where the processes listen at the moment.
pub(crate) type Addresses = Arc<Mutex<Vec<String>>>;

impl Fleet {
    pub(crate) async fn start(plan: Plan, processes: usize) -> Self {
        // All at the same time, so that they race for the tables.
        let starting: Vec<_> = (0..processes)
            .map(|_| {
                let plan = plan.clone();
                tokio::spawn(async move { plan.start().await })
            })
            .collect();
        let mut running = Vec::new();
        for process in starting {
            running.push(Some(process.await.expect("started")));
        }
        let addresses = running.iter().flatten().map(|process| process.address.clone()).collect();
        Self { plan, running, addresses: Arc::new(Mutex::new(addresses)), log: Vec::new() }
    }

    pub(crate) fn addresses(&self) -> Addresses {
        self.addresses.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.running.len()
    }

    /// Kills it with `kill -9`, and restarts it immediately.
    pub(crate) async fn kill_and_restart(&mut self, which: usize) {
        let process = self.running[which].take().expect("running");
        self.log.extend(process.kill().await);
        let process = self.plan.start().await;
        self.addresses.lock().expect("not poisoned")[which].clone_from(&process.address);
        self.running[which] = Some(process);
    }

    /// Stops them with SIGTERM, and returns all their logs.
    pub(crate) async fn terminate(mut self) -> Vec<String> {
        for process in self.running.drain(..).flatten() {
            self.log.extend(process.terminate().await);
        }
        self.log
    }
}
