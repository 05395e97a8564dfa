//! The time from accepting an event to running its handler, in the same process and in another one.
//!
//! `cargo bench -p jaas-diesel --all-features --bench wakeup`, with `JAAS_TEST_POSTGRES_URL` and
//! `JAAS_TEST_MYSQL_URL` for the servers. A second store on the same database stands for another process.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, Instant};

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::EventStore;
use jaas_core::{Context, EventHandler, Handled, HandlerResult, Handlers, Worker};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};
use tokio::sync::mpsc;

use self::support::server::{Mysql, Postgres};
use self::support::{Speed, delivery, prefix, wanted};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("sqlite") {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.unwrap();
            latency("SQLite, the same process", &store, &store, 300).await;
        }
        if let Some(database) = if wanted("postgres") { Postgres::create().await.ok() } else { None } {
            let store = PostgresStore::open(database.url()).await.unwrap();
            let other = PostgresStore::open(database.url()).await.unwrap();
            latency("PostgreSQL, the same process", &store, &store, 300).await;
            latency("PostgreSQL, another process (NOTIFY)", &other, &store, 300).await;
        }
        if let Some(database) = if wanted("mysql") { Mysql::create().await.ok() } else { None } {
            let store = MysqlStore::open(database.url()).await.unwrap();
            let other = MysqlStore::open(database.url()).await.unwrap();
            latency("MySQL or MariaDB, the same process", &store, &store, 300).await;
            latency("MySQL or MariaDB, another process (polling every 1 s)", &other, &store, 20).await;
        }
    });
}

struct Reporting(mpsc::UnboundedSender<Instant>);

#[async_trait]
impl EventHandler for Reporting {
    async fn any_event(&self, _: &mut Context<'_>, _: &Event) -> HandlerResult {
        self.0.send(Instant::now()).unwrap();
        Ok(Handled::Done)
    }
}

/// One event at a time, accepted by one store and run by a worker of the other.
async fn latency<A: EventStore, B: EventStore + Clone>(
    what: &str,
    accepting: &A,
    working: &B,
    events: usize,
) {
    let (sender, mut starts) = mpsc::unbounded_channel();
    let handlers = Handlers::new().plain("reporting", Reporting(sender));
    let worker = Worker::builder(working.clone(), handlers).build().unwrap().spawn();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let run = prefix();
    let started = Instant::now();
    let mut waits = Vec::new();
    for number in 0..events {
        accepting.accept(delivery(&format!("{run}-{number}"))).await.unwrap();
        let accepted = Instant::now();
        // With hand-over a handler may begin before the caller of `accept` goes on.
        waits.push(starts.recv().await.unwrap().saturating_duration_since(accepted));
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let Speed { p50, p99, .. } = Speed::of(waits, started.elapsed());
    println!("{what}: accepted to running p50 {p50:.1?}, p99 {p99:.1?}");
    worker.stop(Duration::from_secs(5)).await;
}
