//! Runs the server as a separate process.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
pub(crate) const EVENTS: &str = "/webhooks/jaas";
pub(crate) const SETTINGS: &str = "/webhooks/settings";

/// The timeout for everything that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    child: Child,
    base: String,
    client: reqwest::Client,
    signer: Signer,
    log: watch::Receiver<String>,
}

/// An answer that JaaS would accept.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) keys: Map<String, Value>,
    pub(crate) took: Duration,
}

pub(crate) fn command(database: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_settings"));
    for name in ["SETTINGS_FILE", "SETTINGS_FAILURE", "AUTHORIZATION", "VIP_PASSCODE"] {
        command.env_remove(format!("JAAS_{name}"));
    }
    command
        .env("JAAS_WEBHOOK_SECRET", SECRET)
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", database)
        .env("RUST_LOG", "debug")
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    command
}

impl Server {
    pub(crate) async fn start(database: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = command(database, variables)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let (sender, mut log) = watch::channel(String::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|log: &mut String| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        let listening = timeout(SOON, log.wait_for(|log| log.contains("listening address="))).await;
        let log_so_far = listening.expect("listening in time").expect("the server ended").clone();
        let (_, address) = log_so_far.split_once("listening address=").expect("said");
        let address = address.split([' ', '\n']).next().expect("an address");
        Self {
            child,
            base: format!("http://{address}"),
            client: reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client"),
            signer: Signer::new(SECRET).expect("a good secret"),
            log,
        }
    }

    /// Posts a body with these headers, and returns status and body.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, Vec<u8>) {
        let mut post = self.client.post(format!("{}{path}", self.base)).body(body.to_owned());
        for (name, value) in headers {
            post = post.header(*name, *value);
        }
        let response = post.send().await.expect("answered");
        (response.status().as_u16(), response.bytes().await.expect("a body").to_vec())
    }

    pub(crate) async fn post_signed(&self, path: &str, body: &str) -> (u16, Vec<u8>) {
        let request = self.signer.sign(SystemClock.now(), body.to_owned());
        self.post(path, &request.headers(), body).await
    }

    /// Asks about a meeting, signed, and checks that JaaS would accept the answer.
    pub(crate) async fn ask(&self, path: &str, fqn: &str) -> Answer {
        let question = jaas_testkit::settings::SettingsQuestion::about(fqn).body();
        let asked = Instant::now();
        let (status, body) = self.post_signed(path, &question).await;
        let took = asked.elapsed();
        let keys = jaas_testkit::settings::check_answer(status, &body);
        Answer { status, keys: keys.unwrap_or_else(|error| panic!("{fqn}: {error}")), took }
    }

    pub(crate) async fn get(&self, path: &str) -> u16 {
        self.client.get(format!("{}{path}", self.base)).send().await.expect("answered").status().as_u16()
    }

    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Sends SIGTERM, and returns the exit code and the whole log.
    pub(crate) async fn terminate(mut self) -> (Option<i32>, String) {
        let pid = self.child.id().expect("running").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("sent");
        assert!(sent.success());
        let code = timeout(SOON, self.child.wait()).await.expect("stopped in time").expect("waited").code();
        // The end of the pipe closes the channel.
        while self.log.changed().await.is_ok() {}
        (code, self.log())
    }
}
