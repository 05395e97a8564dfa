//! A server that receives 8x8 JaaS webhooks under axum. The variables are in the README.

use std::env;
use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use jaas_core::event::Event;
use jaas_core::settings::{FailurePolicy, Fixed, MeetingSettings, SettingsService};
use jaas_core::signature::Tolerance;
use jaas_core::store::{EventStore as _, Retention};
use jaas_core::telemetry::Escaped;
use jaas_core::{
    Auth, Context, EventHandler, Handled, HandlerResult, Handlers, Inbox, Purger, Receiver, Worker,
};
use jaas_diesel::SqliteStore;
use other_frameworks::{Webhook, serve};
use tokio::net::TcpListener;

// axum and the tasks spawned here share the threads of this runtime.
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
            tracing::error!(%error, "other-frameworks failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let bind = env::var("JAAS_BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let database = env::var("JAAS_DATABASE").unwrap_or_else(|_| "jaas.sqlite".to_owned());
    let secrets = env::var("JAAS_WEBHOOK_SECRET").map_err(|error| format!("JAAS_WEBHOOK_SECRET: {error}"))?;

    // Binds first: if the address is taken, nothing is running yet.
    let listener = TcpListener::bind(&bind).await;
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;
    // None of these values depends on axum.
    let store = SqliteStore::open(&database).await?;
    let fifty = MeetingSettings::builder().max_occupants(50).build()?;
    let service = SettingsService::builder(Fixed::new(fifty), FailurePolicy::fail_closed()).build()?;
    let receiver = Receiver::builder("main", Auth::signature(secrets.split(','))?, Inbox::new(store.clone()))
        .settings(service.clone())
        .build()?;
    let receiver = Arc::new(receiver);
    let worker = Worker::builder(store.clone(), Handlers::new().plain("log", Log)).build()?.spawn();
    // Only the purger deletes settled events.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;

    let webhook = Webhook::new(receiver.clone());
    let (pinged, is_live) = (store.clone(), worker.liveness());
    let app = Router::new()
        .merge(webhook.events_at("/webhooks/jaas"))
        .merge(webhook.settings_at("/webhooks/settings"))
        .route("/livez", get(move || std::future::ready(healthy(is_live()))))
        .route("/readyz", get(move || async move { healthy(pinged.ping().await.is_ok()) }));
    tracing::info!(address = %listener.local_addr()?, "listening");
    serve(listener, app, stop_signal()?, Duration::from_secs(10)).await?;

    // All accepted events are stored. First running handlers finish, then the store closes.
    receiver.close();
    let stopped = worker.stop(Duration::from_secs(10)).await;
    purger.stop().await;
    service.close().await;
    store.close().await;
    tracing::info!(interrupted = stopped.interrupted, "stopped");
    Ok(())
}

fn healthy(is_well: bool) -> StatusCode {
    if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Waits for Ctrl-C or, on Unix, SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    #[cfg(unix)]
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    })
}

/// Logs one line for each event.
struct Log;

#[async_trait]
impl EventHandler for Log {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let envelope = cx.envelope();
        tracing::info!(event_type = %Escaped(&envelope.event_type), key = %Escaped(&envelope.idempotency_key), "handled");
        Ok(Handled::Done)
    }
}
