//! A server that keeps JaaS events in a journal. The variables are in the README.

use std::env;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use custom_store::{JournalStore, Transaction};
use jaas_actix::{Health, Webhook};
use jaas_core::event::{ParticipantJoined, ParticipantLeft};
use jaas_core::signature::Tolerance;
use jaas_core::store::{EventState, EventStore as _, Retention};
use jaas_core::{
    Auth, Clock as _, Context, EventHandler, Handled, HandlerResult, Handlers, Inbox, Purger, Receiver,
    SystemClock, Worker,
};
use jaas_testkit::{Signer, event};

// `#[actix_web::main]` would do as well: the journal has a thread of its own.
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
            tracing::error!(%error, "custom-store cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let once = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--once" => true,
        _ => return Err("usage: custom-store [--once]".into()),
    };
    let folder = env::var("JAAS_JOURNAL").unwrap_or_else(|_| "jaas.journal".to_owned());
    let store =
        JournalStore::open(&folder).await.map_err(|error| format!("{folder} (JAAS_JOURNAL): {error}"))?;
    let secret = match env::var("JAAS_WEBHOOK_SECRET") {
        Err(_) if once => "whsec_of_the_demonstration".to_owned(),
        secret => secret.map_err(|error| format!("JAAS_WEBHOOK_SECRET: {error}"))?,
    };
    let auth = Auth::signature(secret.split(','))?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);
    let handlers = Handlers::new().transactional("attendance", Attendance);
    // Before anything runs that would be cut off, should the address be taken.
    let bind = env::var("JAAS_BIND").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = (!once).then(|| TcpListener::bind(&bind)).transpose();
    let listener = listener.map_err(|error| format!("cannot listen on {bind} (JAAS_BIND): {error}"))?;
    let worker = Worker::builder(store.clone(), handlers).build()?.spawn();
    // Nothing else deletes what is settled.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;

    if let Some(listener) = listener {
        let webhook = Webhook::new(receiver.clone()).at("/webhooks/jaas");
        let pinged = store.clone();
        let ping = move || {
            let store = pinged.clone();
            async move { store.ping().await }
        };
        let health = Health::new()
            .receiver(receiver.clone())
            .check("store", ping)
            .live_check("worker", worker.liveness());
        let app = move || App::new().configure(webhook.config()).configure(health.config());
        let server = HttpServer::new(app).shutdown_timeout(10).listen(listener)?;
        let address = *server.addrs().first().ok_or("no address to listen on")?;
        tracing::info!(%address, folder, "listening");
        server.run().await?;
    } else {
        demonstrate(&store, &receiver, &secret).await?;
    }
    receiver.close();
    worker.stop(Duration::from_secs(10)).await;
    purger.stop().await;
    Ok(())
}

/// Receives some events as JaaS would send them, and prints what the handler has written.
async fn demonstrate(store: &JournalStore, receiver: &Receiver, secret: &str) -> Result<(), Box<dyn Error>> {
    let signer = Signer::new(secret)?;
    let mut out = std::io::stdout();
    let session = format!("demo-{}", SystemClock.now().as_millis());
    let joined = event::participant_joined().in_session(&*session).named("Ada").text();
    let left = event::participant_left().in_session(&*session).named("Ada").text();
    for (what, event) in [("a leave", &left), ("its join", &joined), ("the same again", &joined)] {
        let signed = signer.sign(SystemClock.now(), event.clone());
        let reply = receiver.receive(signed.credentials(), signed.body.clone()).await;
        writeln!(out, "{what:<15} {reply}")?;
    }
    // The worker has 10 s.
    for _ in 0..1000 {
        let stats = store.stats().await?;
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for (key, value) in store.values(&session).await? {
        writeln!(out, "{key} {value}")?;
    }
    Ok(())
}

/// Counts who came and who went. Each event is counted once, because the count and the event's completion are one line of
/// the journal.
struct Attendance;

#[async_trait]
impl EventHandler<Transaction> for Attendance {
    async fn participant_joined(
        &self,
        cx: &mut Context<'_, Transaction>,
        _: &ParticipantJoined,
    ) -> HandlerResult {
        count(cx, "joined").await
    }

    async fn participant_left(
        &self,
        cx: &mut Context<'_, Transaction>,
        _: &ParticipantLeft,
    ) -> HandlerResult {
        count(cx, "left").await
    }
}

async fn count(cx: &mut Context<'_, Transaction>, what: &str) -> HandlerResult {
    let Some(session) = &cx.envelope().session_id else { return Ok(Handled::ignored("no session")) };
    let key = format!("{session}/{what}");
    let before = cx.tx().get(&key).await?;
    let before: u64 = before.map_or(Ok(0), |count| count.parse())?;
    cx.tx().put(key, (before + 1).to_string());
    Ok(Handled::Done)
}
