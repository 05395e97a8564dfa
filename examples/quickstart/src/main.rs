//! A complete small server that receives 8x8 JaaS webhooks. Copy it, and replace `attendance.rs` by your own handler.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `JAAS_WEBHOOK_SECRET` | the endpoint's secret, including `whsec_`; to rotate, several, separated by commas | a random one, and a demonstration |
//! | `JAAS_BIND` | address to listen on | `127.0.0.1:8080` |
//! | `JAAS_DATABASE` | SQLite file | `jaas.sqlite` |
//! | `JAAS_CONSOLE_PASSWORD` | with `--console`, the password of the operator `ops` | a random one, which is printed |
//! | `RUST_LOG` | the filter of log lines on standard error | `info` |
//!
//! `--once` plays the demonstration and exits. `--console` also serves pages for operators, below `/ops`.

mod attendance;
mod console;
mod demo;

use std::env;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
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

use crate::attendance::Attendance;

const PATH: &str = "/webhooks/jaas";

// With `#[tokio::main]` the worker and other spawned tasks spread over all cores. `#[actix_web::main]` also works, but then
// they share one thread. Requests have separate threads either way.
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
            tracing::error!(%error, "quickstart failed");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let (once, console) = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => (false, false),
        [flag] if flag == "--once" => (true, false),
        [flag] if flag == "--console" => (false, true),
        _ => return Err("usage: quickstart [--once | --console]".into()),
    };
    let bind = env::var("JAAS_BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let database = env::var("JAAS_DATABASE").unwrap_or_else(|_| "jaas.sqlite".to_owned());
    let (secrets, random) = secrets()?;
    // Binds first: if the address is taken, nothing is running yet.
    let listener = TcpListener::bind(&bind);
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;

    // From the socket to the committed row, …
    let store = SqliteStore::open(&database).await?;
    let auth = Auth::signature(&secrets)?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);

    // … and from the row to the handler.
    attendance::create_tables(&database).await?;
    // The console needs them too, to rehearse them.
    let handlers = || Handlers::new().transactional("attendance", Attendance);
    let worker = Worker::builder(store.clone(), handlers())
        .transaction_timeout(Duration::from_secs(5))
        .build()?
        .spawn();

    // Only the purger deletes: settled events after 30 days, dead letters, conflicts and quarantine after 90.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    // Measures the queue. To see the values, install an exporter for the `metrics` facade.
    let monitor = Monitor::new(store.clone()).spawn()?;

    let webhook = Webhook::new(receiver.clone()).at(PATH);
    let health =
        Health::new().receiver(receiver.clone()).store(store.clone()).live_check("worker", worker.liveness());
    let password = if console { Some(console_password()?) } else { None };
    let pages = password.as_ref().map(|(password, _)| console::pages(store.clone(), handlers(), password));
    let server = HttpServer::new(move || {
        let app = App::new().configure(webhook.config()).configure(health.config());
        app.configure(|app| pages.iter().for_each(|pages| pages(app)))
    })
    .shutdown_timeout(10)
    .listen(listener)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    // Ends by itself: on SIGTERM after the requests in flight, on Ctrl-C immediately. JaaS delivers the latter again.
    let server = server.run();
    let handle = server.handle();
    let server = tokio::spawn(server);
    tracing::info!(%address, path = PATH, database, "listening");

    if let Some((password, is_random)) = password {
        // Only a password that nobody chose has to be shown.
        let shown = if is_random { &password } else { "that of JAAS_CONSOLE_PASSWORD" };
        let (path, user) = (console::PATH, console::USER);
        writeln!(std::io::stdout(), "console: http://{address}{path}/ user {user}, password {shown}")?;
    }
    if random || once {
        let played = demo::play(address, PATH, &secrets[0], random, &store, &database).await;
        if once || played.is_err() {
            handle.stop(true).await;
        }
        played?;
    }

    server.await??;
    receiver.close();
    let stopped = worker.stop(Duration::from_secs(10)).await;
    monitor.stop().await;
    purger.stop().await;
    store.close().await;
    tracing::info!(interrupted = stopped.interrupted, "stopped");
    Ok(())
}

/// Returns the secrets of the environment, or a random one.
fn secrets() -> Result<(Vec<String>, bool), Box<dyn Error>> {
    match env::var("JAAS_WEBHOOK_SECRET") {
        Ok(secrets) => Ok((secrets.split(',').map(str::to_owned).collect(), false)),
        Err(env::VarError::NotPresent) => Ok((vec![format!("whsec_{}", random_text()?)], true)),
        Err(error) => Err(format!("JAAS_WEBHOOK_SECRET: {error}").into()),
    }
}

/// Returns the console's password of the environment, or a random one, and whether it is random.
fn console_password() -> Result<(String, bool), Box<dyn Error>> {
    match env::var("JAAS_CONSOLE_PASSWORD") {
        Ok(password) if password.len() < 12 => {
            Err("JAAS_CONSOLE_PASSWORD must have 12 characters or more; unset it to get a random one".into())
        }
        Ok(password) => Ok((password, false)),
        Err(env::VarError::NotPresent) => Ok((random_text()?, true)),
        Err(error) => Err(format!("JAAS_CONSOLE_PASSWORD: {error}").into()),
    }
}

fn random_text() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
