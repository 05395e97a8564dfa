//! How fast events are accepted into SQLite, against one transaction per event on the same disk in the same run.
//!
//! `cargo bench -p jaas-diesel --bench accept`
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use jaas_core::store::{Accepted, EventStore as _};
use jaas_core::{Clock as _, Delivery, SystemClock};
use jaas_diesel::SqliteStore;

fn main() {
    // Cargo passes `--bench`; there is nothing to choose.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ceiling = one_transaction_per_event(&folder.path().join("ceiling.sqlite"), 2000);
    println!("one transaction per event, by hand: {ceiling:.0} a second");
    for callers in [1, 16, 64, 256] {
        let path = folder.path().join(format!("{callers}.sqlite"));
        let (rate, p99) =
            runtime.block_on(accepted(&path, callers, 20_000 / if callers == 1 { 10 } else { 1 }));
        println!(
            "{callers:>3} callers: {rate:>6.0} a second, {:>4.1} x by hand; p99 {p99:?}",
            rate / ceiling
        );
    }
}

/// Events a second, and the wait that one in a hundred exceeds.
async fn accepted(path: &Path, callers: usize, events: usize) -> (f64, Duration) {
    let store = SqliteStore::open(path).await.unwrap();
    let started = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut waits = Vec::new();
                for number in 0..events / callers {
                    let begun = Instant::now();
                    let accepted = store.accept(delivery(&format!("{caller}-{number}"))).await.unwrap();
                    assert_eq!(accepted, Accepted::New);
                    waits.push(begun.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    let rate = waits.len() as f64 / started.elapsed().as_secs_f64();
    waits.sort();
    store.close().await;
    (rate, waits[waits.len() * 99 / 100])
}

fn one_transaction_per_event(path: &Path, events: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { SqliteStore::open(path).await.unwrap().close().await });
    let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    connection.batch_execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    let started = Instant::now();
    for number in 0..events {
        let body = String::from_utf8(delivery(&number.to_string()).body().to_vec()).unwrap();
        connection
            .batch_execute(&format!(
                "BEGIN IMMEDIATE; INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, \
                 occurred_at, received_at, body, body_hash, state, due_at) \
                 VALUES ('main', '{number}', 'PARTICIPANT_JOINED', 's', '', 1, 1, '{body}', '', 'waiting', 1); COMMIT"
            ))
            .unwrap();
    }
    events as f64 / started.elapsed().as_secs_f64()
}

fn delivery(key: &str) -> Delivery {
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":"s-{key}","timestamp":1795420800000,"fqn":"vpaas-magic-cookie-1/math","data":{{"participantId":"3988218d","name":"Ada","moderator":"true","id":"user-1","participantJid":"2c5d3a30@8x8.vc"}}}}"#
    );
    Delivery::read("main", SystemClock.now(), body.into()).unwrap()
}
