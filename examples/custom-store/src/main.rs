//! A server that keeps JaaS events in a redb database, with its handler's counts in the same transaction. The README lists the
//! variables.

use std::env;
use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer};
use async_trait::async_trait;
use custom_store::{Redb, RedbStore, Transaction};
use jaas_actix::{Health, Webhook};
use jaas_core::event::Event;
use jaas_core::signature::Tolerance;
use jaas_core::store::{EventAdmin as _, EventState, Retention, StoreError};
use jaas_core::*;
use jaas_testkit::{Signer, event};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

/// The application's own table: a session, what happened in it, and how often.
const ATTENDANCE: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("attendance");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()))
        .init();
    let once = env::args().skip(1).any(|argument| argument == "--once");
    let setting = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let secret = setting("JAAS_WEBHOOK_SECRET", if once { "whsec_of_the_demonstration" } else { "" });
    let database = Arc::new(Database::create(setting("JAAS_DATABASE", "jaas.redb"))?);
    let store = Redb::store(database.clone()).await?;
    let auth = Auth::signature(secret.split(',')).map_err(|error| format!("JAAS_WEBHOOK_SECRET: {error}"))?;
    let receiver = Arc::new(Receiver::builder("main", auth, Inbox::new(store.clone())).build()?);
    let handlers = Handlers::new().transactional("attendance", Attendance);
    let worker = Worker::builder(store.clone(), handlers).build()?.spawn();
    // Only the purger deletes settled events.
    let purger = Purger::new(store.clone(), Retention::builder(Tolerance::default()).build()?).spawn()?;
    if once {
        demonstrate(&database, &store, &receiver, &Signer::new(&secret)?).await?;
    } else {
        let webhook = Webhook::new(receiver.clone()).at("/webhooks/jaas");
        let health = Health::new().receiver(receiver.clone()).store(store.clone());
        let health = health.live_check("worker", worker.liveness());
        let server =
            HttpServer::new(move || App::new().configure(webhook.config()).configure(health.config()))
                .bind(setting("JAAS_BIND", "127.0.0.1:8080"))?;
        server.addrs().iter().for_each(|address| tracing::info!(%address, "listening"));
        server.shutdown_timeout(10).run().await?;
    }
    receiver.close();
    worker.stop(Duration::from_secs(10)).await;
    purger.stop().await;
    Ok(())
}

/// Receives some events as JaaS would send them, and prints the handler's counts.
async fn demonstrate(
    database: &Database,
    store: &RedbStore,
    receiver: &Receiver,
    signer: &Signer,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let session = format!("demo-{}", SystemClock.now().as_millis());
    let joined = event::participant_joined().in_session(&*session).named("Ada").text();
    let left = event::participant_left().in_session(&*session).named("Ada").text();
    for (what, event) in [("a leave", &left), ("its join", &joined), ("the same again", &joined)] {
        let signed = signer.sign(SystemClock.now(), event.clone());
        let reply = receiver.receive(signed.credentials(), signed.body.clone()).await;
        writeln!(out, "{what:<15} {reply}")?;
    }
    let left = async |state| Ok::<_, StoreError>(store.stats().await?.count(state));
    while left(EventState::Waiting).await? + left(EventState::Running).await? > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let attendance = database.begin_read()?.open_table(ATTENDANCE)?;
    for row in attendance.range((&*session, "")..(&*session, "~"))? {
        let (key, count) = row?;
        writeln!(out, "{} {}: {}", key.value().0, key.value().1, count.value())?;
    }
    Ok(())
}

/// Counts joins and leaves. Each event counts once, because the count is committed with the event's completion.
struct Attendance;

#[async_trait]
impl EventHandler<Transaction> for Attendance {
    async fn any_event(&self, cx: &mut Context<'_, Transaction>, event: &Event) -> HandlerResult {
        let what = match event {
            Event::ParticipantJoined(_) => "joined",
            Event::ParticipantLeft(_) => "left",
            _ => return Ok(Handled::ignored("not a join or a leave")),
        };
        let Some(session) = cx.envelope().session_id.clone() else {
            return Ok(Handled::ignored("no session"));
        };
        cx.tx().write(move |tables| {
            let mut attendance = tables.open_table(ATTENDANCE)?;
            let before = attendance.get((session.as_str(), what))?.map_or(0, |count| count.value());
            attendance.insert((session.as_str(), what), before + 1)?;
            Ok(())
        });
        Ok(Handled::Done)
    }
}
