//! What a killed process leaves behind. Each test starts this test binary again as the process to kill, with the path of the
//! database in `JAAS_CRASH_CHILD`.

use std::env;
use std::future::pending;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use diesel::{Connection as _, ExpressionMethods as _, QueryDsl as _, SqliteConnection};
use jaas_core::event::Event;
use jaas_core::store::{Accepted, EventAdmin as _, EventQuery, EventState, EventStore as _, StoredEvent};
use jaas_core::{
    Clock as _, Context, Delivery, EventHandler, Handled, HandlerResult, Handlers, SystemClock, Worker,
    WorkerHandle,
};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;

diesel::table! {
    effects (id) {
        id -> Integer,
        key -> Text,
        attempt -> Integer,
    }
}

const CHILD: &str = "JAAS_CRASH_CHILD";

/// Inserts one row for each event, and then hangs if it is configured to.
struct Insert {
    hang: bool,
}

#[async_trait]
impl EventHandler<Connection> for Insert {
    async fn any_event(&self, cx: &mut Context<'_, Connection>, _event: &Event) -> HandlerResult {
        let (key, attempt) = (cx.envelope().idempotency_key.to_string(), cx.attempt() as i32);
        let insert =
            diesel::insert_into(effects::table).values((effects::key.eq(key), effects::attempt.eq(attempt)));
        diesel_async::RunQueryDsl::execute(insert, cx.tx()).await?;
        if self.hang {
            say("inserted");
            pending::<()>().await;
        }
        Ok(Handled::Done)
    }
}

#[test]
fn g1_an_acked_event_survives_kill_nine_before_its_handler() {
    run(
        "g1_an_acked_event_survives_kill_nine_before_its_handler",
        async |store| {
            assert_eq!(store.accept(delivery()).await.expect("accepted"), Accepted::New);
            say("accepted");
            pending::<()>().await;
        },
        async |path, mut child| {
            child.killed_after("accepted");
            let store = SqliteStore::open(path).await.expect("opened");
            let worker = worker(&store, false);
            assert_eq!(settled(&store).await.state, EventState::Done);
            worker.stop(Duration::ZERO).await;
            assert_eq!(effects(path), [("k".to_owned(), 1)]);
        },
    );
}

#[test]
fn g3_the_effect_exists_once_after_kill_nine_inside_a_transactional_handler() {
    run(
        "g3_the_effect_exists_once_after_kill_nine_inside_a_transactional_handler",
        async |store| {
            store.accept(delivery()).await.expect("accepted");
            let _worker = worker(&store, true);
            pending::<()>().await;
        },
        async |path, mut child| {
            child.killed_after("inserted");
            assert_eq!(effects(path), [], "what was not committed is gone");
            let store = SqliteStore::open(path).await.expect("opened");
            let worker = worker(&store, false);
            let event = settled(&store).await;
            worker.stop(Duration::ZERO).await;
            assert_eq!((event.state, event.crashes, event.failures), (EventState::Done, 1, 0));
            assert_eq!(effects(path), [("k".to_owned(), 2)]);
        },
    );
}

#[test]
fn g3_a_committed_effect_is_not_repeated_after_kill_nine() {
    run(
        "g3_a_committed_effect_is_not_repeated_after_kill_nine",
        async |store| {
            store.accept(delivery()).await.expect("accepted");
            let _worker = worker(&store, false);
            settled(&store).await;
            say("settled");
            pending::<()>().await;
        },
        async |path, mut child| {
            child.killed_after("settled");
            let store = SqliteStore::open(path).await.expect("opened");
            assert_eq!(store.accept(delivery()).await.expect("accepted"), Accepted::Duplicate);
            let worker = worker(&store, false);
            // The second event shows that the worker has run.
            let body = r#"{"idempotencyKey":"after","eventType":"ROOM_CREATED"}"#;
            let after = Delivery::parse("main", SystemClock.now(), body.into()).expect("readable");
            store.accept(after).await.expect("accepted");
            while store.stats().await.expect("counted").count(EventState::Done) < 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            worker.stop(Duration::ZERO).await;
            assert_eq!(effects(path), [("k".to_owned(), 1), ("after".to_owned(), 1)]);
        },
    );
}

/// Runs `child` in a separate process, which `parent` kills.
fn run(test: &str, child: impl AsyncFnOnce(SqliteStore), parent: impl AsyncFnOnce(&Path, Child)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Ok(path) = env::var(CHILD) {
        return runtime.block_on(async { child(SqliteStore::open(path).await.expect("opened")).await });
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("jaas.sqlite");
    let mut connection = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("created");
    diesel::connection::SimpleConnection::batch_execute(
        &mut connection,
        "CREATE TABLE effects (id INTEGER PRIMARY KEY, key TEXT NOT NULL, attempt INTEGER NOT NULL)",
    )
    .expect("created");
    drop(connection);
    let process = Command::new(env::current_exe().expect("a path"))
        .args([&format!("crash::{test}"), "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), parent(&path, Child(process))).await.expect("in time");
    });
}

struct Child(std::process::Child);

impl Child {
    /// Waits until the child says this, and kills it with SIGKILL.
    fn killed_after(&mut self, word: &str) {
        let stdout = BufReader::new(self.0.stdout.take().expect("piped"));
        let (said, heard) = std::sync::mpsc::channel();
        // The line may begin with what the test harness printed before.
        let word = format!("child: {word}");
        std::thread::spawn(move || {
            said.send(stdout.lines().map_while(Result::ok).any(|line| line.ends_with(&word)))
        });
        let heard = heard.recv_timeout(Duration::from_secs(30));
        assert_eq!(heard, Ok(true), "the child says the word");
        self.0.kill().expect("killed");
        self.0.wait().expect("waited");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

fn say(word: &str) {
    writeln!(std::io::stdout(), "child: {word}").expect("written");
}

fn delivery() -> Delivery {
    let body = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","sessionId":"s"}"#;
    Delivery::parse("main", SystemClock.now(), body.into()).expect("readable")
}

fn worker(store: &SqliteStore, hang: bool) -> WorkerHandle {
    let handlers = Handlers::new().transactional("insert", Insert { hang });
    let worker = Worker::builder(store.clone(), handlers).lease(Duration::from_millis(300));
    worker.poll_interval(Duration::from_millis(50)).build().expect("a good configuration").spawn()
}

/// Waits until the only event is settled.
async fn settled(store: &SqliteStore) -> StoredEvent {
    loop {
        let events = store.events(&EventQuery::default()).await.expect("listed").items;
        assert_eq!(events.len(), 1);
        match events.into_iter().find(|event| event.state.is_settled()) {
            Some(event) => return event,
            None => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

fn effects(path: &Path) -> Vec<(String, i32)> {
    let mut connection = SqliteConnection::establish(path.to_str().expect("UTF-8")).expect("opened");
    let query = effects::table.order(effects::id).select((effects::key, effects::attempt));
    diesel::RunQueryDsl::load(query, &mut connection).expect("listed")
}
