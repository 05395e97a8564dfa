//! An application that manages rooms, and now also receives the webhooks of their meetings. `attendance.rs`, `webhooks.rs`,
//! `admin.rs`, `telemetry.rs` and the lines below that name them were added for JaaS. The README lists the variables.

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

/// The state that every route of the application can use.
struct State {
    pool: database::Pool,
    inbox: database::Store,
    token: Token,
}

// The application chose this runtime. `#[actix_web::main]` also works, but then all tasks spawned here share one thread.
#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "existing-app failed");
            eprintln!("existing-app failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::read()?;
    let telemetry = telemetry::start(options.otlp.as_deref())?;

    // Binds first: if the address is taken, nothing is running yet.
    let bind = &options.bind;
    let listener = TcpListener::bind(bind).map_err(|error| format!("{bind} (BIND): {error}"))?;
    let (pool, inbox) = database::open(&options.database).await?;
    let jaas = webhooks::start(inbox.clone(), &options.secrets)?;
    let (webhook, health, console) = (jaas.webhook(), jaas.health(), jaas.console());

    let state = Data::new(State { pool, inbox, token: options.token });
    let metrics = telemetry.metrics();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(state.clone())
            .service(web::scope("/api").wrap(from_fn(auth::needs_token)).configure(rooms::routes))
            .service(web::scope("/admin").wrap(from_fn(auth::needs_token)).configure(admin::routes))
            .service(web::scope("/ops").wrap(from_fn(auth::needs_login)).service(console.clone()))
            // JaaS does not have our token. A signature over the body, byte for byte, proves each request, so no middleware
            // around this scope may read or change the body.
            .service(web::scope("/hooks").configure(webhook.config()))
            .configure(health.config())
            .configure(metrics.config())
    });
    let server = server.shutdown_timeout(10).listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    tracing::info!(%address, "listening");
    // Ends by itself: on SIGTERM after the requests in flight, on Ctrl-C immediately. JaaS delivers the latter again.
    server.run().await?;

    jaas.stop().await;
    telemetry.stop().await;
    Ok(())
}
