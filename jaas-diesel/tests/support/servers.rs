//! What the tests on servers share, so that one text tests both kinds.
// Each test file uses a part of it.
#![allow(dead_code, unused_imports, unused_macros)]

#[path = "server.rs"]
mod server;

use std::fmt::Debug;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, RunQueryDsl as _,
    SimpleAsyncConnection as _,
};
use jaas_core::event::ParticipantJoined;
use jaas_core::store::{
    Claim, ClaimRequest, EventAdmin, EventQuery, EventState, EventStore, Step, StoreError, StoredEvent,
    TxWork,
};
use jaas_core::{
    Backoff, Clock as _, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, SystemClock,
    Timestamp, Worker, WorkerBuilder,
};
use jaas_diesel::{Migration, MysqlStore, PostgresStore};

pub(crate) use self::server::{Mysql, Postgres, url};

/// Mounts tests on both servers, each with its own database.
macro_rules! on_both_servers {
    ($($(#[$meta:meta])* $name:ident)*) => {
        $crate::servers::on_server! { postgres: Postgres; $($(#[$meta])* $name)* }
        $crate::servers::on_server! { mysql: Mysql; $($(#[$meta])* $name)* }
    };
}

/// Mounts tests on one server, in a module of this name.
macro_rules! on_server {
    ($module:ident: $Server:ident; $($(#[$meta:meta])* $name:ident)*) => {
        mod $module {
            $(
                $(#[$meta])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let database = $crate::server_or_return!($crate::servers::$Server);
                    $crate::servers::in_time(super::$name(&database)).await;
                }
            )*
        }
    };
}
pub(crate) use {on_both_servers, on_server};

/// Runs a test, and fails it after 60 s.
pub(crate) async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test ends");
}

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) timeout: Duration,
    pub(crate) pool_size: u32,
    pub(crate) migrate: bool,
    pub(crate) queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), pool_size: 4, migrate: true, queue: 1024 }
    }
}

impl Settings {
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self { timeout: limit, ..Self::default() }
    }
}

/// A database of a server, and the store in it.
pub(crate) trait Server: Send + Sync + Sized + 'static {
    type Connection: AsyncConnection<TransactionManager = AnsiTransactionManager> + 'static;
    type Store: EventAdmin<Tx = Self::Connection> + Clone + Debug;

    const IS_POSTGRES: bool;
    /// The application's tables, next to the inbox.
    const TABLES: &str;

    /// The address of the database. It marks the connections of a store, so that they differ from the test's.
    fn address(&self) -> String;
    fn open_at(
        address: String,
        settings: Settings,
    ) -> impl Future<Output = Result<Self::Store, StoreError>> + Send;
    fn apply(address: String) -> impl Future<Output = Result<Vec<Migration>, StoreError>> + Send;
    fn migrations(address: String) -> impl Future<Output = Result<Vec<Migration>, StoreError>> + Send;
    fn revert(address: String) -> impl Future<Output = Result<Option<Migration>, StoreError>> + Send;
    fn close(store: &Self::Store) -> impl Future<Output = ()> + Send;
    /// How many connections the pool has, and how many of them are idle.
    fn pool(store: &Self::Store) -> (u32, u32);
    /// Runs a query on a connection of the pool, as the application does.
    fn read_from_pool(store: &Self::Store) -> impl Future<Output = i64> + Send;
    /// Opens so many connections of the pool, and leaves them idle.
    fn fill_pool(store: &Self::Store, size: u32) -> impl Future<Output = ()> + Send;
    /// The test's own connection to the database.
    fn connection(&self) -> impl Future<Output = Self::Connection> + Send;
    /// The number that this statement returns.
    fn number(
        connection: &mut Self::Connection,
        sql: &str,
    ) -> impl Future<Output = diesel::QueryResult<i64>> + Send;
    /// How many connections of the store the server has.
    fn count_connections(&self) -> impl Future<Output = i64> + Send;
    /// Kills the connections of the store, or those whose last statement is like this one.
    fn kill(&self, asked: &str) -> impl Future<Output = ()> + Send;
    /// How many transactions are open in the database.
    fn open_transactions(&self) -> impl Future<Output = i64> + Send;

    async fn open(&self) -> Self::Store {
        self.open_with(Settings::default()).await
    }

    async fn open_with(&self, settings: Settings) -> Self::Store {
        Self::open_at(self.address(), settings).await.expect("opened")
    }

    /// A store, and the application's tables in its database.
    async fn open_with_tables(&self, settings: Settings) -> Self::Store {
        let store = self.open_with(settings).await;
        self.execute(Self::TABLES).await;
        store
    }

    async fn execute(&self, sql: &str) {
        self.connection().await.batch_execute(sql).await.expect(sql);
    }

    async fn ask(&self, sql: &str) -> i64 {
        Self::number(&mut self.connection().await, sql).await.expect(sql)
    }

    /// How many rows the application has for this event.
    async fn effects(&self, key: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM effects WHERE effect = '{key}'")).await
    }

    async fn rows(&self, key: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM jaas_events WHERE idempotency_key = '{key}'")).await
    }

    /// Waits until the number is the wanted one: a server takes its time to end connections and transactions.
    async fn becomes(&self, what: &str, wanted: i64) {
        let started = Instant::now();
        loop {
            let now = match what {
                "connections" => self.count_connections().await,
                "transactions" => self.open_transactions().await,
                sql => self.ask(sql).await,
            };
            if now == wanted {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{what}: still {now}, and not {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

macro_rules! server {
    ($Server:ident, $Store:ident, $module:ident) => {
        type Connection = jaas_diesel::$module::Connection;
        type Store = $Store;

        async fn open_at(address: String, settings: Settings) -> Result<$Store, StoreError> {
            $Store::builder(address)
                .timeout(settings.timeout)
                .pool_size(settings.pool_size)
                .migrate(settings.migrate)
                .queue(settings.queue)
                .open()
                .await
        }

        async fn apply(address: String) -> Result<Vec<Migration>, StoreError> {
            $Store::builder(address).apply_migrations().await
        }

        async fn migrations(address: String) -> Result<Vec<Migration>, StoreError> {
            $Store::builder(address).migrations().await
        }

        async fn revert(address: String) -> Result<Option<Migration>, StoreError> {
            $Store::builder(address).revert_migration().await
        }

        async fn close(store: &$Store) {
            store.close().await;
        }

        fn pool(store: &$Store) -> (u32, u32) {
            let state = store.pool().state();
            (state.connections, state.idle_connections)
        }

        async fn read_from_pool(store: &$Store) -> i64 {
            let mut connection = store.pool().get().await.expect("a connection");
            Self::number(&mut connection, "SELECT count(*) FROM jaas_events").await.expect("answered")
        }

        async fn fill_pool(store: &$Store, size: u32) {
            let mut all = Vec::new();
            for _ in 0..size {
                all.push(store.pool().get().await.expect("a connection"));
            }
        }

        async fn connection(&self) -> Self::Connection {
            self.connect().await
        }

        async fn number(connection: &mut Self::Connection, sql: &str) -> diesel::QueryResult<i64> {
            let asked = diesel::sql_query(format!("SELECT ({sql}) AS number"));
            Ok(asked.get_result::<Number>(connection).await?.number)
        }
    };
}

#[derive(diesel::QueryableByName)]
pub(crate) struct Number {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    pub(crate) number: i64,
}

impl Server for Postgres {
    server!(Postgres, PostgresStore, postgres);

    const IS_POSTGRES: bool = true;
    const TABLES: &str = "
        CREATE TABLE effects (id BIGSERIAL PRIMARY KEY, effect TEXT NOT NULL);
        CREATE TABLE uniques (effect TEXT NOT NULL UNIQUE);
        CREATE TABLE parents (id BIGINT PRIMARY KEY);
        CREATE TABLE children (parent BIGINT NOT NULL REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED);
    ";

    fn address(&self) -> String {
        let url = self.url();
        format!("{url}&application_name={}", name_in(&url))
    }

    async fn count_connections(&self) -> i64 {
        let name = name_in(&self.url());
        self.ask(&format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'")).await
    }

    async fn kill(&self, asked: &str) {
        let name = name_in(&self.url());
        self.ask(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = '{name}' AND query LIKE '%{asked}%'"
        ))
        .await;
    }

    async fn open_transactions(&self) -> i64 {
        let name = name_in(&self.url());
        self.ask(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND xact_start IS NOT NULL"
        ))
        .await
    }
}

impl Server for Mysql {
    server!(Mysql, MysqlStore, mysql);

    const IS_POSTGRES: bool = false;
    const TABLES: &str = "
        CREATE TABLE effects (id BIGINT AUTO_INCREMENT PRIMARY KEY, effect VARCHAR(255) NOT NULL);
        CREATE TABLE uniques (effect VARCHAR(255) NOT NULL UNIQUE);
        CREATE TABLE parents (id BIGINT PRIMARY KEY);
        CREATE TABLE children (parent BIGINT NOT NULL, FOREIGN KEY (parent) REFERENCES parents (id));
    ";

    fn address(&self) -> String {
        self.url()
    }

    async fn count_connections(&self) -> i64 {
        let name = name_in(&self.url());
        self.ask(&format!(
            "SELECT count(*) FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()"
        ))
        .await
    }

    async fn kill(&self, _: &str) {
        let name = name_in(&self.url());
        let mut own = self.connect().await;
        let ids = format!(
            "SELECT CAST(id AS SIGNED) AS number FROM information_schema.processlist \
             WHERE db = '{name}' AND id <> CONNECTION_ID()"
        );
        for Number { number } in diesel::sql_query(ids).load::<Number>(&mut own).await.expect("listed") {
            // The connection may have ended by itself.
            let _ = own.batch_execute(&format!("KILL {number}")).await;
        }
    }

    async fn open_transactions(&self) -> i64 {
        // InnoDB returns cached values, unless they are older than a tenth of a second.
        static ASKED: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _asked = ASKED.lock().await;
        tokio::time::sleep(Duration::from_millis(120)).await;
        let name = name_in(&self.url());
        self.ask(&format!(
            "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p \
             ON p.id = t.trx_mysql_thread_id WHERE p.db = '{name}'"
        ))
        .await
    }
}

/// The name of the schema or database in an address.
fn name_in(url: &str) -> String {
    let start = url.find("jaas_test_").expect("a name");
    url[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// A `PARTICIPANT_JOINED` that happened and arrived now.
pub(crate) fn joined(key: &str, session: Option<&str>) -> Delivery {
    joined_at(key, session, now(), "")
}

/// The same bytes at each call.
pub(crate) fn repeated(key: &str) -> Delivery {
    joined_at(key, None, Timestamp::from_millis(1), "")
}

pub(crate) fn joined_at(key: &str, session: Option<&str>, happened: Timestamp, name: &str) -> Delivery {
    let session = session.map_or("null".to_owned(), |session| format!("{session:?}"));
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"PARTICIPANT_JOINED","sessionId":{session},"timestamp":{},"data":{{"name":"{name}"}}}}"#,
        happened.as_millis()
    );
    Delivery::parse("main", now(), body.into()).expect("an envelope")
}

pub(crate) fn request(limit: usize) -> ClaimRequest {
    ClaimRequest::new("test", now(), limit)
}

pub(crate) fn step() -> Step {
    Step { handler: "handler".into(), last: true, next: None }
}

/// Accepts an event and claims it.
pub(crate) async fn claimed<S: EventAdmin>(store: &S, key: &str) -> Claim {
    store.accept(repeated(key)).await.expect("accepted");
    let claim = store.claim(&request(1)).await.expect("claimed").pop();
    claim.expect("one was waiting")
}

pub(crate) type Answer<'t> = Pin<Box<dyn Future<Output = HandlerResult> + Send + 't>>;

/// A handler that runs `work` in the store's transaction.
pub(crate) fn in_transaction<C, F>(work: F) -> impl EventHandler<C>
where
    C: Send + 'static,
    F: for<'t> Fn(&'t mut C, Delivery) -> Answer<'t> + Send + Sync + 'static,
{
    struct InTransaction<C, F>(F, PhantomData<fn(C)>);

    #[async_trait]
    impl<C, F> EventHandler<C> for InTransaction<C, F>
    where
        C: Send + 'static,
        F: for<'t> Fn(&'t mut C, Delivery) -> Answer<'t> + Send + Sync + 'static,
    {
        async fn participant_joined(&self, cx: &mut Context<'_, C>, _: &ParticipantJoined) -> HandlerResult {
            let delivery = cx.delivery().clone();
            (self.0)(cx.tx(), delivery).await
        }
    }

    InTransaction(work, PhantomData)
}

/// A handler that inserts one row per event.
pub(crate) fn inserting<C: AsyncConnection + 'static>() -> impl EventHandler<C> {
    in_transaction(|tx: &mut C, delivery| {
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

pub(crate) async fn insert<C: AsyncConnection>(tx: &mut C, effect: &str) -> diesel::QueryResult<()> {
    tx.batch_execute(&format!("INSERT INTO effects (effect) VALUES ('{effect}')")).await
}

/// Work in the form that the store takes.
pub(crate) fn work<C>(work: impl for<'t> FnOnce(&'t mut C) -> Answer<'t> + Send + 'static) -> TxWork<C> {
    Box::new(work)
}

/// A worker with short delays between attempts, whose events are dead letters after three failures.
pub(crate) fn worker<S: EventAdmin + Clone>(store: &S, handlers: Handlers<S::Tx>) -> WorkerBuilder<S> {
    let backoff = Backoff::default()
        .initial_delay(Duration::from_millis(10))
        .max_delay(Duration::from_millis(20))
        .max_failures(3);
    Worker::builder(store.clone(), handlers).backoff(backoff).poll_interval(Duration::from_millis(100))
}

pub(crate) async fn event<S: EventAdmin>(store: &S, key: &str) -> StoredEvent {
    let query = EventQuery { idempotency_key: Some(key.into()), ..EventQuery::default() };
    store.events(&query).await.expect("listed").items.pop().expect("stored")
}

/// Waits until `wanted` is true for the event.
pub(crate) async fn event_when<S: EventAdmin>(
    store: &S,
    key: &str,
    wanted: impl Fn(&StoredEvent) -> bool,
) -> StoredEvent {
    let started = Instant::now();
    loop {
        let event = event(store, key).await;
        if wanted(&event) {
            return event;
        }
        assert!(started.elapsed() < Duration::from_secs(15), "still {event:?}");
        // A worker sends no signal when it has settled an event.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn is_done<S: EventAdmin>(store: &S, key: &str) -> StoredEvent {
    let event = event_when(store, key, |event| event.state.is_settled()).await;
    assert_eq!(event.state, EventState::Done, "{event:?}");
    event
}

/// Waits until the store works again, within this time and without being opened again.
pub(crate) async fn works_again<S: EventAdmin>(store: &S, key: &str, within: Duration) {
    let started = Instant::now();
    for round in 0.. {
        let answers = (
            store.accept(repeated(key)).await.map(drop),
            store.ping().await,
            store.claim(&request(0)).await.map(drop),
            store.stats().await.map(drop),
        );
        if matches!(answers, (Ok(()), Ok(()), Ok(()), Ok(()))) {
            return;
        }
        assert!(started.elapsed() < within, "not after {round} rounds: {answers:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
