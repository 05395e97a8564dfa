//! A small server that receives 8x8 JaaS webhooks and knows who attended which meeting, and who is in it now.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, `whsec_` included; several, separated by commas, while you rotate | a random one, and a demonstration |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_DATABASE` | SQLite file | `jaas.sqlite` |
//! | `RUST_LOG` | what to log to standard error | `info` |
//!
//! `--once` plays the demonstration and ends; `--once FILE` also writes the timeline of its first meeting there, as SVG.

mod demo;
mod ended;
mod pages;
mod printed;

use std::env;
use std::error::Error;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use jaas_actix::{Health, Webhook};
use jaas_core::signature::Tolerance;
use jaas_core::store::Retention;
use jaas_core::{Auth, Handlers, Inbox, Monitor, Purger, Receiver, Worker};
use jaas_diesel::SqliteStore;
use jaas_diesel::meetings::{Meetings, Names};

use crate::ended::Ended;
use crate::printed::Printed;

const PATH: &str = "/webhooks/jaas";

// `#[actix_web::main]` would do as well: requests have threads of their own either way, but there all that is spawned here,
// such as the worker, shares one thread, and here it spreads over all cores.
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
            tracing::error!(%error, "attendance cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (once, picture) = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => (false, None),
        [flag] if flag == "--once" => (true, None),
        [flag, file] if flag == "--once" => (true, Some(file.clone())),
        _ => return Err("usage: attendance [--once [FILE]]".into()),
    };
    let bind = env::var("JAAS_BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let database = env::var("JAAS_DATABASE").unwrap_or_else(|_| "jaas.sqlite".to_owned());
    let (secrets, random) = secrets()?;
    // Before anything runs that would be cut off, should the address be taken.
    let listener = TcpListener::bind(&bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;

    // From the socket to the committed row …
    let store = SqliteStore::open(&database).await?;
    let auth = Auth::signature(&secrets)?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);

    // … and from the row to the tables of meetings.
    let meetings = Meetings::builder().names(Names::Keep).grace(Duration::from_secs(600)).build()?;
    let handlers = Handlers::new().transactional("meetings", meetings.handler()).plain("printed", Printed);
    let worker =
        Worker::builder(store.clone(), handlers).transaction_timeout(Duration::from_secs(5)).build()?.spawn();

    // Nothing else deletes: settled events go after 30 days, dead letters, conflicts and quarantine after 90.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    // Measures the queue; you see it once you install an exporter for the `metrics` facade.
    let monitor = Monitor::new(store.clone()).spawn()?;

    // What happens after a meeting: once for each, ten minutes after its room has closed.
    let path = database.clone();
    let announcer = meetings.on_meeting_ended(move || pages::connect(path.clone()), Ended).spawn()?;

    let webhook = Webhook::new(receiver.clone()).at(PATH);
    let health =
        Health::new().receiver(receiver.clone()).store(store.clone()).live_check("worker", worker.liveness());
    let pages = pages::Pages { meetings, database: database.clone() };
    let server = HttpServer::new(move || {
        App::new().configure(webhook.config()).configure(health.config()).configure(pages.config())
    })
    .shutdown_timeout(10)
    .listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    // Ends by itself: on SIGTERM after the requests in flight; on Ctrl-C at once, and JaaS delivers those again.
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    tracing::info!(%address, path = PATH, database, "listening");

    if random || once {
        let played = demo::play(address, PATH, &secrets[0], random, &store, picture.as_deref()).await;
        if once || played.is_err() {
            handle.stop(true).await;
        }
        played?;
    }

    server.await??;
    receiver.close();
    let stopped = worker.stop(Duration::from_secs(10)).await;
    announcer.stop().await;
    monitor.stop().await;
    purger.stop().await;
    store.close().await;
    tracing::info!(interrupted = stopped.interrupted, "stopped");
    Ok(())
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
