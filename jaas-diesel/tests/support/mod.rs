//! What the tests of the SQLite store share.
// Each test file uses a part of it.
#![allow(dead_code)]

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _, SqliteConnection};
use jaas_core::event::ParticipantJoined;
use jaas_core::store::{ClaimRequest, EventAdmin, EventQuery, EventState, StoredEvent};
use jaas_core::{
    Backoff, Clock as _, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, SystemClock,
    Timestamp, Worker, WorkerBuilder,
};
use jaas_diesel::sqlite::Connection;
use jaas_diesel::{SqliteStore, SqliteStoreBuilder};
use tempfile::TempDir;

diesel::table! {
    effects (id) {
        id -> Integer,
        row -> Text,
    }
}

/// The application's own tables, next to the inbox.
const TABLES: &str = "
    CREATE TABLE effects (id INTEGER PRIMARY KEY, row TEXT NOT NULL);
    CREATE TABLE uniques (row TEXT NOT NULL UNIQUE);
    CREATE TABLE parents (id INTEGER PRIMARY KEY);
    CREATE TABLE children (parent INTEGER NOT NULL REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
";

/// A folder with a database file in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("jaas.sqlite")
    }

    pub(crate) fn builder(&self) -> SqliteStoreBuilder {
        SqliteStore::builder(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.builder().open().await.expect("opened")
    }

    /// A store, and the application's tables in its file.
    pub(crate) async fn open_with_tables(&self) -> SqliteStore {
        let store = self.open().await;
        self.execute(TABLES);
        store
    }

    /// A connection as another process would have it.
    pub(crate) fn connection(&self) -> SqliteConnection {
        let path = self.path();
        let mut connection = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("connected");
        connection.batch_execute("PRAGMA busy_timeout = 10000").expect("set");
        connection
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.connection().batch_execute(sql).expect("executed");
    }

    /// The application's rows that were committed.
    pub(crate) fn effects(&self) -> Vec<String> {
        effects::table.order(effects::id).select(effects::row).load(&mut self.connection()).expect("listed")
    }

    /// The number that this statement returns.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        number(&mut self.connection(), sql)
    }
}

pub(crate) fn number(connection: &mut SqliteConnection, sql: &str) -> i64 {
    diesel::sql_query(format!("SELECT ({sql}) AS number")).get_result::<Number>(connection).expect(sql).number
}

#[derive(diesel::QueryableByName)]
pub(crate) struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) number: i64,
}

/// Counts the stored events.
pub(crate) const EVENTS: &str = "SELECT count(*) FROM jaas_events";

/// Counts the stored events with this key.
pub(crate) fn events_with_key(key: &str) -> String {
    format!("SELECT count(*) FROM jaas_events WHERE idempotency_key = '{key}'")
}

/// A claim of up to so many events.
pub(crate) fn request(limit: usize) -> ClaimRequest {
    ClaimRequest::new("test", now(), limit)
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// A `PARTICIPANT_JOINED` that happened and arrived now.
pub(crate) fn joined(key: &str, session: Option<&str>) -> Delivery {
    joined_with(key, session, now().as_millis(), "")
}

pub(crate) fn joined_with(key: &str, session: Option<&str>, happened: i64, name: &str) -> Delivery {
    let session = session.map_or("null".to_owned(), |session| format!("{session:?}"));
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":{session},"timestamp":{happened},"data":{{"name":"{name}"}}}}"#
    );
    Delivery::parse("main", now(), body.into()).expect("an envelope")
}

pub(crate) type Answer<'t> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>>;

/// A handler that runs `work` in the store's transaction.
pub(crate) fn in_transaction<F>(work: F) -> impl EventHandler<Connection>
where
    F: for<'t> Fn(&'t mut Connection, Delivery) -> Answer<'t> + Send + Sync + 'static,
{
    struct InTransaction<F>(F);

    #[async_trait]
    impl<F> EventHandler<Connection> for InTransaction<F>
    where
        F: for<'t> Fn(&'t mut Connection, Delivery) -> Answer<'t> + Send + Sync + 'static,
    {
        async fn participant_joined(
            &self,
            cx: &mut Context<'_, Connection>,
            _: &ParticipantJoined,
        ) -> HandlerResult {
            let delivery = cx.delivery().clone();
            (self.0)(cx.tx(), delivery).await
        }
    }

    InTransaction(work)
}

/// A handler that inserts one row per event.
pub(crate) fn inserting() -> impl EventHandler<Connection> {
    in_transaction(|tx, delivery| {
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            Ok(Handled::Done)
        })
    })
}

/// A handler that runs `work` outside any transaction.
pub(crate) fn plain<F, R>(work: F) -> impl EventHandler
where
    F: Fn(Delivery) -> R + Send + Sync + 'static,
    R: Future<Output = HandlerResult> + Send + 'static,
{
    struct Plain<F>(F);

    #[async_trait]
    impl<F, R> EventHandler for Plain<F>
    where
        F: Fn(Delivery) -> R + Send + Sync + 'static,
        R: Future<Output = HandlerResult> + Send + 'static,
    {
        async fn participant_joined(&self, cx: &mut Context<'_>, _: &ParticipantJoined) -> HandlerResult {
            (self.0)(cx.delivery().clone()).await
        }
    }

    Plain(work)
}

pub(crate) fn key_of(delivery: &Delivery) -> String {
    delivery.envelope.idempotency_key.to_string()
}

pub(crate) async fn insert(tx: &mut Connection, row: &str) -> diesel::QueryResult<usize> {
    diesel_async::RunQueryDsl::execute(diesel::insert_into(effects::table).values(effects::row.eq(row)), tx)
        .await
}

/// How many rows this transaction sees.
pub(crate) async fn effects_in(tx: &mut Connection) -> diesel::QueryResult<i64> {
    diesel_async::RunQueryDsl::get_result(effects::table.count(), tx).await
}

/// A worker with short delays between attempts, whose events are dead letters after three failures.
pub(crate) fn worker(store: &SqliteStore, handlers: Handlers<Connection>) -> WorkerBuilder<SqliteStore> {
    let backoff = Backoff::default()
        .initial_delay(Duration::from_millis(10))
        .max_delay(Duration::from_millis(20))
        .max_failures(3);
    Worker::builder(store.clone(), handlers).backoff(backoff).poll_interval(Duration::from_millis(100))
}

pub(crate) async fn event(store: &SqliteStore, key: &str) -> StoredEvent {
    let query = EventQuery { idempotency_key: Some(key.into()), ..EventQuery::default() };
    store.events(&query).await.expect("listed").items.remove(0)
}

/// Waits until `wanted` is true for the event.
pub(crate) async fn event_when(
    store: &SqliteStore,
    key: &str,
    wanted: impl Fn(&StoredEvent) -> bool,
) -> StoredEvent {
    let started = Instant::now();
    loop {
        let event = event(store, key).await;
        if wanted(&event) {
            return event;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "still {event:?}");
        // A worker sends no signal when it has settled an event.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn settled(store: &SqliteStore, key: &str) -> StoredEvent {
    event_when(store, key, |event| event.state.is_settled()).await
}

pub(crate) async fn is_done(store: &SqliteStore, key: &str) {
    let event = settled(store, key).await;
    assert_eq!(event.state, EventState::Done, "{event:?}");
}

/// Runs a test as under `#[actix_web::main]`.
pub(crate) fn on_one_thread(test: impl Future<Output = ()>) {
    run(tokio::runtime::Builder::new_current_thread(), test);
}

/// Runs a test as under `#[tokio::main]`.
pub(crate) fn on_several_threads(test: impl Future<Output = ()>) {
    run(tokio::runtime::Builder::new_multi_thread(), test);
}

fn run(mut runtime: tokio::runtime::Builder, test: impl Future<Output = ()>) {
    let runtime = runtime.worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(90), test).await.expect("the test ends");
    });
}
