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
use jaas_core::store::{EventAdmin, EventState, PageRequest};
use jaas_core::watch::{Gap, GapHandler, GapQuery, GapRecord, GapState, GapStore, Watch};
use jaas_core::{Clock, Delivery, HandlerError, Handlers, SystemClock, Timestamp, Worker};
use serde_json::{Value, json};

use crate::watch::world::{Mysql, Postgres, Sqlite, World};

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
        if env::var(CHILD).is_ok() {
            // Its reader is gone when it is about to be killed.
            let _ = writeln!(std::io::stdout(), "child: wrote");
            // Time to be killed before the commit.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
        event("started", "RECORDING_STARTED", 3, &json!({})),
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
    let mut by_this_process = 0;
    for round in 0..KILLS {
        if round % 10 == 9 {
            // So that some gaps are known which can close; what follows is for the process that is killed.
            let before = world.reported().await.len();
            watch(store.clone()).audit(Report).await.expect("audited");
            by_this_process += world.reported().await.len() - before;
        }
        let mut deliveries: Vec<Delivery> =
            (0..SESSIONS).flat_map(|number| with_gaps(&name(round, number), begin)).collect();
        let reported = with_both_gaps(&store).await;
        if let Some(session) = reported.into_iter().find(|session| !closing.contains(session)) {
            deliveries.extend(what_was_missing(&session, begin));
            closing.push(session);
        }
        accept(&store, deliveries).await;
        // Of the eight that are new, at the first, or later.
        kill_at(start_child::<W>(&world), 1 + round % 6).await;
    }
    let until_killed = world.reported().await.len() - by_this_process;
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

/// The sessions of which both gaps were reported and are open.
async fn with_both_gaps<S: GapStore>(store: &S) -> Vec<String> {
    let page = PageRequest { limit: 1000, ..PageRequest::default() };
    let query = GapQuery { state: Some(GapState::Open), page, ..GapQuery::default() };
    let mut gaps: BTreeMap<String, usize> = BTreeMap::new();
    for record in store.gaps(&query).await.expect("listed").items {
        *gaps.entry(record.gap.session_id.to_string()).or_default() += 1;
    }
    gaps.into_iter().filter(|(_, gaps)| *gaps == 2).map(|(session, _)| session).collect()
}

fn start_child<W: World>(world: &W) -> Child {
    Command::new(env::current_exe().expect("a path"))
        .args([&format!("watch::kills::{}", W::NAME), "--nocapture", "--test-threads=1"])
        .env(CHILD, world.url())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started")
}

/// Kills a child with SIGKILL while it reports a gap: the one with this number.
async fn kill_at(mut child: Child, number: usize) {
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let reading = tokio::task::spawn_blocking(move || {
        // The line may begin with what the test harness printed before.
        let lines = stdout.lines().map_while(Result::ok);
        lines.filter(|line| line.ends_with("child: wrote")).take(number).count()
    });
    let seen = tokio::time::timeout(Duration::from_secs(30), reading).await;
    child.kill().expect("killed");
    child.wait().expect("waited");
    assert_eq!(seen.expect("in time").expect("no panic"), number, "the child ended by itself");
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
