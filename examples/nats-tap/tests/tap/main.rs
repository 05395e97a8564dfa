//! The tap as a process, with a NATS server that is killed. `JAAS_HARNESS=full` is the full dose: 10,000 events.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::panic)]

mod beside;
mod broker;
mod load;
mod server;
mod stream;

use std::io::Write as _;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::broker::Nats;
use crate::load::{Load, Sender};
use crate::server::Server;

/// The timeout for everything that should happen.
const SOON: Duration = Duration::from_secs(60);

/// One test at a time has the machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// Returns the first value in the short run, the second in the full run.
fn dose<T>(bounded: T, full: T) -> T {
    if std::env::var("JAAS_HARNESS").is_ok_and(|dose| dose == "full") { full } else { bounded }
}

/// Prints directly, because the test harness captures `println!`.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_only_the_tap_waits_and_then_it_publishes_in_order() {
    let _turn = TURN.lock().await;
    let Some(mut nats) = Nats::create().await else { return };
    nats.kill().await;
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &nats.url()).await;
    let load = Load::new("away", 6, 10);
    Sender::new(&server.address).send_all(&load, None).await;
    server.handled(load.len()).await;
    let counts = server.tap().await;
    assert_eq!((counts.published, counts.dead), (0, 0), "the broker is away: {counts:?}");

    nats.start().await;
    server.published(load.len()).await;
    stream::check(&nats.url(), &load).await;
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_for_the_broker_is_a_dead_letter_and_the_session_goes_on() {
    let _turn = TURN.lock().await;
    let Some(nats) = Nats::create().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &nats.url()).await;
    let sender = Sender::new(&server.address);
    let mut load = Load::new("large", 1, 2);
    let large = load.sessions[0].remove(0);
    // The server takes 64 KiB.
    let text = large.body.replace("\"number\":", &format!("\"text\":\"{}\",\"number\":", "x".repeat(70_000)));
    assert_eq!(sender.send(&text).await, Some(200));
    sender.send_all(&load, None).await;
    server.published(1).await;
    server.until("the large event is a dead letter", async |server| server.tap().await.dead == 1).await;
    server.handled(2).await;
    stream::check(&nats.url(), &load).await;
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_of_broker_and_process_loses_nothing_and_keeps_each_session_in_order() {
    let _turn = TURN.lock().await;
    let Some(mut nats) = Nats::create().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (sessions, events, kills) = dose((10, 30, 2), (100, 100, 10));
    let apart = dose(Duration::from_millis(700), Duration::from_millis(4000));
    let load = Load::new("kills", sessions, events);
    let mut server = Server::start(folder.path(), &nats.url()).await;
    let sender = Sender::new(&server.address);
    let pace = apart * 2 * kills / load.len() as u32;

    let began = Instant::now();
    let killing = async {
        for kill in 0..kills {
            // The process dies while the broker is there, and while it is away.
            tokio::time::sleep(apart).await;
            nats.kill().await;
            if kill % 2 == 0 {
                server.kill_and_restart().await;
                sender.goes_to(&server.address);
            }
            tokio::time::sleep(apart).await;
            nats.start().await;
            if kill % 2 == 1 {
                server.kill_and_restart().await;
                sender.goes_to(&server.address);
            }
        }
    };
    tokio::join!(sender.send_all(&load, Some(pace)), killing);
    let sent = began.elapsed();
    server.handled(load.len()).await;
    server.published(load.len()).await;
    let found = stream::check(&nats.url(), &load).await;
    say(&format!(
        "killed {kills} times each: {} events sent in {sent:.1?}, published {:.1?} later; 0 missing, {} twice in the stream",
        load.len(),
        began.elapsed() - sent,
        found.messages - load.len(),
    ));
    assert_eq!(server.terminate().await, Some(0));
}

/// How long the application's handler has to wait for an event: without the tap, with a broker that is there, and with one
/// that is killed again and again. The three run at the same time, so what else the machine does is the same for each. A
/// test asserts no times; it prints them, and the order of events is asserted above.
#[tokio::test(flavor = "multi_thread")]
async fn the_applications_handler_runs_as_soon_with_the_tap_as_without() {
    let _turn = TURN.lock().await;
    let (sessions, events, kills) = dose((10, 20, 1), (100, 100, 10));
    let over = dose(Duration::from_secs(4), Duration::from_secs(150));
    let (Some(there), Some(mut away)) = (Nats::create().await, Nats::create().await) else { return };
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let mut servers = [
        ("without the tap", Server::without_tap(folders[0].path(), &there.url()).await),
        ("broker there", Server::start(folders[1].path(), &there.url()).await),
        ("broker killed", Server::start(folders[2].path(), &away.url()).await),
    ];
    let load = Load::new("paced", sessions, events);
    let pace = over / load.len() as u32;
    let killing = async {
        for _ in 0..kills {
            away.kill().await;
            tokio::time::sleep(over / kills * 3 / 4).await;
            away.start().await;
            tokio::time::sleep(over / kills / 4).await;
        }
    };
    let senders = servers.each_ref().map(|(_, server)| Sender::new(&server.address));
    // One after the other, not in the same moment.
    let send = async |index: usize| {
        tokio::time::sleep(pace * index as u32 / 3).await;
        senders[index].send_all(&load, Some(pace)).await;
    };
    tokio::join!(send(0), send(1), send(2), killing);

    let mut without = None;
    for (index, (name, server)) in servers.iter_mut().enumerate() {
        let waits = server.handled(load.len()).await;
        let at = |share: usize| waits[(waits.len() * share / 1000).min(waits.len() - 1)];
        let [median, p99, longest] = [500, 990, 1000].map(at);
        let base = *without.get_or_insert(p99.max(1));
        say(&format!(
            "{name}: {} events, from receipt to the application's handler: median {median} ms, 99 % {p99} ms ({:.2} times \
             without the tap), longest {longest} ms",
            waits.len(),
            p99 as f64 / base as f64,
        ));
        if index > 0 {
            server.published(load.len()).await;
        }
    }
    for nats in [&there, &away] {
        stream::check(&nats.url(), &load).await;
    }
    for (_, server) in servers {
        assert_eq!(server.terminate().await, Some(0));
    }
}
