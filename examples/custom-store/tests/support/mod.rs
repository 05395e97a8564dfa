//! Runs the server as a separate process.

pub mod power;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::{Signer, event};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

/// The timeout for everything that should happen.
pub const SOON: Duration = Duration::from_secs(60);

pub fn joined(key: &str) -> String {
    event::participant_joined().key(key).in_session(key).text()
}

pub struct Server {
    child: Child,
    url: String,
    client: reqwest::Client,
    signer: Signer,
}

impl Server {
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, None).await
    }

    /// No file of the process may grow beyond this many KiB. The signal that would end the process is ignored, so writing fails.
    pub async fn start_with(folder: &Path, limit: Option<u32>) -> Self {
        let limit = limit.map_or(String::new(), |kib| format!("trap '' XFSZ; ulimit -f {};", kib * 2));
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limit} exec {}", env!("CARGO_BIN_EXE_custom-store"))])
            .env("JAAS_WEBHOOK_SECRET", SECRET)
            .env("JAAS_BIND", "127.0.0.1:0")
            .env("JAAS_DATABASE", folder.join("jaas.redb"))
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = timeout(SOON, async {
            while let Some(line) = log.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("listening address=") {
                    return rest.split(' ').next().unwrap().to_owned();
                }
            }
            panic!("it ended");
        });
        let address = listening.await.expect("listening in time");
        // The pipe must be read, or the server blocks when it is full.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let signer = Signer::new(SECRET).unwrap();
        Self { child, url: format!("http://{address}/webhooks/jaas"), client, signer }
    }

    /// Sends a signed body and returns the status, or `None` if the server is gone.
    pub async fn deliver(&self, body: &str) -> Option<u16> {
        let signed = self.signer.sign(SystemClock.now(), body.to_owned());
        let mut post = self.client.post(&self.url);
        for (name, value) in signed.headers() {
            post = post.header(name, value);
        }
        Some(post.body(signed.body).send().await.ok()?.status().as_u16())
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends SIGTERM and returns the exit code.
    pub async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
        timeout(SOON, self.child.wait()).await.expect("stopped in time").unwrap().code()
    }
}
