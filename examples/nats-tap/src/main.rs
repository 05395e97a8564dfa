//! A small server that stores 8x8 JaaS webhooks first, handles them, and publishes them to NATS JetStream after.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, including `whsec_`; to rotate, several, separated by commas | required |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_DATABASE` | SQLite file of the inbox | `jaas.sqlite` |
//! | `JAAS_TAP_DATABASE` | SQLite file of what waits for NATS | `JAAS_DATABASE` with the extension `tap.sqlite` |
//! | `JAAS_TAP` | `off` publishes nothing, to compare | `on` |
//! | `JAAS_LEASE_MS` | how long a claim holds after a crash, in ms | 15000 |
//! | `NATS_URL` | the server's address | `nats://127.0.0.1:4222` |
//! | `NATS_STREAM` | the stream, which is created if it does not exist | `JAAS` |
//! | `RUST_LOG` | the filter of log lines on standard error | `info` |

mod broker;
mod forward;
mod journal;
mod options;
mod payload;
mod publish;
mod subject;

use std::error::Error;
use std::io::IsTerminal as _;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use jaas_actix::{Health, Webhook};
use jaas_core::signature::Tolerance;
use jaas_core::store::{EventAdmin as _, EventState, Keep, Retention, SessionOrder};
use jaas_core::{Auth, Backoff, Handlers, Inbox, Monitor, Purger, Receiver, Worker};
use jaas_diesel::SqliteStore;
use serde_json::json;

use crate::broker::Broker;
use crate::forward::Forward;
use crate::journal::Journal;
use crate::options::Options;
use crate::publish::Publish;

const PATH: &str = "/webhooks/jaas";

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()))
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "nats-tap failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let bind = &options.bind;
    // Binds first: if the address is taken, nothing is running yet.
    let listener = TcpListener::bind(bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;

    // From the socket to the committed row, …
    let store = SqliteStore::open(&options.database).await?;
    let auth = Auth::signature(&options.secrets)?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);

    // … from the row to the application's handler and, each in its slot, to the tap's inbox, …
    journal::create_table(&options.database).await?;
    let tap = SqliteStore::open(&options.tap_database).await?;
    let mut handlers = Handlers::new().transactional("journal", Journal);
    if options.tap {
        handlers = handlers.plain("tap", Forward::to(tap.clone()));
    }
    let worker = Worker::builder(store.clone(), handlers)
        .transaction_timeout(Duration::from_secs(5))
        .lease(options.lease)
        .build()?
        .spawn();

    // … and from there to NATS, at its own pace. Only the tap waits when the broker is away.
    let broker = Broker::connect(&options.nats, &options.stream).await?;
    let publisher = Worker::builder(tap.clone(), Handlers::new().plain("publish", Publish::to(broker)))
        .name("tap")
        .lease(options.lease)
        // Retries until the broker is back, and lets no event of a session pass an earlier one.
        .backoff(
            Backoff::default()
                .initial_delay(Duration::from_millis(250))
                .max_delay(Duration::from_secs(5))
                .max_failures(u32::MAX),
        )
        .order(SessionOrder { hold_failures: u32::MAX, ..SessionOrder::default() })
        // Publishing a body cannot end the process, so an event that was in flight when it died is not the culprit.
        .max_crashes(1_000)
        .build()?
        .spawn();

    // Only purgers delete. What was published stays in the tap's inbox as long as a copy of its event could come.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    let published =
        Retention::builder(Tolerance::default()).events(EventState::Done, Keep::days(2)).build()?;
    let tap_purger = Purger::new(tap.clone(), published).spawn()?;
    // Its gauges do not distinguish stores: they show the main inbox, and `GET /tap` shows the other one.
    let monitor = Monitor::new(store.clone()).spawn()?;

    let webhook = Webhook::new(receiver.clone()).at(PATH);
    let health = Health::new()
        .receiver(receiver.clone())
        .store(store.clone())
        .live_check("worker", worker.liveness())
        .live_check("tap", publisher.liveness());
    let backlog = web::Data::new(tap.clone());
    let server = HttpServer::new(move || {
        App::new()
            .configure(webhook.config())
            .configure(health.config())
            .app_data(backlog.clone())
            .route("/tap", web::get().to(waiting))
    })
    .shutdown_timeout(10)
    .listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    tracing::info!(%address, path = PATH, "listening");
    // Ends by itself: on SIGTERM after the requests in flight, on Ctrl-C immediately. JaaS delivers the latter again.
    server.run().await?;

    receiver.close();
    let stopped = worker.stop(Duration::from_secs(10)).await;
    let unpublished = publisher.stop(Duration::from_secs(3)).await;
    monitor.stop().await;
    purger.stop().await;
    tap_purger.stop().await;
    store.close().await;
    tap.close().await;
    tracing::info!(interrupted = stopped.interrupted, tap_interrupted = unpublished.interrupted, "stopped");
    Ok(())
}

/// How many events wait for NATS, how many it has, and how many it refused.
async fn waiting(tap: web::Data<SqliteStore>) -> HttpResponse {
    match tap.stats().await {
        Ok(stats) => HttpResponse::Ok().json(json!({
            "waiting": stats.count(EventState::Waiting) + stats.count(EventState::Running),
            "published": stats.count(EventState::Done),
            "dead": stats.count(EventState::Dead),
        })),
        Err(error) => {
            tracing::warn!(%error, "the tap's inbox cannot be counted");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}
