//! A complete small server that receives 8x8 JaaS webhooks and keeps the files that they link to, before the links die.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, `whsec_` included; several, separated by commas, while you rotate | a random one, and a demonstration |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_DATABASE` | SQLite file | `jaas.sqlite` |
//! | `ARCHIVE_DIR` | folder for the files | `archive` |
//! | `RUST_LOG` | what to log to standard error | `info` |
//!
//! `--once` plays the demonstration and ends. On standard output is one line for each file: `stored <kind>
//! <idempotencyKey> <bytes>`, or `lost <kind> <idempotencyKey> <why>`.

mod demo;
mod files;

use std::env;
use std::error::Error;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use jaas_actix::{Health, Webhook};
use jaas_core::archive::{Archive, HttpFetcher, ObjectSink};
use jaas_core::signature::Tolerance;
use jaas_core::store::Retention;
use jaas_core::{Auth, Handlers, Inbox, Monitor, Purger, Receiver, Worker};
use jaas_diesel::SqliteStore;

use crate::files::Files;

const PATH: &str = "/webhooks/jaas";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()))
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "archive cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let once = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--once" => true,
        _ => return Err("usage: archive [--once]".into()),
    };
    let bind = env::var("JAAS_BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let database = env::var("JAAS_DATABASE").unwrap_or_else(|_| "jaas.sqlite".to_owned());
    let folder = env::var("ARCHIVE_DIR").unwrap_or_else(|_| "archive".to_owned());
    let (secrets, random) = secrets()?;
    let listener = TcpListener::bind(&bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;

    let store = SqliteStore::open(&database).await?;
    let auth = Auth::signature(&secrets)?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);

    // The intake writes down what to fetch, in the transaction of the event; the archiver fetches it.
    files::create_table(&database).await?;
    let sink = ObjectSink::folder(&folder)?;
    let archive = Archive::builder(store.clone(), sink)
        .fetcher(fetcher(once || random)?)
        .lease(Duration::from_secs(10))
        .handler_timeout(Duration::from_secs(5))
        .at_risk(if once || random { Duration::from_secs(4) } else { Duration::from_secs(6 * 60 * 60) })
        .build()?;
    let handlers = Handlers::new().transactional("archive", archive.intake());
    let worker =
        Worker::builder(store.clone(), handlers).transaction_timeout(Duration::from_secs(5)).build()?.spawn();
    let archiver = archive.spawn(Files);

    // It leaves events alone whose files are still to be fetched.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    let monitor = Monitor::new(store.clone()).spawn()?;

    let webhook = Webhook::new(receiver.clone()).at(PATH);
    let health = Health::new()
        .receiver(receiver.clone())
        .store(store.clone())
        .live_check("worker", worker.liveness())
        .live_check("archiver", archiver.liveness());
    let server = HttpServer::new(move || App::new().configure(webhook.config()).configure(health.config()))
        .shutdown_timeout(10)
        .listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    tracing::info!(%address, path = PATH, database, folder, "listening");

    if random || once {
        let played = demo::play(address, PATH, &secrets[0], &store).await;
        if once || played.is_err() {
            handle.stop(true).await;
        }
        played?;
    }

    server.await??;
    receiver.close();
    worker.stop(Duration::from_secs(10)).await;
    archiver.stop(Duration::from_secs(10)).await;
    monitor.stop().await;
    purger.stop().await;
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Fetches from the hosts of JaaS. For the demonstration, whose secret nobody else knows, and with the feature
/// `local-files`, also from this machine.
fn fetcher(demonstration: bool) -> Result<HttpFetcher, jaas_core::ConfigError> {
    let fetcher = HttpFetcher::builder();
    if demonstration || cfg!(feature = "local-files") {
        return fetcher.local_files().min_speed(1000).speed_window(Duration::from_secs(2)).build();
    }
    fetcher.build()
}

/// The secrets of the environment, or a random one.
fn secrets() -> Result<(Vec<String>, bool), Box<dyn Error>> {
    match env::var("JAAS_WEBHOOK_SECRET") {
        Ok(secrets) => Ok((secrets.split(',').map(str::to_owned).collect(), false)),
        Err(env::VarError::NotPresent) => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes)?;
            Ok((vec![format!("whsec_{:032x}", u128::from_be_bytes(bytes))], true))
        }
        Err(error) => Err(format!("JAAS_WEBHOOK_SECRET: {error}").into()),
    }
}
