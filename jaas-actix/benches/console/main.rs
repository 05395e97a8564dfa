//! What the pages of the console cost when the store holds a million events, and what an operator costs the receiver.
//!
//! `cargo bench -p jaas-actix --all-features --bench console`, with `JAAS_TEST_POSTGRES_URL` and `JAAS_TEST_MYSQL_URL` for
//! the servers, and `JAAS_BENCH_EVENTS` for another number of events. Words after `--` choose: a database (`sqlite`,
//! `postgres`, `mysql`) and parts (`pages`, `beside`); a number sets how often a page is asked for (200). Everything goes
//! over HTTP to an application with a webhook and a console, which has two worker threads of this process.
//!
//! `pages` asks for every page in the console's table of routes, and prints p50 and p99 in ms and the size. `beside` sends
//! events to the webhook, in turns with and without an operator who opens a page every half second, and prints p99 with the
//! operator as a multiple of p99 without.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod addresses;
mod beside;
mod client;
mod database;
mod fill;
mod pages;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpServer, web};
use jaas_actix::{Console, Operator, Webhook};
use jaas_core::archive::ArtifactStore;
use jaas_core::meetings::MeetingReader;
use jaas_core::settings::SettingsLog;
use jaas_core::store::EventAdmin;
use jaas_core::watch::GapStore;
use jaas_core::{Auth, Handlers, Inbox, Receiver};
use jaas_diesel::meetings::Meetings;
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

use self::addresses::Address;
use self::database::{Dialect, MYSQL, POSTGRES, Server};
use self::fill::Filled;
use self::support::SECRET;

const DATABASES: [&str; 3] = ["sqlite", "postgres", "mysql"];

fn main() {
    let events = std::env::var("JAAS_BENCH_EVENTS").map_or(1_000_000, |number| number.parse().unwrap());
    actix_web::rt::System::new().block_on(async {
        let filled = Filled::of(events);
        if database("sqlite") {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("jaas.sqlite");
            let store = SqliteStore::open(&path).await.unwrap();
            println!("\nSQLite, {events} events; wanted: p99 of a page 20 ms");
            database::fill::<jaas_diesel::sqlite::Connection>(
                path.to_str().unwrap(),
                Dialect::Sqlite,
                &filled,
            )
            .await;
            let reader = store.meeting_tables(&meetings());
            parts(store.clone(), reader, &filled, 20.0).await;
            store.close().await;
        }
        if let Some(server) = server("postgres", &POSTGRES).await {
            let store = PostgresStore::open(server.url()).await.unwrap();
            println!("\nPostgreSQL, {events} events; wanted: p99 of a page 20 ms");
            database::fill::<jaas_diesel::postgres::Connection>(server.url(), Dialect::Postgres, &filled)
                .await;
            let reader = store.meeting_tables(&meetings());
            parts(store.clone(), reader, &filled, 20.0).await;
            store.close().await;
            server.remove().await;
        }
        if let Some(server) = server("mysql", &MYSQL).await {
            let store = MysqlStore::open(server.url()).await.unwrap();
            println!("\nMySQL or MariaDB, {events} events; wanted: p99 of a page 40 ms");
            database::fill::<jaas_diesel::mysql::Connection>(server.url(), Dialect::Mysql, &filled).await;
            let reader = store.meeting_tables(&meetings());
            parts(store.clone(), reader, &filled, 40.0).await;
            store.close().await;
            server.remove().await;
        }
    });
}

fn words() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|word| !word.starts_with('-'))
}

fn database(name: &str) -> bool {
    !words().any(|word| DATABASES.contains(&&*word)) || words().any(|word| word == name)
}

fn part(name: &str) -> bool {
    let is_part = |word: &String| !DATABASES.contains(&&**word) && word.parse::<usize>().is_err();
    let mut chosen = words().filter(is_part).peekable();
    chosen.peek().is_none() || chosen.any(|word| word == name)
}

/// How often a page is asked for.
fn often() -> usize {
    words().find_map(|word| word.parse().ok()).unwrap_or(200)
}

/// A new database on this server, if it is wanted and there.
async fn server(name: &str, kind: &'static database::Kind) -> Option<Server> {
    if !database(name) {
        return None;
    }
    let server = Server::create(kind).await;
    if server.is_none() {
        println!("\nNOT MEASURED here: {name}, because {} is not set", kind.variable);
    }
    server
}

fn meetings() -> Meetings {
    Meetings::builder().build().unwrap()
}

async fn parts<S>(store: S, reader: impl MeetingReader + Clone, filled: &Filled, wanted_ms: f64)
where
    S: EventAdmin + SettingsLog + ArtifactStore + GapStore + Clone,
{
    let (port, server) = serve(store, reader);
    let addresses: Vec<Address> = addresses::all(filled, often());
    if part("pages") {
        pages::measure(port, &addresses, wanted_ms).await;
    }
    if part("beside") {
        beside::measure(port, &addresses).await;
    }
    server.stop(false).await;
}

/// An application as users write it: a webhook, and the console with everything that it can show.
fn serve<S>(store: S, reader: impl MeetingReader + Clone) -> (u16, ServerHandle)
where
    S: EventAdmin + SettingsLog + ArtifactStore + GapStore + Clone,
{
    let access = |_: &HttpRequest| Some(Operator::with_every_right("ada"));
    let console = Console::new(store.clone(), access)
        .handlers(Handlers::new())
        .settings(store.clone())
        .archive(store.clone())
        .gaps(store.clone())
        .meetings(reader);
    let receiver = Receiver::builder("main", Auth::signature([SECRET]).unwrap(), Inbox::new(store));
    let webhook = Webhook::new(Arc::new(receiver.build().unwrap()));
    let server = HttpServer::new(move || {
        App::new().configure(webhook.config()).service(web::scope("/ops").service(console.clone()))
    });
    let server = server.workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let port = server.addrs()[0].port();
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    (port, handle)
}
