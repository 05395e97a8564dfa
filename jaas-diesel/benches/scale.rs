//! What a backlog and a long history cost. Measures rates next to one hot session, and with many settled rows, as shares of
//! the rates of an empty inbox in the same run.
//!
//! `cargo bench -p jaas-diesel --all-features --bench scale`, with `JAAS_TEST_POSTGRES_URL` and `JAAS_TEST_MYSQL_URL` for
//! the servers. Words after `--` choose: a database (`sqlite`, `postgres`, `mysql`) and parts (`backlog`, `hot`,
//! `transactional`, `history`, `waits`, `aging`); a number sets how many settled rows `history` has.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use jaas_core::event::Event;
use jaas_core::signature::Tolerance;
use jaas_core::store::{Accepted, EventAdmin, EventState, Keep, Retention};
use jaas_core::{
    Clock as _, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, Purger, SystemClock,
    Worker,
};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};
use tokio::sync::Notify;

use self::support::server::{Mysql, Postgres};
use self::support::{accepted, arguments, concurrently, prefix, wanted};

const DATABASES: [&str; 3] = ["sqlite", "postgres", "mysql"];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if database("sqlite") {
            parts::<SqliteDatabase>("SQLite, WAL, synchronous=FULL").await;
        }
        if database("postgres") && std::env::var(Postgres::VARIABLE).is_ok() {
            parts::<PostgresDatabase>("PostgreSQL").await;
        }
        if database("mysql") && std::env::var(Mysql::VARIABLE).is_ok() {
            parts::<MysqlDatabase>("MySQL or MariaDB").await;
        }
    });
}

fn database(name: &str) -> bool {
    !arguments().any(|argument| DATABASES.contains(&&*argument)) || wanted(name)
}

fn part(name: &str) -> bool {
    let parts = |argument: &String| !DATABASES.contains(&&**argument) && argument.parse::<usize>().is_err();
    let mut chosen = arguments().filter(parts).peekable();
    chosen.peek().is_none() && name != "aging" || chosen.any(|chosen| chosen == name)
}

/// A new database for one measurement.
#[async_trait]
trait Database: Sized {
    type Store: EventAdmin + Clone;

    async fn create() -> Self;
    async fn open(&self) -> Self::Store;
    async fn close(store: Self::Store);
    async fn sql(&self, sql: &str);
    /// So many settled events, a hundred to a session.
    fn settled_rows(rows: usize) -> String;
    const ANALYZE: &str;
}

struct SqliteDatabase(tempfile::TempDir);

#[async_trait]
impl Database for SqliteDatabase {
    type Store = SqliteStore;

    async fn create() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(self.0.path().join("jaas.sqlite")).await.unwrap()
    }

    async fn close(store: SqliteStore) {
        store.close().await;
    }

    async fn sql(&self, sql: &str) {
        let path = self.0.path().join("jaas.sqlite");
        let mut connection =
            jaas_diesel::sqlite::Connection::establish(path.to_str().unwrap()).await.unwrap();
        connection.batch_execute(sql).await.unwrap();
    }

    fn settled_rows(rows: usize) -> String {
        insert_settled(
            &format!(
                "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n)"
            ),
            "'k' || i",
            "'s' || (i / 100)",
            "zeroblob(300)",
            "zeroblob(32)",
        )
    }

    const ANALYZE: &str = "ANALYZE";
}

struct PostgresDatabase(Postgres);

#[async_trait]
impl Database for PostgresDatabase {
    type Store = PostgresStore;

    async fn create() -> Self {
        Self(Postgres::create().await.unwrap())
    }

    async fn open(&self) -> PostgresStore {
        let store = PostgresStore::open(self.0.url()).await.unwrap();
        // As on most servers, independently of the settings of this one.
        self.sql("ALTER TABLE jaas_events SET (autovacuum_enabled = true)").await;
        store
    }

    async fn close(store: PostgresStore) {
        store.close().await;
    }

    async fn sql(&self, sql: &str) {
        self.0.connect().await.batch_execute(sql).await.unwrap();
    }

    fn settled_rows(rows: usize) -> String {
        insert_settled(
            &format!("generate_series(1, {rows})"),
            "'k' || i",
            "'s' || (i / 100)",
            "decode(repeat('00', 300), 'hex')",
            "decode(repeat('00', 32), 'hex')",
        )
    }

    const ANALYZE: &str = "ANALYZE jaas_events; ANALYZE jaas_queues";
}

struct MysqlDatabase(Mysql);

#[async_trait]
impl Database for MysqlDatabase {
    type Store = MysqlStore;

    async fn create() -> Self {
        Self(Mysql::create().await.unwrap())
    }

    async fn open(&self) -> MysqlStore {
        MysqlStore::open(self.0.url()).await.unwrap()
    }

    async fn close(store: MysqlStore) {
        store.close().await;
    }

    async fn sql(&self, sql: &str) {
        self.0.connect().await.batch_execute(sql).await.unwrap();
    }

    fn settled_rows(rows: usize) -> String {
        insert_settled(
            &format!("(SELECT seq AS i FROM seq_1_to_{rows}) n"),
            "CONCAT('k', i)",
            "CONCAT('s', i DIV 100)",
            "REPEAT('0', 300)",
            "REPEAT('0', 32)",
        )
    }

    const ANALYZE: &str = "ANALYZE TABLE jaas_events, jaas_queues";
}

fn insert_settled(numbers: &str, key: &str, session: &str, body: &str, hash: &str) -> String {
    let numbers =
        if numbers.starts_with("generate") { format!("{numbers} AS n (i)") } else { numbers.to_owned() };
    format!(
        "INSERT INTO jaas_events (endpoint, idempotency_key, event_type, session_id, fqn, ordering_key, occurred_at, \
         received_at, body, body_hash, state, completed, due_at, place, fence, settled_at) \
         SELECT 'main', {key}, 'PARTICIPANT_JOINED', {session}, 'vpaas-magic-cookie-1/old', {session}, i, i, {body}, {hash}, \
         'done', 'h', i, i, 1, i FROM {numbers}"
    )
}

/// A handler that counts the events of hot sessions and of others, and does nothing.
#[derive(Clone, Default)]
struct Counting(Arc<Counts>);

#[derive(Default)]
struct Counts {
    hot: AtomicUsize,
    free: AtomicUsize,
    waits: std::sync::Mutex<Vec<Duration>>,
    ran: Notify,
}

#[async_trait]
impl<Tx: Send + 'static> EventHandler<Tx> for Counting {
    async fn any_event(&self, cx: &mut Context<'_, Tx>, _: &Event) -> HandlerResult {
        let hot =
            cx.envelope().session_id.as_ref().is_some_and(|session| session.as_str().starts_with("hot"));
        if hot {
            self.0.hot.fetch_add(1, Ordering::Relaxed);
        } else {
            self.0.free.fetch_add(1, Ordering::Relaxed);
            let waited = SystemClock.now().duration_since(cx.delivery().received_at);
            self.0.waits.lock().unwrap().push(waited);
        }
        self.0.ran.notify_waiters();
        Ok(Handled::Done)
    }
}

impl Counting {
    async fn until(&self, done: impl Fn(usize, usize) -> bool) -> Duration {
        let started = Instant::now();
        loop {
            let ran = self.0.ran.notified();
            if done(self.0.hot.load(Ordering::Relaxed), self.0.free.load(Ordering::Relaxed)) {
                return started.elapsed();
            }
            ran.await;
        }
    }
}

fn handlers<Tx: Send + 'static>(counting: &Counting, transactional: bool) -> Handlers<Tx> {
    let handlers = Handlers::new();
    if transactional {
        handlers.transactional("counting", counting.clone())
    } else {
        handlers.plain("counting", counting.clone())
    }
}

/// Accepts so many events of one session.
async fn hot<S: EventAdmin + Clone>(store: &S, session: &str, events: usize) {
    let (store, run, session) = (store.clone(), prefix(), session.to_owned());
    concurrently(64, events.div_ceil(64) * 64, move |number| {
        let (store, key, session) = (store.clone(), format!("{run}-{number}"), session.clone());
        async move {
            let body = support::body(&key).replace(&format!("s-{key}"), &session);
            let delivery = Delivery::parse("main", SystemClock.now(), body.into()).unwrap();
            assert_eq!(store.accept(delivery).await.unwrap(), Accepted::New);
        }
    })
    .await;
}

/// Runs every waiting event; returns the rates of hot and free events, each until the last of its kind.
async fn drained<S: EventAdmin + Clone>(
    store: &S,
    hot: usize,
    free: usize,
    transactional: bool,
) -> (f64, f64) {
    let counting = Counting::default();
    let started = Instant::now();
    let worker = Worker::builder(store.clone(), handlers(&counting, transactional)).build().unwrap().spawn();
    let (of_hot, of_free) = tokio::join!(counting.until(|h, _| h >= hot), counting.until(|_, f| f >= free));
    loop {
        let stats = store.stats().await.unwrap();
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(900), "not drained");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    worker.stop(Duration::from_secs(5)).await;
    (hot as f64 / of_hot.as_secs_f64(), free as f64 / of_free.as_secs_f64())
}

async fn parts<D: Database>(what: &str) {
    println!("\n{what}");
    for (name, transactional) in [("backlog", false), ("transactional", true)] {
        if part(name) || (name == "backlog" && part("hot")) {
            backlog::<D>(transactional).await;
        }
    }
    if part("history") {
        history::<D>().await;
    }
    if part("waits") {
        waits::<D>().await;
    }
    if part("aging") {
        aging::<D>().await;
    }
}

async fn backlog<D: Database>(transactional: bool) {
    let kind = if transactional { "transactional" } else { "plain" };
    let database = D::create().await;
    let store = database.open().await;
    // Connections and plans are warm then.
    accepted(&store, 64, 1_024).await;
    drained(&store, 0, 1_024, transactional).await;

    if !transactional {
        let accepted = accepted(&store, 64, 20_032).await.rate;
        let (_, rate) = drained(&store, 0, 20_032, transactional).await;
        println!(
            "  {kind}: 20,000 sessions of one event: {rate:.0}/s, {:.2} x accepting ({accepted:.0}/s)",
            rate / accepted
        );
    }
    accepted(&store, 64, 2_048).await;
    let (_, alone) = drained(&store, 0, 2_048, transactional).await;
    println!("  {kind}: 2,000 sessions of one event, alone: {alone:.0}/s");
    hot(&store, "hot-few", 192).await;
    let (few, _) = drained(&store, 192, 0, transactional).await;
    hot(&store, "hot-many", 20_032).await;
    let (many, _) = drained(&store, 20_032, 0, transactional).await;
    println!(
        "  {kind}: one session of 192 events: {few:.0}/s; of 20,000: {many:.0}/s, cost of an event {:.2} x",
        few / many
    );
    hot(&store, "hot", 20_032).await;
    accepted(&store, 64, 2_048).await;
    let (hot_rate, beside) = drained(&store, 20_032, 2_048, transactional).await;
    println!(
        "  {kind}: 2,000 beside a session of 20,000: {beside:.0}/s, {:.2} x alone; the session: {hot_rate:.0}/s, {:.2} x",
        beside / alone,
        hot_rate / alone
    );
    D::close(store).await;
}

/// How fast events are accepted and run.
async fn speeds<S: EventAdmin + Clone>(store: &S) -> (f64, f64) {
    accepted(store, 64, 1_024).await;
    drained(store, 0, 1_024, false).await;
    let (mut accepting, mut draining) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        accepting.push(accepted(store, 64, 4_096).await.rate);
        draining.push(drained(store, 0, 4_096, false).await.1);
    }
    let middle = |mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[1]
    };
    (middle(accepting), middle(draining))
}

async fn history<D: Database>() {
    let rows = arguments().filter_map(|argument| argument.parse().ok()).next().unwrap_or(1_000_000);
    let database = D::create().await;
    let store = database.open().await;
    let (accepting, draining) = speeds(&store).await;
    println!("  empty: accepted {accepting:.0}/s, worked off {draining:.0}/s");
    D::close(store).await;
    for statistics in ["absent", "stale", "fresh"] {
        let database = D::create().await;
        let store = database.open().await;
        if statistics == "stale" {
            database.sql(D::ANALYZE).await;
        }
        database.sql(&D::settled_rows(rows)).await;
        if statistics == "fresh" {
            database.sql(D::ANALYZE).await;
        }
        let (accepted, drained) = speeds(&store).await;
        println!(
            "  {rows} settled rows, statistics {statistics}: accepted {accepted:.0}/s, {:.2} x; worked off {drained:.0}/s, {:.2} x",
            accepted / accepting,
            drained / draining
        );
        D::close(store).await;
    }
}

/// How long the events of 200 small meetings wait, with and without a meeting of 500 participants beside them.
async fn waits<D: Database>() {
    const SECONDS: usize = 20;
    let mut alone = None;
    for busy in [false, true] {
        let database = D::create().await;
        let store = database.open().await;
        let counting = Counting::default();
        let worker = Worker::builder(store.clone(), handlers(&counting, false)).build().unwrap().spawn();
        let big = tokio::spawn(paced(store.clone(), "hot", if busy { 30 } else { 0 }, 1, SECONDS));
        let small = tokio::spawn(paced(store.clone(), "small", 100, 200, SECONDS));
        big.await.unwrap();
        small.await.unwrap();
        counting.until(|_, free| free >= 100 * SECONDS).await;
        worker.stop(Duration::from_secs(5)).await;
        let mut waits = std::mem::take(&mut *counting.0.waits.lock().unwrap());
        waits.sort();
        let p99 = waits[waits.len() * 99 / 100];
        let alone = *alone.get_or_insert(p99);
        println!(
            "  200 small meetings, {} a big one: from accepted to handled p50 {:?}, p99 {p99:?}, {:.2} x",
            if busy { "beside" } else { "without" },
            waits[waits.len() / 2],
            p99.as_secs_f64() / alone.as_secs_f64().max(0.001)
        );
        D::close(store).await;
    }
}

/// So many events a second, spread over so many sessions.
async fn paced<S: EventAdmin + Clone>(
    store: S,
    name: &'static str,
    rate: usize,
    sessions: usize,
    seconds: usize,
) {
    let run = prefix();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap());
    for number in 0..rate * seconds {
        ticks.tick().await;
        let key = format!("{run}-{name}-{number}");
        let session = format!("{name}-{}", number % sessions);
        let body = support::body(&key).replace(&format!("s-{key}"), &session);
        store.accept(Delivery::parse("main", SystemClock.now(), body.into()).unwrap()).await.unwrap();
    }
}

/// A million events through one inbox, in ten parts, with a purge of all but the newest 50,000 running. So many are there
/// before the first part, so that every part pays for the purge.
async fn aging<D: Database>() {
    const KEPT: usize = 50_048;
    const PART: usize = 100_032;
    let database = D::create().await;
    let store = database.open().await;
    let brief = Tolerance { past: Duration::from_millis(1), future: Duration::from_millis(1) };
    let keep = Keep::FOREVER.newest(50_000);
    let retention = Retention::builder(brief).events(EventState::Done, keep).build().unwrap();
    let purger =
        Purger::new(store.clone(), retention).interval(Duration::from_secs(1)).batch(1_000).spawn().unwrap();
    through(&store, KEPT).await;
    let mut rates = Vec::new();
    for _ in 0..10 {
        rates.push(through(&store, PART).await);
    }
    purger.stop().await;
    let shown: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
    println!(
        "  1,000,000 events with purge on, accepted and worked off, by tenths: {}/s; the last {:.2} x the first, \
         the last three {:.2} x the first three",
        shown.join(" "),
        rates[9] / rates[0],
        rates[7..].iter().sum::<f64>() / rates[..3].iter().sum::<f64>()
    );
    D::close(store).await;
}

/// Accepts so many free events while a worker works them off; returns how many a second.
async fn through<S: EventAdmin + Clone + 'static>(store: &S, events: usize) -> f64 {
    let counting = Counting::default();
    let worker = Worker::builder(store.clone(), handlers(&counting, false)).build().unwrap().spawn();
    let started = Instant::now();
    accepted(store, 64, events).await;
    counting.until(|_, free| free >= events).await;
    let rate = events as f64 / started.elapsed().as_secs_f64();
    worker.stop(Duration::from_secs(5)).await;
    rate
}
