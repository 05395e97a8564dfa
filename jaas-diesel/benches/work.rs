//! How fast events are claimed, run and settled, by the number of events per claim; and the rate from accepting to done,
//! compared with plain inserts in the same run.
//!
//! `cargo bench -p jaas-diesel --all-features --bench work`, with `JAAS_TEST_POSTGRES_URL` and `JAAS_TEST_MYSQL_URL`
//! for the servers; `-- postgres` for one of them.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::hand_over::HandOver;
use jaas_core::store::tools::event_store_methods;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, Completion, EventAdmin, EventState, EventStore, Failure, Lease, NextClaim,
    NextDue, Step, StoreError, TxWork,
};
use jaas_core::{
    Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, Timestamp, Unreadable, Worker,
    WorkerHandle,
};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};
use tokio::sync::{Notify, watch};

use self::support::server::{Mysql, Postgres};
use self::support::{Speed, accepted, one_insert_per_event, wanted};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if wanted("sqlite") {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.unwrap();
            batches("SQLite, WAL, synchronous=FULL", &store).await;
            road(&store, &store, None).await;
            store.close().await;
        }
        if let Some(database) = if wanted("postgres") { Postgres::create().await.ok() } else { None } {
            let store = PostgresStore::open(database.url()).await.unwrap();
            batches("PostgreSQL", &store).await;
            let by_hand = one_insert_per_event!(jaas_diesel::postgres::Connection, database.url(), 64);
            for _ in 0..3 {
                print!("handed over: ");
                road(&store, &store, Some(by_hand)).await;
                print!("claimed: ");
                road(&store, &Claiming(store.clone()), Some(by_hand)).await;
            }
            store.close().await;
        }
        if let Some(database) = if wanted("mysql") { Mysql::create().await.ok() } else { None } {
            let store = MysqlStore::open(database.url()).await.unwrap();
            batches("MySQL or MariaDB", &store).await;
            let by_hand = one_insert_per_event!(jaas_diesel::mysql::Connection, database.url(), 64);
            for _ in 0..3 {
                road(&store, &store, Some(by_hand)).await;
            }
            store.close().await;
        }
    });
}

/// A handler that only counts.
#[derive(Clone, Default)]
struct Counting {
    runs: Arc<AtomicUsize>,
    ran: Arc<Notify>,
}

#[async_trait]
impl EventHandler for Counting {
    async fn any_event(&self, _: &mut Context<'_>, _: &Event) -> HandlerResult {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.ran.notify_one();
        Ok(Handled::Done)
    }
}

fn worker<S: EventStore + Clone>(store: &S, counting: &Counting, concurrency: usize) -> WorkerHandle {
    let handlers = Handlers::new().plain("counting", counting.clone());
    Worker::builder(store.clone(), handlers).concurrency(concurrency).build().unwrap().spawn()
}

/// Waits until so many are done in the store.
async fn done<S: EventAdmin>(store: &S, counting: &Counting, events: usize) {
    while counting.runs.load(Ordering::Relaxed) < events {
        counting.ran.notified().await;
    }
    loop {
        let stats = store.stats().await.unwrap();
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn batches<S: EventAdmin + Clone>(what: &str, store: &S) {
    println!("\n{what}: claim, run, settle, one worker");
    let mut alone = None;
    for (concurrency, events) in [(1, 1_000), (10, 5_000), (100, 20_000)] {
        accepted(store, 64, events / 64 * 64).await;
        let counting = Counting::default();
        let started = Instant::now();
        let worker = worker(store, &counting, concurrency);
        done(store, &counting, events / 64 * 64).await;
        let rate = (events / 64 * 64) as f64 / started.elapsed().as_secs_f64();
        worker.stop(Duration::from_secs(5)).await;
        let alone = *alone.get_or_insert(rate);
        println!("{concurrency:>5} at once {rate:>8.0} events/s, {:>5.1} x one at a time", rate / alone);
    }
}

/// A store that hands nothing over: a worker on it claims everything.
#[derive(Clone)]
struct Claiming<S>(S);

macro_rules! claiming {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        #[async_trait]
        impl<S: EventStore> EventStore for Claiming<S> {
            type Tx = S::Tx;

            fn hand_over(&self, _: HandOver) {}

            fn wakeups(&self) -> watch::Receiver<u64> {
                self.0.wakeups()
            }

            $(async fn $method(&self, $($arg: $type),*) -> $result {
                self.0.$method($($arg),*).await
            })*
        }
    };
}

event_store_methods!(claiming, TxWork<Self::Tx>);

async fn road<S: EventAdmin + Clone, W: EventStore + Clone>(
    store: &S,
    worked: &W,
    by_hand: Option<[Speed; 2]>,
) {
    const EVENTS: usize = 20_032;
    let counting = Counting::default();
    let worker = worker(worked, &counting, 512);
    // So that the worker has polled once.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    let ours = accepted(store, 64, EVENTS).await;
    done(store, &counting, EVENTS).await;
    let rate = EVENTS as f64 / started.elapsed().as_secs_f64();
    worker.stop(Duration::from_secs(5)).await;
    print!("the whole road, 64 callers: {rate:.0} events/s done, accepted at {:.0}/s", ours.rate);
    match by_hand {
        Some([prepared, each_time]) => println!(
            "; {:.2} x inserting alone, one by one ({:.0}/s), {:.2} x one prepared each time ({:.0}/s)",
            rate / prepared.rate,
            prepared.rate,
            rate / each_time.rate,
            each_time.rate
        ),
        None => println!(),
    }
}
