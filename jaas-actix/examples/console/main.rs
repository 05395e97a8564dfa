//! The operators' console over an inbox that has everything an operator may meet: for `.ci/check-console`, and to look
//! at.
//!
//! `cargo run -p jaas-actix --all-features --example console -- [PATH [ADDRESS]]` serves it below `PATH`, by default
//! `/ops`, at `ADDRESS`, by default a free port of this machine. The inbox is a file that is deleted at the end.

mod clock;
mod events;
mod rooms;
mod seed;

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use jaas_actix::{Console, Operator};
use jaas_core::watch::{GapHandler, Watch};
use jaas_core::{Clock as _, Handlers, Monitor, SystemClock, Worker};
use jaas_diesel::SqliteStore;
use jaas_diesel::meetings::{Meetings, Names};

use crate::clock::Wound;
use crate::rooms::{Files, Rooms};

/// Gaps are only listed.
struct Nothing;

impl<Tx: Send> GapHandler<Tx> for Nothing {}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "/ops".to_owned());
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());

    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await?;
    let clock = Wound::new(SystemClock.now());
    let meetings = Meetings::builder().names(Names::Keep).clock(clock.now()).build()?;
    let rooms = Arc::new(Rooms::default());
    // Once for the worker, and once for rehearsals.
    let handlers = || {
        Handlers::new()
            .transactional("meetings", meetings.handler())
            .transactional("files", Files(store.clone()))
            .transactional("rooms", rooms.clone())
    };

    let watch = Watch::builder(store.clone()).clock(clock.now()).build()?;
    let watched = handlers().transactional("watch", watch.handler());
    let worker = Worker::builder(store.clone(), watched).clock(clock.now()).name("web-1").build()?.spawn();
    seed::seed(&store, &clock, &rooms).await?;
    watch.audit(Nothing).await?;
    let monitor = Monitor::new(store.clone()).spawn()?;

    // Every client that reaches the port may do everything: there is nothing in this inbox, and it is only for this machine.
    let access = |_: &HttpRequest| Some(Operator::with_every_right("ada"));
    let console = Console::new(store.clone(), access)
        .clock(clock.now())
        .handlers(handlers())
        .settings(store.clone())
        .archive(store.clone())
        .gaps(store.clone())
        .meetings(store.meeting_tables(&meetings));

    let server = HttpServer::new(move || {
        // Browsers ask for the icon of the whole application.
        App::new()
            .route("/favicon.ico", web::get().to(HttpResponse::NoContent))
            .service(web::scope(&path).service(console.clone()))
    });
    let server = server.workers(1).bind(address)?;
    let address = *server.addrs().first().ok_or("no address to listen on")?;
    writeln!(std::io::stdout(), "listening address={address}")?;
    server.run().await?;
    worker.stop(Duration::from_secs(5)).await;
    monitor.stop().await;
    store.close().await;
    Ok(())
}
