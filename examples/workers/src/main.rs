//! Several processes that share one inbox of JaaS webhooks. Any of them can receive and handle events: start as many as you
//! like, in any role, and stop or kill any of them at any time.
//!
//! `workers [--role receiver|worker|both] [--slow-ms N]`
//!
//! A `receiver` accepts what JaaS sends. A `worker` handles events, and serves only health checks over HTTP. The default is
//! `both`. With `--slow-ms` each event takes `N` milliseconds longer, to watch what happens meanwhile.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `DATABASE_URL` | `postgres://…`, `mysql://…` (MariaDB too) or `sqlite://path` | |
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, including `whsec_`; to rotate, several, separated by commas; not for a worker | |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_LEASE_MS` | how long the events of a killed process wait until another process takes over, in ms | `15000` |
//! | `RUST_LOG` | the filter of log lines on standard error | `info` |

// `attendance.rs` is a module of each database on purpose: the same code, compiled for each connection type.
#![allow(clippy::duplicate_mod)]

mod mysql;
mod options;
mod postgres;
mod schema;
mod sqlite;

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
use jaas_core::store::{EventAdmin, Retention};
use jaas_core::{Auth, Handlers, Inbox, Purger, Receiver, Worker};

use crate::options::{Database, Options};

const PATH: &str = "/webhooks/jaas";

// `#[actix_web::main]` also works, but then everything except the requests shares one thread.
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
            tracing::error!(%error, "workers failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let (worker, slow) = (worker_name(), options.slow);
    // The same for each database; your application does it for one.
    macro_rules! serve_on {
        ($database:ident, $address:expr) => {{
            let store = $database::open($address).await.map_err(unreachable)?;
            let attendance = $database::Attendance { worker: worker.clone(), slow };
            let handlers = Handlers::new().transactional("attendance", attendance);
            let served = serve(store.clone(), handlers, &worker, &options).await;
            store.close().await;
            served
        }};
    }
    match &options.database {
        Database::Postgres(url) => serve_on!(postgres, url),
        Database::Mysql(url) => serve_on!(mysql, url),
        Database::Sqlite(path) => serve_on!(sqlite, path),
    }
}

/// Receives and works, as the role says, until the process is asked to stop.
async fn serve<S: EventAdmin + Clone>(
    store: S,
    handlers: Handlers<S::Tx>,
    name: &str,
    options: &Options,
) -> Result<(), Box<dyn Error>> {
    // Binds first: if the address is taken, nothing is running yet.
    let bind = &options.bind;
    let listener = TcpListener::bind(bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;
    let mut health = Health::new().store(store.clone());

    // From the socket to the committed row, …
    let mut receiver = None;
    if options.role.receives() {
        let auth = Auth::signature(&options.secrets)?;
        let built = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);
        health = health.receiver(built.clone());
        receiver = Some(built);
    }

    // … and, here or in another process, from the row to the handler.
    let mut worker = None;
    if options.role.works() {
        // Only the purger deletes settled events; any number of processes may run one.
        let retention = Retention::builder(Tolerance::default()).build()?;
        let purger = Purger::new(store.clone(), retention).spawn()?;
        let spawned = Worker::builder(store, handlers)
            .name(name)
            .lease(options.lease)
            .transaction_timeout(Duration::from_secs(5))
            // Fewer than the connections of the store's pool: each handler takes one, and so does renewing leases.
            .concurrency(8)
            .build()?
            .spawn();
        health = health.live_check("worker", spawned.liveness());
        worker = Some((spawned, purger));
    }

    let webhook = receiver.clone().map(|receiver| Webhook::new(receiver).at(PATH));
    let app = move || {
        let app = App::new().configure(health.config());
        match &webhook {
            Some(webhook) => app.configure(webhook.config()),
            None => app,
        }
    };
    let server = HttpServer::new(app).shutdown_timeout(10).listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    tracing::info!(%address, worker = name, "listening");
    // Ends by itself: on SIGTERM after the requests in flight, on Ctrl-C immediately. JaaS delivers the latter again.
    server.run().await?;

    if let Some(receiver) = receiver {
        receiver.close();
    }
    let mut interrupted = 0;
    if let Some((worker, purger)) = worker {
        purger.stop().await;
        interrupted = worker.stop(Duration::from_secs(10)).await.interrupted;
    }
    tracing::info!(interrupted, "stopped");
    Ok(())
}

/// Returns a name that is unique over machines and processes.
fn worker_name() -> String {
    let host = env::var("HOSTNAME").ok().or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.as_deref().map(str::trim).filter(|host| !host.is_empty()).unwrap_or("host");
    format!("{host}-{}", std::process::id())
}

#[allow(clippy::needless_pass_by_value)] // for `map_err`
fn unreachable(error: Box<dyn Error>) -> String {
    format!("{error}; check that the database of DATABASE_URL runs and that its address is right")
}
