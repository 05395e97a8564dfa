//! Auditors that are killed again and again: each gap is reported once. The test starts this test binary again as the
//! process to kill, with the address of the database in `JAAS_WATCH_CHILD`.

use std::collections::BTreeMap;
use std::env;
use std::future::pending;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use diesel_async::SimpleAsyncConnection;
use jaas_core::store::{EventAdmin, EventState};
use jaas_core::watch::{Gap, GapHandler, GapQuery, GapRecord, GapState, GapStore, Watch};
use jaas_core::{Clock, Delivery, HandlerError, Handlers, SystemClock, Timestamp, Worker};
use serde_json::{Value, json};

use crate::world::{Mysql, Postgres, Sqlite, World};

const CHILD: &str = "JAAS_WATCH_CHILD";
const KILLS: usize = 50;
const SESSIONS: usize = 4;

/// What is recorded now is due by this clock.
struct Later;

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().saturating_add(Duration::from_secs(10 * 60 * 60))
    }
}

/// Writes a row for each gap, slowly, so that many a kill is between the row and its commit.
struct Report;

impl Report {
    async fn write<Tx: SimpleAsyncConnection>(
        tx: &mut Tx,
        what: &str,
        gap: &Gap,
    ) -> Result<(), HandlerError> {
        let Gap { rule, session_id, subject, .. } = gap;
        let insert = format!("INSERT INTO reported (name) VALUES ('{what} {session_id} {rule} {subject}')");
        tx.batch_execute(&insert).await?;
        tokio::time::sleep(Duration::from_millis(4)).await;
        Ok(())
    }
}

#[async_trait]
impl<Tx: SimpleAsyncConnection + Send> GapHandler<Tx> for Report {
    async fn on_gap(&self, tx: &mut Tx, gap: &Gap) -> Result<(), HandlerError> {
        Self::write(tx, "found", gap).await
    }

    async fn on_closed(&self, tx: &mut Tx, record: &GapRecord) -> Result<(), HandlerError> {
        Self::write(tx, "closed", &record.gap).await
    }
}

fn watch<S: GapStore>(store: S) -> Watch<S> {
    let watch = Watch::builder(store).clock(Later).batch(3).lease(Duration::from_millis(300));
    watch.interval(Duration::from_millis(10)).build().expect("built")
}

fn event(key: &str, kind: &str, session: &str, at: Timestamp, data: &Value) -> Delivery {
    let body = json!({
        "idempotencyKey": key, "eventType": kind, "sessionId": session, "fqn": "vpaas-magic-cookie-1/math",
        "timestamp": at.as_millis(), "data": data,
    });
    Delivery::parse("main", SystemClock.now(), body.to_string().into()).expect("an envelope")
}

/// A session with two gaps.
fn with_gaps(session: &str, at: Timestamp) -> Vec<Delivery> {
    let event = |name: &str, kind: &str, secs: u64, data: &Value| {
        event(&format!("{session}-{name}"), kind, session, at.saturating_add(Duration::from_secs(secs)), data)
    };
    vec![
        event("left", "ROOM_DESTROYED", 9, &json!({})),
        event("ended", "RECORDING_ENDED", 5, &json!({})),
        event("joined", "PARTICIPANT_JOINED", 1, &json!({"participantId": "p1"})),
    ]
}

/// What closes them.
fn what_was_missing(session: &str, at: Timestamp) -> Vec<Delivery> {
    let at = |secs| at.saturating_add(Duration::from_secs(secs));
    let ended = json!({"endTimestamp": at(5).as_millis()});
    let who = json!({"participantId": "p1"});
    vec![
        event(&format!("{session}-u"), "RECORDING_UPLOADED", session, at(60), &ended),
        event(&format!("{session}-l"), "PARTICIPANT_LEFT", session, at(8), &who),
    ]
}

async fn accept<S: EventAdmin>(store: &S, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        store.accept(delivery).await.expect("accepted");
    }
    loop {
        let stats = store.stats().await.expect("counted");
        assert_eq!(stats.count(EventState::Dead), 0);
        if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn each_gap_is_reported_once<W: World>() {
    if let Ok(url) = env::var(CHILD) {
        let _auditor = watch(W::open(url).await).spawn(Report);
        writeln!(std::io::stdout(), "child: auditing").expect("written");
        return pending().await;
    }
    let Some(world) = W::start().await else { return };
    let store = W::open(world.url()).await;
    let recording = Watch::builder(store.clone()).build().expect("built");
    let handlers = Handlers::new().transactional("watch", recording.handler());
    let worker = Worker::builder(store.clone(), handlers).build().expect("built").spawn();
    let begin = SystemClock.now();
    let name = |round: usize, number: usize| format!("s-{round}-{number}");
    let mut closing: Vec<String> = Vec::new();
    for round in 0..KILLS {
        let mut deliveries: Vec<Delivery> =
            (0..SESSIONS).flat_map(|number| with_gaps(&name(round, number), begin)).collect();
        let before = (0..round).map(|round| name(round, 0)).rev();
        for session in before.filter(|session| !closing.contains(session)).take(4).collect::<Vec<_>>() {
            if open_gaps(&store, &session).await == 2 {
                deliveries.extend(what_was_missing(&session, begin));
                closing.push(session);
                break;
            }
        }
        accept(&store, deliveries).await;
        // From right after it begins until it has done most of it.
        kill_after(start_child::<W>(&world), Duration::from_millis((round as u64 * 7) % 60));
    }
    let until_killed = world.reported().await.len();
    let begun = Instant::now();
    let all = KILLS * SESSIONS * 2;
    loop {
        watch(store.clone()).audit(Report).await.expect("audited");
        let open = GapQuery { state: Some(GapState::Closed), ..GapQuery::default() };
        let closed = store.gaps(&open).await.expect("listed").items.len();
        if world.reported().await.len() >= all + closed && closed >= closing.len() * 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{} are reported", world.reported().await.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    worker.stop(Duration::from_secs(5)).await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for name in world.reported().await {
        *times.entry(name).or_default() += 1;
    }
    println!("{}: {} reports, {until_killed} of them by processes that were killed", W::NAME, times.len());
    assert_eq!(times.values().filter(|times| **times != 1).count(), 0, "{times:?}");
    assert_eq!(times.keys().filter(|name| name.starts_with("found")).count(), all);
    assert!(until_killed > all / 10, "the killed processes reported {until_killed} of {all}");
    // What has come since is closed, each once.
    assert!(closing.len() > KILLS / 10, "{} sessions were to close", closing.len());
    for session in &closing {
        let of =
            |what: &str| times.keys().filter(|name| name.starts_with(&format!("{what} {session} "))).count();
        assert_eq!((of("found"), of("closed")), (2, 2), "{session}");
    }
    assert_eq!(times.keys().filter(|name| name.starts_with("closed")).count(), closing.len() * 2);
}

async fn open_gaps<S: GapStore>(store: &S, session: &str) -> usize {
    let session_id = Some(jaas_core::SessionId::new(session));
    let query = GapQuery { state: Some(GapState::Open), session_id, ..GapQuery::default() };
    store.gaps(&query).await.expect("listed").items.len()
}

fn start_child<W: World>(world: &W) -> Child {
    Command::new(env::current_exe().expect("a path"))
        .args([&format!("kills::{}", W::NAME), "--nocapture", "--test-threads=1"])
        .env(CHILD, world.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Kills a child with SIGKILL, so long after it has begun.
fn kill_after(mut child: Child, wait: Duration) {
    let mut stdout = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    // The line may begin with what the test harness printed before.
    let began = stdout.any(|line| line.ends_with("child: auditing"));
    std::thread::sleep(wait);
    child.kill().expect("killed");
    child.wait().expect("waited");
    assert!(began, "the child did not begin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_reports_each_gap_once_over_fifty_kills() {
    each_gap_is_reported_once::<Sqlite>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_reports_each_gap_once_over_fifty_kills() {
    each_gap_is_reported_once::<Postgres>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_reports_each_gap_once_over_fifty_kills() {
    each_gap_is_reported_once::<Mysql>().await;
}
