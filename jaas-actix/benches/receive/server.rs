//! The servers: one worker thread each, and a database of their own where they need one.

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer};
use async_trait::async_trait;
use diesel_async::AsyncConnection;
use jaas_actix::Webhook;
use jaas_core::event::ParticipantJoined;
use jaas_core::{
    Auth, Context, Direct, DispatchError, Dispatcher, Disposition, EventHandler, Handled, HandlerResult,
    Handlers, Inbox, Incoming, Receiver,
};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

use crate::by_hand;
use crate::support::SECRET;

/// Serves a subject until the input ends; prints the port.
pub(crate) fn serve(subject: &str, database: &str) {
    // On this thread as well, and so on the same core.
    actix_web::rt::System::new().block_on(async {
        match subject {
            "bare" => run(bare).await,
            "by hand: verified" => run(by_hand::verified(false)).await,
            "by hand: verified, dedup, payload" => run(by_hand::verified(true)).await,
            "by hand: PostgreSQL, pool of 16" => run(by_hand::postgres(database).await).await,
            "verified, stub dispatcher" => run(mounted(Stub)).await,
            "Direct, typed payload" => run(mounted(direct())).await,
            "Direct, recorder and WARN" => {
                metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder().unwrap();
                tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
                run(mounted(direct())).await;
            }
            "SQLite" => {
                let folder = tempfile::tempdir().unwrap();
                let store = SqliteStore::open(folder.path().join("jaas.sqlite")).await.unwrap();
                run(mounted(Inbox::new(store))).await;
            }
            "PostgreSQL" => run(mounted(Inbox::new(PostgresStore::open(database).await.unwrap()))).await,
            "MySQL or MariaDB" => run(mounted(Inbox::new(MysqlStore::open(database).await.unwrap()))).await,
            other => panic!("{other} is not among the subjects"),
        }
    });
}

async fn run(configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) {
    let server = HttpServer::new(move || App::new().configure(configure.clone())).workers(1);
    let server = server.bind("127.0.0.1:0").unwrap();
    println!("{}", server.addrs()[0].port());
    let server = server.run();
    let handle = server.handle();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        // What it holds is not worth waiting for.
        drop(handle.stop(false));
        std::process::exit(0);
    });
    server.await.unwrap();
}

fn bare(app: &mut ServiceConfig) {
    app.route("/webhooks/jaas", web::post().to(async |_: web::Bytes| HttpResponse::Ok().finish()));
}

fn mounted(dispatcher: impl Dispatcher) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let receiver = Receiver::builder("main", Auth::signature([SECRET]).unwrap(), dispatcher);
    let webhook = Webhook::new(Arc::new(receiver.build().unwrap()));
    move |app| (webhook.config())(app)
}

fn direct() -> Direct {
    Direct::builder(Handlers::new().plain("joined", Joined)).build().unwrap()
}

/// Takes every event at once.
struct Stub;

#[async_trait]
impl Dispatcher for Stub {
    async fn dispatch(&self, _: Incoming) -> Result<Disposition, DispatchError> {
        Ok(Disposition::Stored)
    }
}

/// A handler of one event type; the others are ignored.
struct Joined;

#[async_trait]
impl EventHandler for Joined {
    async fn participant_joined(&self, _: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        std::hint::black_box(event);
        Ok(Handled::Done)
    }
}

/// The schema or database of one repeat, dropped at the end.
pub(crate) struct Database {
    url: String,
    drop: Option<Box<dyn FnOnce()>>,
}

impl Database {
    /// What the subject needs; `None` when it is not here.
    pub(crate) fn of(subject: &str) -> Option<Self> {
        let name = format!("jaas_bench_{}", std::process::id());
        if subject.contains("PostgreSQL") || subject.contains("pg") {
            let server = std::env::var("JAAS_TEST_POSTGRES_URL").ok()?;
            let separator = if server.contains('?') { '&' } else { '?' };
            let url = format!("{server}{separator}options=-c%20search_path%3D{name}");
            let (create, gone) = (format!("CREATE SCHEMA {name}"), format!("DROP SCHEMA {name} CASCADE"));
            return Some(Self::new::<jaas_diesel::postgres::Connection>(server, url, &create, gone));
        }
        if subject.contains("MySQL") {
            let server = std::env::var("JAAS_TEST_MYSQL_URL").ok()?;
            let url = format!("{}/{name}", server.rsplit_once('/').map_or(&*server, |(host, _)| host));
            let (create, gone) = (format!("CREATE DATABASE {name}"), format!("DROP DATABASE {name}"));
            return Some(Self::new::<jaas_diesel::mysql::Connection>(server, url, &create, gone));
        }
        Some(Self { url: "none".to_owned(), drop: None })
    }

    fn new<C: AsyncConnection>(server: String, url: String, create: &str, gone: String) -> Self {
        execute::<C>(&server, create);
        Self { url, drop: Some(Box::new(move || execute::<C>(&server, &gone))) }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(drop) = self.drop.take() {
            drop();
        }
    }
}

fn execute<C: AsyncConnection>(server: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { C::establish(server).await.unwrap().batch_execute(sql).await.unwrap() });
}
