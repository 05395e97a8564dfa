//! A NATS server that the tests start and kill.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{SOON, say};

pub(crate) struct Nats {
    program: PathBuf,
    folder: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Nats {
    /// Starts a new server. If the program is not installed, prints that and returns `None`.
    pub(crate) async fn create() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
        let Some(program) = folders.map(|folder| folder.join("nats-server")).find(|file| file.is_file())
        else {
            say("NOT TESTED here: publishing to NATS, because nats-server is not installed");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let config = "max_payload: 65536\nhost: 127.0.0.1\n";
        std::fs::write(folder.path().join("nats.conf"), config).expect("written");
        let mut nats = Self { program, folder, port: free_port(), server: None };
        nats.start().await;
        Some(nats)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it, and waits until it accepts connections.
    pub(crate) async fn start(&mut self) {
        let server = Command::new(&self.program)
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .arg("-js")
            .arg("-sd")
            .arg(self.folder.path().join("data"))
            .args(["-p", &self.port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        self.server = Some(server.expect("started"));
        let connected = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, connected).await.expect("the NATS server listens in time");
    }

    /// `kill -9`.
    pub(crate) async fn kill(&mut self) {
        self.server.take().expect("running").kill().await.expect("killed");
    }
}

/// Returns a free port that is not assigned to a connection by chance while the server is down.
fn free_port() -> u16 {
    use std::hash::{BuildHasher as _, RandomState};
    let start = RandomState::new().hash_one(0) % 10_000;
    (0..10_000)
        .map(|number| 20_000 + ((start + number) % 10_000) as u16)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
