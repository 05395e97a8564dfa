//! The whole way on a real server: HTTP, signature, one committed row, worker, handler.
#![cfg(unix)]
#![allow(clippy::expect_used)]

mod support;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::store::{EventAdmin as _, EventQuery, PageRequest};
use jaas_diesel::SqliteStore;
use jaas_testkit::fixture::{self, Fixture};
use support::{SOON, Server, event};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Bodies with distinct keys, and the line that must be printed for each.
fn numbered<'a>(fixtures: &'a [Fixture], prefix: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
    fixtures.iter().enumerate().map(move |(number, fixture)| {
        let key = format!("{prefix}-{number}");
        (fixture::with_key(fixture.body, &key).expect("a body with a key"), key)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_event_reaches_its_handler_over_http() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&folder.path().join("jaas.sqlite")).await;
    let mut expected = Vec::new();
    for (fixtures, prefix) in [(fixture::DOCUMENTED, "seed"), (fixture::EVENTS, "fixture")] {
        for (fixture, (body, key)) in fixtures.iter().zip(numbered(fixtures, prefix)) {
            assert_eq!(server.deliver(&body).await, 200, "{key}");
            expected.push((key, vec![format!("{} attempt=1", fixture.name)]));
        }
    }
    for (body, key) in numbered(fixture::CASES, "case") {
        assert_eq!(server.deliver(&body).await, 200, "{key}: {body}");
    }
    let handled =
        server.handled(fixture::DOCUMENTED.len() + fixture::EVENTS.len() + fixture::CASES.len()).await;
    for (key, lines) in expected {
        assert_eq!(handled.get(&key), Some(&lines), "{key}");
    }
    assert!(handled.values().all(|lines| lines.len() == 1), "every event is handled once");
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_at_once_and_after_a_restart_are_handled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let server = Arc::new(Server::start(&database).await);
    let mut copies = JoinSet::new();
    for _ in 0..64 {
        let server = server.clone();
        copies.spawn(async move { server.deliver(&event("k")).await });
    }
    assert!(copies.join_all().await.iter().all(|status| *status == 200));
    let mut server = Arc::into_inner(server).expect("no other owner");
    server.handled(1).await;
    assert_eq!(server.terminate().await, Some(0));

    let mut server = Server::start(&database).await;
    assert_eq!(server.deliver(&event("k")).await, 200);
    assert_eq!(server.deliver(&event("after")).await, 200);
    let handled = server.handled(1).await;
    assert_eq!(handled.keys().collect::<Vec<_>>(), ["after"]);
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_kill_nine_after_the_2xx_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let mut acknowledged = Vec::new();
    let mut handled = 0;
    for round in 0..5 {
        let server = Arc::new(Server::start(&database).await);
        let mut deliveries = JoinSet::new();
        for number in 0..100 {
            let (server, key) = (server.clone(), format!("r{round}-{number}"));
            deliveries.spawn(async move { (server.try_deliver(&event(&key)).await, key) });
        }
        // Killed in the middle: some requests have a reply, some do not, some events are being handled.
        while deliveries.len() > 20 {
            let answered = deliveries.join_next().await.expect("some are left");
            if let (Some(200), key) = answered.expect("no panic") {
                acknowledged.push(key);
            }
        }
        deliveries.shutdown().await;
        let server = Arc::into_inner(server).expect("no other owner");
        handled += server.kill().await.len();
    }
    assert!(handled < acknowledged.len(), "the kills came before some handlers");

    let server = Server::start(&database).await;
    let store = SqliteStore::open(&database).await.expect("opened");
    let settled = tokio::time::timeout(SOON, async {
        loop {
            let events = all_events(&store).await;
            if events.iter().all(|event| event.state.is_settled()) {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let events = settled.await.expect("settled in time");
    for key in &acknowledged {
        let rows: Vec<_> = events.iter().filter(|event| event.idempotency_key == **key).collect();
        assert_eq!(rows.len(), 1, "{key} has one row");
        assert!(rows[0].completed.contains(&"attendance".to_owned()), "{key} was handled: {:?}", rows[0]);
    }
    assert_eq!(server.terminate().await, Some(0));
}

async fn all_events(store: &SqliteStore) -> Vec<jaas_core::store::StoredEvent> {
    let page = PageRequest { limit: 1000, ..PageRequest::first() };
    let page = store.events(&EventQuery { page, ..EventQuery::default() }).await.expect("listed");
    assert_eq!(page.next, None, "one page is enough");
    page.items
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_answered_503_and_every_200_has_its_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    // No file of the process may grow beyond 400 KiB. The signal that would end the process is ignored, so writing fails.
    let mut shell = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f 800; exec {}", env!("CARGO_BIN_EXE_quickstart"));
    shell.arg("-c").arg(script);
    let server = Server::start_with(shell, &database).await;
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..60 {
        let key = format!("k{number}");
        let padded = event(&key).replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(20_000)), 1);
        match server.deliver(&padded).await {
            200 => stored.push(key),
            503 => refused += 1,
            other => panic!("status {other}"),
        }
    }
    assert!(!stored.is_empty() && refused > 0, "{} stored, {refused} refused", stored.len());
    assert_eq!(server.get("/livez").await, 200);
    server.kill().await;

    let store = SqliteStore::open(&database).await.expect("opened");
    let events = all_events(&store).await;
    for key in &stored {
        assert!(events.iter().any(|event| event.idempotency_key == **key), "{key} got a 200 and has a row");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_flat_under_bodies_that_are_too_large() {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpStream;

    let folder = tempfile::tempdir().expect("a folder");
    let server = Arc::new(Server::start(&folder.path().join("jaas.sqlite")).await);
    assert_eq!(server.deliver(&event("warm")).await, 200);
    let resident = |server: &Server| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id().expect("running")));
        let status = status.expect("readable");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim_end_matches(" kB").trim().parse::<u64>().expect("a number")
    };
    let before = resident(&server);
    let mut attackers = JoinSet::new();
    for number in 0..40 {
        let address = server.base.trim_start_matches("http://").to_owned();
        attackers.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let head = match number % 2 {
                0 => "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nContent-Length: 10737418240\r\n\r\n",
                _ => "POST /webhooks/jaas HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            };
            stream.write_all(head.as_bytes()).await.expect("written");
            let (mut read, mut write) = stream.split();
            // 64 MiB each, unless the server hangs up first.
            let upload = async {
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                for _ in 0..1024 {
                    if write.write_all(chunk.as_bytes()).await.is_err() {
                        break;
                    }
                }
            };
            let mut reply = Vec::new();
            let (_, _) = tokio::join!(upload, read.read_to_end(&mut reply));
            String::from_utf8_lossy(&reply).into_owned()
        });
    }
    let replies = attackers.join_all().await;
    let refused = replies.iter().filter(|reply| reply.starts_with("HTTP/1.1 413")).count();
    let cut_off = replies.iter().filter(|reply| reply.is_empty()).count();
    assert_eq!(refused + cut_off, 40, "{replies:?}");
    assert!(refused > 0);
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 64 * 1024, "grown by {grown} KiB under 2.5 GiB of uploads");
    assert_eq!(server.deliver(&event("after")).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_prints_the_results_and_exits_0() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .arg("--once")
        .env_remove("JAAS_WEBHOOK_SECRET")
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", folder.path().join("jaas.sqlite"))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SOON, output).await.expect("ended in time").expect("ran");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for part in [
        "using a random secret",
        "accepted              11",
        "ignored as duplicate   4",
        "refused as forged      1",
        "handled               11",
        "Grace",
    ] {
        assert!(printed.contains(part), "{part:?} in {printed}");
    }
    assert_eq!(printed.lines().filter(|line| line.starts_with("handled ")).count(), 11);
    assert!(!printed.contains("Mallory"), "the forged participant is nowhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_checks_work_and_a_bad_secret_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&folder.path().join("jaas.sqlite")).await;
    assert_eq!((server.get("/livez").await, server.get("/readyz").await), (200, 200));
    assert_eq!(server.get("/webhooks/jaas").await, 405);
    assert_eq!(server.terminate().await, Some(0));

    let output = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .env("JAAS_WEBHOOK_SECRET", "whsec_good, whsec_edged")
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", folder.path().join("other.sqlite"))
        .output();
    let output = tokio::time::timeout(SOON, output).await.expect("ended in time").expect("ran");
    assert!(!output.status.success());
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("white space") && !log.contains("whsec_edged"), "{log}");
}

/// Line feeds and ESC in every text of a body: the output and the log have one line for each event and no other.
#[tokio::test(flavor = "multi_thread")]
async fn planted_text_forges_no_line_of_standard_output_or_of_the_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .env("JAAS_WEBHOOK_SECRET", support::SECRET)
        .env("JAAS_BIND", "127.0.0.1:0")
        .env("JAAS_DATABASE", folder.path().join("jaas.sqlite"))
        .env("RUST_LOG", "debug,jaas=trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let (mut stdout, mut stderr) =
        (child.stdout.take().expect("piped"), BufReader::new(child.stderr.take().expect("piped")));
    let mut log = String::new();
    let address = loop {
        let read =
            tokio::time::timeout(SOON, stderr.read_line(&mut log)).await.expect("in time").expect("UTF-8");
        assert!(read > 0, "it ended: {log}");
        if let Some((_, rest)) = log.split_once("listening address=") {
            break rest.split(' ').next().expect("an address").to_owned();
        }
    };
    let logged = tokio::spawn(async move {
        stderr.read_to_string(&mut log).await.expect("UTF-8");
        log
    });

    let planted = "\n2026-11-28T00:00:00Z ERROR forged\r\u{1b}[31m\u{9b}2J\u{2028}";
    let event = |event_type: &str, name: &str| {
        serde_json::json!({
            "idempotencyKey": format!("k{planted}"), "eventType": event_type, "sessionId": planted, "fqn": planted,
            "appId": planted, "customerId": planted, "timestamp": 1_783_497_600_000_i64, (planted): planted,
            "data": {"participantId": planted, "name": name, "id": planted, "breakoutRoomId": planted, (planted): 1},
        })
        .to_string()
    };
    let unknown = format!("NEW{planted}");
    let client = reqwest::Client::new();
    let signer = jaas_testkit::Signer::new(support::SECRET).expect("a good secret");
    let bodies = [
        event("PARTICIPANT_JOINED", planted),
        // The same key with a different body: a conflict.
        event("PARTICIPANT_JOINED", "another"),
        event(&unknown, planted).replacen("\"k\\n", "\"other\\n", 1),
        format!("{{{planted}"),
    ];
    for body in bodies {
        let request = signer.sign(jaas_core::Clock::now(&jaas_core::SystemClock), body);
        let mut post = client.post(format!("http://{address}/webhooks/jaas"));
        for (name, value) in request.headers() {
            post = post.header(name, value);
        }
        assert_eq!(post.body(request.body).send().await.expect("answered").status(), 200);
    }
    let mut printed = String::new();
    while printed.matches("handled ").count() < 2 || !printed.ends_with('\n') {
        let mut bytes = [0; 1024];
        let read = tokio::time::timeout(SOON, stdout.read(&mut bytes)).await.expect("in time").expect("read");
        assert!(read > 0, "it ended: {printed}");
        printed.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    child.kill().await.expect("killed");
    let log = logged.await.expect("read");
    assert!(log.contains("another body came before"), "{log}");
    let lines = printed.lines().map(|line| ("handled ", line)).chain(log.lines().map(|line| ("20", line)));
    for (beginning, line) in lines {
        assert!(line.starts_with(beginning) && !line.contains(char::is_control), "{line:?}");
    }
    assert!(printed.contains("ERROR forged") && log.contains("ERROR forged"));
}
