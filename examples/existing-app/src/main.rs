//! An application that manages rooms, and lately receives the webhooks of their meetings. What came with JaaS is in
//! `attendance.rs`, `webhooks.rs` and `admin.rs`, in `telemetry.rs`, and in the lines below that name them. The variables
//! are in the README.

mod admin;
mod attendance;
mod auth;
#[cfg_attr(feature = "postgres", path = "database/postgres.rs")]
#[cfg_attr(not(feature = "postgres"), path = "database/sqlite.rs")]
mod database;
mod error;
mod options;
mod rooms;
mod telemetry;
mod webhooks;

use std::error::Error;
use std::net::TcpListener;
use std::process::ExitCode;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};

use crate::auth::Token;
use crate::options::Options;

/// What every route of the application can have.
struct State {
    pool: database::Pool,
    inbox: database::Store,
    token: Token,
}

// The application has chosen this runtime; `#[actix_web::main]` works as well, and then all that is spawned here shares one
// thread.
#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "existing-app cannot go on");
            eprintln!("existing-app cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let telemetry = telemetry::start(options.otlp.as_deref())?;

    // Before anything runs that would be cut off, should the address be taken.
    let bind = &options.bind;
    let listener = TcpListener::bind(bind).map_err(|error| format!("{bind} (BIND): {error}"))?;
    let (pool, inbox) = database::open(&options.database).await?;
    let jaas = webhooks::start(inbox.clone(), &options.secrets)?;
    let (webhook, health) = (jaas.webhook(), jaas.health());

    let state = Data::new(State { pool, inbox, token: options.token });
    let metrics = telemetry.metrics();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .service(web::scope("/api").wrap(from_fn(auth::needs_token)).configure(rooms::routes))
            .service(web::scope("/admin").wrap(from_fn(auth::needs_token)).configure(admin::routes))
            // JaaS has no token of ours. A signature proves each request, computed over its body byte for byte: so no
            // middleware around this scope may read or change the body.
            .service(web::scope("/hooks").configure(webhook.config()))
            .configure(health.config())
            .configure(metrics.config())
    });
    let server = server.shutdown_timeout(10).listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    tracing::info!(%address, "listening");
    // Ends by itself: on SIGTERM after the requests in flight; on Ctrl-C at once, and JaaS delivers those again.
    server.run().await?;

    jaas.stop().await;
    telemetry.stop().await;
    Ok(())
}
