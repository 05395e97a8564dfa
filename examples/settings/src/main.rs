//! A server that answers JaaS's question before each meeting, and also receives events. Copy it, and replace `rooms.rs`
//! by your own decision.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, including `whsec_`; to rotate, several, separated by commas | a random one, and a demonstration |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_DATABASE` | SQLite file | `jaas.sqlite` |
//! | `JAAS_SETTINGS_FILE` | room rules, `.toml` or `.json` | none: 50 occupants |
//! | `JAAS_SETTINGS_FAILURE` | the failure policy: `closed`, `refuse`, or `last-known-good`, which falls back to `closed` | `closed` |
//! | `JAAS_VIP_PASSCODE` | the passcode of rooms that end in `-vip` | a random one, printed at the start |
//! | `JAAS_AUTHORIZATION` | the endpoint's `Authorization` value: a question that carries it needs no signature | |
//! | `RUST_LOG` | the filter of log lines on standard error | `info` |
//!
//! `--once` plays the demonstration and exits; `--records [<AppID>/<room>]` prints earlier answers.

mod demo;
mod rooms;

use std::env;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use jaas_actix::{Health, Webhook};
use jaas_core::event::Event;
use jaas_core::settings::{FailurePolicy, Passcode, SettingsService};
use jaas_core::signature::Tolerance;
use jaas_core::store::{Keep, Retention};
use jaas_core::telemetry::Escaped;
use jaas_core::{
    Auth, Context, EventHandler, Handled, HandlerResult, Handlers, Inbox, Purger, Receiver, Worker,
};
use jaas_diesel::SqliteStore;

const PATH: &str = "/webhooks/jaas";
/// Questions may come with the events; this path is for a separate endpoint.
const SETTINGS_PATH: &str = "/webhooks/settings";

// `#[actix_web::main]` also works, but then the worker and the settings provider share one thread.
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
            tracing::error!(%error, "settings failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let database = variable("JAAS_DATABASE")?.unwrap_or_else(|| "jaas.sqlite".to_owned());
    let arguments: Vec<String> = env::args().skip(1).collect();
    let once = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--once"] => true,
        ["--records"] => return demo::records(&SqliteStore::open(&database).await?, None).await,
        ["--records", fqn] => return demo::records(&SqliteStore::open(&database).await?, Some(fqn)).await,
        _ => return Err("usage: settings [--once | --records [<AppID>/<room>]]".into()),
    };
    let bind = variable("JAAS_BIND")?.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let (secrets, random) = secrets()?;
    // Binds first: if the address is taken, nothing is running yet.
    let listener = TcpListener::bind(&bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;

    // Read before anything runs, so that a mistake in the file stops the program.
    let file = variable("JAAS_SETTINGS_FILE")?;
    let provider = rooms::provider(vip_passcode()?, file.as_deref().map(Path::new))?;

    let store = SqliteStore::open(&database).await?;
    let mut service = SettingsService::builder(provider, policy()?).records(store.clone(), Keep::days(90));
    if let Some(value) = variable("JAAS_AUTHORIZATION")? {
        service = service.auth(Auth::signature_or_authorization(&secrets, [value])?);
    }
    let service = service.build()?;

    let auth = Auth::signature(&secrets)?;
    let receiver = Receiver::builder("main", auth, Inbox::new(store.clone())).settings(service.clone());
    let receiver = Arc::new(receiver.build()?);
    let worker = Worker::builder(store.clone(), Handlers::new().plain("print", Print)).build()?.spawn();
    // Only the purger deletes events; the settings service deletes its records.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;

    let webhook = Webhook::new(receiver.clone()).at(PATH).settings_at(SETTINGS_PATH);
    let health =
        Health::new().receiver(receiver.clone()).store(store.clone()).live_check("worker", worker.liveness());
    let server = HttpServer::new(move || App::new().configure(webhook.config()).configure(health.config()))
        .shutdown_timeout(10)
        .listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    // Ends by itself: on SIGTERM after the requests in flight, on Ctrl-C immediately. JaaS delivers the latter again.
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    tracing::info!(%address, path = PATH, settings = SETTINGS_PATH, database, "listening");

    if random || once {
        let played = demo::play(address, PATH, &secrets[0]).await;
        if once || played.is_err() {
            handle.stop(true).await;
        }
        played?;
    }

    server.await??;
    receiver.close();
    worker.stop(Duration::from_secs(10)).await;
    purger.stop().await;
    // Writes the last records, so it comes before the store.
    service.close().await;
    if once {
        writeln!(std::io::stdout(), "\nrecords:")?;
        demo::records(&store, None).await?;
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Decides the answer when the provider fails.
fn policy() -> Result<FailurePolicy, Box<dyn Error>> {
    let named = variable("JAAS_SETTINGS_FAILURE")?;
    Ok(match named.as_deref().unwrap_or("closed") {
        "closed" => FailurePolicy::fail_closed(),
        "refuse" => {
            FailurePolicy::refuse("The settings of this meeting are not known. Please try again later.")
        }
        "last-known-good" => {
            FailurePolicy::last_known_good(Duration::from_secs(24 * 60 * 60), FailurePolicy::fail_closed())
        }
        other => {
            let why = format!("JAAS_SETTINGS_FAILURE is {other:?}; it is closed, refuse or last-known-good");
            return Err(why.into());
        }
    })
}

fn vip_passcode() -> Result<Passcode, Box<dyn Error>> {
    if let Some(digits) = variable("JAAS_VIP_PASSCODE")? {
        return Passcode::new(digits).map_err(|error| format!("JAAS_VIP_PASSCODE: {error}").into());
    }
    let passcode = Passcode::new(format!("{:06}", u64::from_be_bytes(random_bytes()?) % 1_000_000))?;
    writeln!(
        std::io::stdout(),
        "JAAS_VIP_PASSCODE is not set: rooms that end in -vip have the passcode {}",
        passcode.expose()
    )?;
    Ok(passcode)
}

/// Returns the secrets of the environment, or a random one.
fn secrets() -> Result<(Vec<String>, bool), Box<dyn Error>> {
    match variable("JAAS_WEBHOOK_SECRET")? {
        Some(secrets) => Ok((secrets.split(',').map(str::to_owned).collect(), false)),
        None => Ok((vec![format!("whsec_{:032x}", u128::from_be_bytes(random_bytes()?))], true)),
    }
}

fn variable(name: &str) -> Result<Option<String>, String> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Prints one line for each event.
struct Print;

#[async_trait]
impl EventHandler for Print {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        let envelope = cx.envelope();
        writeln!(
            std::io::stdout(),
            "handled {} {}",
            Escaped(&envelope.event_type),
            Escaped(&envelope.idempotency_key)
        )?;
        Ok(Handled::Done)
    }
}
