//! Runs the quickstart server as a separate process.
#![allow(dead_code, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::{Signer, event};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;
use tokio::time::timeout;

pub(crate) const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";

/// The timeout for everything that should happen.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) base: String,
    client: reqwest::Client,
    signer: Signer,
    lines: watch::Receiver<Vec<String>>,
}

impl Server {
    pub(crate) async fn start(database: &Path) -> Self {
        Self::start_with(Command::new(env!("CARGO_BIN_EXE_quickstart")), database).await
    }

    pub(crate) async fn start_with(mut command: Command, database: &Path) -> Self {
        let mut child = command
            .env("JAAS_WEBHOOK_SECRET", SECRET)
            .env("JAAS_BIND", "127.0.0.1:0")
            .env("JAAS_DATABASE", database)
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = timeout(SOON, address(&mut stderr)).await.expect("listening in time");
        // The pipe must be read, or the server blocks when it is full.
        tokio::spawn(async move { while let Ok(Some(_)) = stderr.next_line().await {} });
        let (sender, lines) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = stdout.next_line().await {
                sender.send_modify(|lines: &mut Vec<String>| lines.push(line));
            }
        });
        Self {
            child,
            base: format!("http://{address}"),
            client: reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client"),
            signer: Signer::new(SECRET).expect("a good secret"),
            lines,
        }
    }

    /// Sends a signed body and returns the status.
    pub(crate) async fn deliver(&self, body: &str) -> u16 {
        self.try_deliver(body).await.expect("answered")
    }

    /// Sends a signed body. Returns `None` if the server is gone.
    pub(crate) async fn try_deliver(&self, body: &str) -> Option<u16> {
        let request = self.signer.sign(SystemClock.now(), body.to_owned());
        let mut post = self.client.post(format!("{}/webhooks/jaas", self.base));
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        Some(post.body(request.body).send().await.ok()?.status().as_u16())
    }

    pub(crate) async fn get(&self, path: &str) -> u16 {
        let response = self.client.get(format!("{}{path}", self.base)).send().await.expect("answered");
        response.status().as_u16()
    }

    /// Asks for a page of the console, with this user and password.
    pub(crate) async fn console(&self, path: &str, login: Option<(&str, &str)>) -> reqwest::Response {
        let mut request = self.client.get(format!("{}{path}", self.base));
        if let Some((user, password)) = login {
            request = request.basic_auth(user, Some(password));
        }
        request.send().await.expect("answered")
    }

    /// Waits for the line that begins so, and returns it.
    pub(crate) async fn printed(&mut self, beginning: &str) -> String {
        let find = |lines: &Vec<String>| lines.iter().find(|line| line.starts_with(beginning)).cloned();
        let waiting = timeout(SOON, self.lines.wait_for(|lines| find(lines).is_some()));
        let lines = waiting.await.expect("printed in time").expect("printed before the end");
        find(&lines).expect("waited for")
    }

    /// Waits until `count` events have been handled, and returns the `handled` lines by key.
    pub(crate) async fn handled(&mut self, count: usize) -> BTreeMap<String, Vec<String>> {
        let enough = self.lines.wait_for(|lines| by_key(lines).len() >= count);
        let in_time = timeout(SOON, enough).await.is_ok();
        let handled = self.handled_so_far();
        assert!(in_time, "{} of {count} events handled in time", handled.len());
        handled
    }

    /// The `handled` lines so far, by key.
    pub(crate) fn handled_so_far(&self) -> BTreeMap<String, Vec<String>> {
        by_key(&self.lines.borrow())
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> BTreeMap<String, Vec<String>> {
        self.child.kill().await.expect("killed");
        // What it printed before is still in the pipe; its end closes the channel.
        while self.lines.changed().await.is_ok() {}
        self.handled_so_far()
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().expect("running").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("sent");
        assert!(sent.success());
        timeout(SOON, self.child.wait()).await.expect("stopped in time").expect("waited").code()
    }
}

/// `<EVENT_TYPE> attempt=<n>` of each `handled` line, by key.
fn by_key(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        if let ["handled", event_type, key, attempt] = words[..] {
            keys.entry(key.to_owned()).or_default().push(format!("{event_type} {attempt}"));
        }
    }
    keys
}

async fn address(stderr: &mut Lines<BufReader<ChildStderr>>) -> String {
    let mut log = Vec::new();
    while let Some(line) = stderr.next_line().await.expect("read") {
        if let Some((_, rest)) = line.split_once("listening address=") {
            return rest.split(' ').next().expect("an address").to_owned();
        }
        log.push(line);
    }
    panic!("the server ended: {}", log.join("\n"));
}

/// A plain event with this key.
pub(crate) fn event(key: &str) -> String {
    event::participant_joined().key(key).in_session(format!("s-{key}")).text()
}
