//! The server as a process of its own: meetings sent to it over HTTP, and what its routes say of them.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jaas_core::{Clock as _, SystemClock};
use jaas_testkit::Signer;
use jaas_testkit::simulator::{Meeting, Person};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const SECRET: &str = "whsec_9635df66714a4cf088ee9d0979dd3bf6";
const SOON: Duration = Duration::from_secs(60);

struct Server {
    child: Child,
    base: String,
    client: reqwest::Client,
}

impl Server {
    async fn start(database: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_attendance"))
            .env("JAAS_WEBHOOK_SECRET", SECRET)
            .env("JAAS_BIND", "127.0.0.1:0")
            .env("JAAS_DATABASE", database)
            .env("RUST_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("started");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let listening = async {
            loop {
                let line = lines.next_line().await.expect("read").expect("it goes on");
                let address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
                if let Some(address) = address {
                    return address.to_owned();
                }
            }
        };
        let address = tokio::time::timeout(SOON, listening).await.expect("listening in time");
        // Somebody has to read it, or the server blocks when the pipe is full.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, base: format!("http://{address}"), client: reqwest::Client::new() }
    }

    async fn deliver(&self, body: Bytes) {
        let request = Signer::new(SECRET).expect("a secret").sign(SystemClock.now(), body);
        let mut post = self.client.post(format!("{}/webhooks/jaas", self.base));
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        let status = post.body(request.body).send().await.expect("a reply").status();
        assert_eq!(status, 200);
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let reply = self.client.get(format!("{}{path}", self.base)).send().await.expect("a reply");
        (reply.status().as_u16(), reply.text().await.expect("a body"))
    }

    /// Asks until the answer is as expected.
    async fn until(&self, path: &str, expected: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let (_, body) = self.get(path).await;
            if expected(&body) {
                return body;
            }
            assert!(begun.elapsed() < SOON, "{path} still says {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks until so many people are in the main room, in breakout rooms and in the lobby.
    async fn present(&self, room: &str, [main, breakout, lobby]: [usize; 3]) -> Value {
        let parse = |body: &str| serde_json::from_str::<Value>(body).unwrap_or_default();
        let is_so = |body: &str| {
            let body = parse(body);
            let present: Vec<&str> =
                body["present"].as_array().into_iter().flatten().filter_map(room_of).collect();
            let in_main = present.iter().filter(|room| **room == "main").count();
            let in_breakouts = present.iter().filter(|room| room.starts_with("breakout:")).count();
            let waiting = body["lobby"].as_array().map(Vec::len);
            (in_main, in_breakouts, present.len(), waiting) == (main, breakout, main + breakout, Some(lobby))
        };
        parse(&self.until(&format!("/rooms/{room}"), is_so).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_who_is_there_and_who_was_whatever_the_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let server = Server::start(&database).await;
    assert_eq!(server.get("/sessions/unknown.csv").await.0, 404);
    assert_eq!(server.get("/sessions/unknown.svg").await.0, 404);

    let mut meeting = Meeting::new(9).in_room("Support/EU 100%");
    let ada = meeting.join(&Person::named("Ada").moderator());
    meeting.wait(Duration::from_secs(600));
    let tab = meeting.second_tab(ada);
    let visitor = meeting.join_as_visitor(&Person::named("Ines"));
    let breakout = meeting.open_breakout();
    meeting.move_to(ada, breakout);
    meeting.knock(&Person::named("Ben"));
    for body in meeting.bodies().into_iter().rev() {
        server.deliver(body.clone()).await;
        server.deliver(body).await;
    }
    // Events that happened earlier run first, so Ada is in the main room until the last of them has run.
    let present = server.present("Support%2FEU%20100%25", [2, 1, 1]).await;
    let people = present["present"].as_array().expect("a list");
    let ines = people.iter().find(|person| person["name"] == "Ines").expect("Ines");
    assert_eq!((&ines["visitor"], &ines["user_id"]), (&Value::Bool(true), &Value::from("user-ines")));
    assert_eq!(present["lobby"][0]["name"], "Ben");

    meeting.wait(Duration::from_secs(1200));
    meeting.leave(tab);
    meeting.leave(visitor);
    meeting.vanish_all();
    let facts = meeting.facts();
    for body in meeting.bodies().into_iter().rev() {
        server.deliver(body).await;
    }
    server.present("support%2Feu%20100%25", [0, 0, 0]).await;
    let path = format!("/sessions/{}.csv", facts.session);
    let csv = server.until(&path, |csv| !csv.contains(",,") || csv.lines().count() == 3).await;
    let ada = csv.lines().find(|line| line.starts_with("user-ada,Ada,")).expect("Ada");
    let minutes: f64 = ada.split(',').nth(4).and_then(|cell| cell.parse().ok()).expect("minutes");
    let attended = facts.attended_with_ways("user-ada").as_secs_f64() / 60.0;
    assert!((minutes - attended).abs() < 0.006, "{minutes} and {attended}");
    let svg = server.get(&format!("/sessions/{}.svg", facts.session)).await;
    assert!(svg.0 == 200 && svg.1.starts_with("<svg") && svg.1.contains("breakout room"), "{svg:?}");

    // Everything is there after a restart.
    let mut server = server;
    server.child.kill().await.expect("killed");
    let server = Server::start(&database).await;
    assert_eq!(server.get(&path).await, (200, csv));
}

fn room_of(person: &Value) -> Option<&str> {
    person["room"].as_str()
}

trait VanishAll {
    /// The meeting ends, and nobody's departure is told otherwise than by its end.
    fn vanish_all(&mut self);
}

impl VanishAll for Meeting {
    fn vanish_all(&mut self) {
        for presence in self.present() {
            if self.breakout_of(presence).is_none() {
                self.vanish(presence);
            }
        }
        self.end();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_plays_three_meetings_and_prints_what_became_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("timeline.svg");
    let played = Command::new(env!("CARGO_BIN_EXE_attendance"))
        .arg("--once")
        .arg(&picture)
        .env_remove("JAAS_WEBHOOK_SECRET")
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", folder.path().join("jaas.sqlite"))
        .output();
    let output = tokio::time::timeout(SOON, played).await.expect("in time").expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    for expected in [
        "attendance of lesson",
        "user-ben,Ben,",
        "attendance of webinar",
        "dial_in",
        "timeline of lesson",
        "<svg",
        "\"lobby\":[{",
    ] {
        assert!(printed.contains(expected), "{expected} in {printed}");
    }
    let picture = std::fs::read_to_string(&picture).expect("written");
    assert_eq!(picture, include_str!("../timeline.svg"), "write it again: attendance --once timeline.svg");
}
