//! What the SQLite store answers when the disk, the file, the lock or the caller let it down.

#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, AttemptQuery, AuditNote, ClaimRequest, EventAdmin as _, EventQuery, EventState,
    EventStore as _, PageRequest, Retention, RowId, Step, StoreError, StoreErrorKind, TxWork,
};
use jaas_core::{Delivery, Handled, Unreadable};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use tokio::sync::Semaphore;

#[cfg(unix)]
use crate::lines::Lines;
use crate::support::{Folder, event, event_when, insert, joined, joined_with, now};

/// Most of a page, so that few events fill a file.
fn large(key: &str) -> Delivery {
    joined_with(key, None, 0, &"x".repeat(3000))
}

fn request(limit: usize) -> ClaimRequest {
    ClaimRequest::new("test", now(), limit)
}

const EVENTS: &str = "SELECT count(*) FROM jaas_events";

fn events_with_key(key: &str) -> String {
    format!("SELECT count(*) FROM jaas_events WHERE idempotency_key = '{key}'")
}

/// Fills the file, and answers how many events it took.
async fn filled(store: &SqliteStore) -> i64 {
    for number in 0..10_000 {
        match store.accept(large(&format!("k{number}"))).await {
            Ok(accepted) => assert_eq!(accepted, Accepted::New),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("full"), "{error}");
                return number;
            }
        }
    }
    panic!("the file was never full");
}

#[tokio::test]
async fn g1_a_full_file_takes_nothing_and_says_so() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(60).open().await.expect("opened");
    let taken = filled(&store).await;
    assert!(taken > 10, "{taken}");
    for key in ["a", "b"] {
        let error = store.accept(large(key)).await.expect_err("full");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(folder.number(&events_with_key(key)), 0);
    }
    let many = (0..20).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(large(&format!("many{number}"))).await })
    });
    for task in many.collect::<Vec<_>>() {
        assert!(task.await.expect("no panic").is_err());
    }
    assert_eq!(folder.number(EVENTS), taken, "all that was accepted is there, and nothing else");
}

#[tokio::test]
async fn after_room_was_made_the_same_store_takes_events_again() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(60).open().await.expect("opened");
    filled(&store).await;
    folder.execute("DELETE FROM jaas_events WHERE id < 10");
    assert_eq!(store.accept(large("after")).await.expect("accepted"), Accepted::New);
    assert_eq!(folder.number(&events_with_key("after")), 1);
}

#[tokio::test]
async fn a_full_file_opened_with_more_room_takes_events_again() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(60).open().await.expect("opened");
    let taken = filled(&store).await;
    store.close().await;
    let store = folder.builder().max_pages(120).open().await.expect("opened");
    assert_eq!(store.accept(large("after")).await.expect("accepted"), Accepted::New);
    assert_eq!(folder.number(EVENTS), taken + 1);
}

#[tokio::test]
async fn what_is_there_can_be_handled_although_the_file_is_full() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(60).open().await.expect("opened");
    filled(&store).await;
    let claim = store.claim(&request(1)).await.expect("claimed").remove(0);
    let step = Step { handler: "handler".into(), last: true, next: None };
    store.complete(claim.lease, &step, &Handled::Done, now()).await.expect("completed");
}

#[tokio::test]
async fn a_file_that_can_only_be_read_takes_nothing_and_is_not_ready() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("before", None)).await.expect("accepted");
    store.close().await;
    let read_only = format!("file:{}?mode=ro", folder.path().display());
    // It may be refused at start, or later, but an event is never taken for stored.
    if let Ok(store) = SqliteStore::open(&read_only).await {
        let error = store.accept(joined("k", None)).await.expect_err("read-only");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(store.ping().await.is_err());
        assert!(store.claim(&request(1)).await.is_err());
        assert_eq!(store.stats().await.expect("readable").count(EventState::Waiting), 1);
    }
    assert_eq!(folder.number(EVENTS), 1);
}

fn unreadable() -> Unreadable {
    Delivery::parse("main", now(), "not JSON".into()).expect_err("unreadable")
}

/// What happens to a file while a store has it open.
#[cfg(unix)]
#[derive(Debug, Clone, Copy)]
enum Gone {
    Deleted,
    Moved,
    Replaced,
    LogDeleted,
    FolderMoved,
}

#[cfg(unix)]
impl Gone {
    const ALL: [Self; 5] = [Self::Deleted, Self::Moved, Self::Replaced, Self::LogDeleted, Self::FolderMoved];

    fn happens_to(self, database: &Path) {
        let done = match self {
            Self::Deleted => std::fs::remove_file(database),
            Self::Moved => std::fs::rename(database, beside(database, "-away")),
            Self::Replaced => std::fs::copy(database, beside(database, "-copy"))
                .and_then(|_| std::fs::rename(beside(database, "-copy"), database)),
            Self::LogDeleted => std::fs::remove_file(beside(database, "-wal")),
            Self::FolderMoved => {
                let folder = database.parent().expect("a folder");
                std::fs::rename(folder, beside(folder, "-away"))
            }
        };
        done.unwrap_or_else(|error| panic!("{self:?}: {error}"));
    }
}

#[cfg(unix)]
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

#[cfg(unix)]
#[tokio::test]
async fn g1_nothing_is_acknowledged_into_a_file_that_is_gone() {
    for gone in Gone::ALL {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).expect("a folder");
        let path = inner.join("jaas.sqlite");
        let store = SqliteStore::open(&path).await.expect("opened");
        store.accept(joined("before", None)).await.expect("accepted");
        let claim = store.claim(&request(1)).await.expect("claimed").remove(0);

        gone.happens_to(&path);
        let was_there = path.exists();
        let name = path.display().to_string();
        for _ in 0..2 {
            let error = store.accept(joined("k", None)).await.expect_err("gone");
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{gone:?}: {error}");
            assert!(error.to_string().contains(&name), "{gone:?} names the file: {error}");
            assert!(error.to_string().contains("start"), "{gone:?} names the remedy: {error}");
            assert!(store.quarantine(unreadable()).await.is_err(), "{gone:?}");
            assert!(store.ping().await.is_err(), "{gone:?}");
        }
        let many = (0..20).map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(joined(&format!("many{number}"), None)).await })
        });
        for task in many.collect::<Vec<_>>() {
            assert!(task.await.expect("no panic").is_err(), "{gone:?}");
        }
        // No handler is run whose effects would be lost.
        let work: TxWork<Connection> =
            Box::new(|_| Box::pin(async { panic!("it was run on a file that is gone") }));
        let step = Step { handler: "handler".into(), last: true, next: None };
        let error = store.run(claim.lease, &step, now(), work).await.expect_err("gone");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{gone:?}: {error}");
        // The first query opens the reading connection.
        assert!(store.stats().await.is_err() || matches!(gone, Gone::LogDeleted), "{gone:?}");
        assert_eq!(path.exists(), was_there, "{gone:?}: no empty file is put where the database was");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_same_file_put_back_is_written_again() {
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("before", None)).await.expect("accepted");
    let away = beside(&folder.path(), "-away");
    std::fs::rename(folder.path(), &away).expect("moved");
    store.accept(joined("meanwhile", None)).await.expect_err("gone");
    assert!(store.ping().await.is_err());
    std::fs::rename(&away, folder.path()).expect("moved");
    store.ping().await.expect("ready again");
    assert_eq!(store.accept(joined("after", None)).await.expect("accepted"), Accepted::New);
    store.close().await;
    for key in ["before", "after"] {
        assert_eq!(folder.number(&events_with_key(key)), 1);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_behind_a_link_is_gone_when_the_link_leads_elsewhere() {
    let folder = Folder::new();
    let link = beside(&folder.path(), "-link");
    folder.open().await.close().await;
    std::os::unix::fs::symlink(folder.path(), &link).expect("linked");
    let store = SqliteStore::open(&link).await.expect("opened");
    store.accept(joined("before", None)).await.expect("accepted");
    std::fs::remove_file(&link).expect("removed");
    let other = beside(&folder.path(), "-other");
    std::fs::write(&other, "").expect("written");
    std::os::unix::fs::symlink(&other, &link).expect("linked");
    store.accept(joined("k", None)).await.expect_err("another file is found at the next start");
    assert!(store.ping().await.is_err());
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_gone_is_logged_once_and_when_it_is_back() {
    let lines = Lines::default();
    // The thread that writes logs it, so it cannot be the subscriber of this thread alone.
    tracing::subscriber::set_global_default(lines.subscriber()).expect("the only one of this process");
    let folder = Folder::new();
    let store = folder.open().await;
    let away = beside(&folder.path(), "-away");
    for _ in 0..2 {
        std::fs::rename(folder.path(), &away).expect("moved");
        for _ in 0..3 {
            store.ping().await.expect_err("gone");
        }
        std::fs::rename(&away, folder.path()).expect("moved");
        store.ping().await.expect("ready again");
    }
    let name = folder.path().display().to_string();
    let lines = lines.of("jaas::store");
    let logged: Vec<_> = lines.iter().filter(|line| line.contains(&name)).collect();
    let levels: Vec<_> = logged.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(levels, ["ERROR", "INFO", "ERROR", "INFO"], "{logged:?}");
    assert!(logged[0].contains("put the same file back"), "the remedy: {}", logged[0]);
}

#[tokio::test]
async fn a_lock_held_by_another_is_waited_for_within_the_time_limit() {
    let folder = Folder::new();
    let limit = Duration::from_secs(1);
    let store = folder.builder().timeout(limit).open().await.expect("opened");
    let mut other = folder.connection();
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    for key in ["a", "b"] {
        let started = Instant::now();
        let error = store.accept(joined(key, None)).await.expect_err("locked");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        assert!(started.elapsed() < limit + limit / 2, "{:?}", started.elapsed());
    }
    let started = Instant::now();
    assert!(store.ping().await.is_err());
    assert!(store.claim(&request(1)).await.is_err());
    assert!(started.elapsed() < 3 * limit, "{:?}", started.elapsed());
    assert_eq!(store.stats().await.expect("reading waits for nobody").count(EventState::Waiting), 0);

    other.batch_execute("COMMIT").expect("unlocked");
    let accepted = store.accept(joined("c", None)).await.expect("accepted");
    assert_eq!(accepted, Accepted::New);
    store.ping().await.expect("ready again");
}

#[tokio::test]
async fn while_no_event_can_be_inserted_the_store_is_not_ready() {
    for table in ["jaas_events", "jaas_queues"] {
        let folder = Folder::new();
        let store = folder.open().await;
        store.ping().await.expect("ready");
        folder.execute(&format!(
            "CREATE TRIGGER poison BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'poisoned'); END"
        ));
        let error = store.ping().await.expect_err("no event can be accepted");
        assert!(error.to_string().contains("poisoned"), "{error}");
        store.accept(joined("k", None)).await.expect_err("that is so");
        folder.execute("DROP TRIGGER poison");
        store.ping().await.expect("ready again");
        assert_eq!(store.accept(joined("k", None)).await.expect("accepted"), Accepted::New);
    }
}

#[tokio::test]
async fn a_full_file_is_not_ready() {
    let folder = Folder::new();
    let store = folder.builder().max_pages(60).open().await.expect("opened");
    store.ping().await.expect("ready");
    filled(&store).await;
    // A smaller event than those may find room yet.
    while store.accept(joined(&format!("small{}", folder.number(EVENTS)), None)).await.is_ok() {}
    assert!(store.ping().await.is_err());
}

#[tokio::test]
async fn a_short_lock_of_another_is_not_even_noticed() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut other = folder.connection();
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let accepting = tokio::spawn({
        let store = store.clone();
        async move { store.accept(joined("k", None)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    other.batch_execute("COMMIT").expect("unlocked");
    assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
}

#[tokio::test]
async fn when_as_many_writes_wait_as_may_queue_the_next_is_refused_at_once() {
    let folder = Folder::new();
    let store = folder.builder().queue(3).open().await.expect("opened");
    let mut other = folder.connection();
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let mut waiting = Vec::new();
    let refused = loop {
        let delivery = joined(&format!("k{}", waiting.len()), None);
        let (store, started) = (store.clone(), Instant::now());
        let mut accepting = tokio::spawn(async move { (store.accept(delivery).await, started.elapsed()) });
        match tokio::time::timeout(Duration::from_millis(100), &mut accepting).await {
            Err(_) => waiting.push(accepting),
            Ok(answer) => break answer.expect("no panic"),
        }
        assert!(waiting.len() < 20, "a queue for three");
    };
    let (answer, took) = refused;
    assert_eq!(answer.expect_err("refused").kind(), StoreErrorKind::Overloaded);
    assert!(took < Duration::from_millis(50), "{took:?}");
    other.batch_execute("COMMIT").expect("unlocked");
    let queued = waiting.len() as i64;
    for accepting in waiting {
        assert_eq!(accepting.await.expect("no panic").0.expect("accepted"), Accepted::New);
    }
    assert_eq!(folder.number(EVENTS), queued);
    assert_eq!(store.accept(joined("after", None)).await.expect("accepted"), Accepted::New);
}

#[tokio::test]
async fn one_write_that_fails_does_not_fail_those_committed_with_it() {
    for raise in ["ABORT", "FAIL", "ROLLBACK"] {
        let folder = Folder::new();
        let store = folder.open().await;
        folder.execute(&format!(
            "CREATE TRIGGER poison BEFORE INSERT ON jaas_events WHEN new.idempotency_key = 'poison'
             BEGIN SELECT RAISE({raise}, 'poisoned'); END"
        ));
        // While it waits for the lock, the rest queues behind it and goes into one commit.
        let mut other = folder.connection();
        other.batch_execute("BEGIN IMMEDIATE").expect("locked");
        let accepting: Vec<_> = ["first", "before", "poison", "after", "before"]
            .map(|key| {
                let (store, delivery) = (store.clone(), joined_with(key, None, 0, ""));
                tokio::spawn(async move { store.accept(delivery).await })
            })
            .into();
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.batch_execute("COMMIT").expect("unlocked");
        let mut answers = Vec::new();
        for accepting in accepting {
            answers.push(accepting.await.expect("no panic").map_err(|error| error.kind()));
        }
        let poisoned = Err(StoreErrorKind::Unavailable);
        let new = Ok(Accepted::New);
        assert_eq!(answers, [new, new, poisoned, new, Ok(Accepted::Duplicate)], "RAISE({raise})");
        assert_eq!(folder.number(EVENTS), 3);
    }
}

#[test]
fn stores_that_open_an_empty_file_at_the_same_time_all_succeed() {
    for round in 0..10 {
        let folder = Folder::new();
        let together = Barrier::new(8);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|number| {
                    let (together, folder) = (&together, &folder);
                    scope.spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                        runtime.expect("a runtime").block_on(async {
                            together.wait();
                            let store = folder.builder().open().await?;
                            store.accept(joined(&format!("k{number}"), None)).await
                        })
                    })
                })
                .collect();
            for thread in threads {
                let opened = thread.join().expect("no panic");
                assert_eq!(opened.map_err(|error| error.to_string()), Ok(Accepted::New), "in round {round}");
            }
        });
        assert_eq!(folder.number(EVENTS), 8);
    }
}

#[tokio::test]
async fn a_database_in_memory_is_refused_and_told_why() {
    for name in [":memory:", "file::memory:?cache=shared", "file:events?mode=memory", ""] {
        let error = SqliteStore::open(name).await.expect_err(name).to_string();
        assert!(
            error.contains("keeps nothing across restarts") && error.contains(&format!("{name:?}")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_temporary_database_is_refused_too() {
    // SQLite deletes these when they are closed: https://sqlite.org/inmemorydb.html
    for name in ["file:", "file:?cache=private", "sqlite://", "file:/events?vfs=memdb"] {
        assert!(SqliteStore::open(name).await.is_err(), "{name:?} would keep nothing");
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let text = folder.path().with_file_name("notes.txt");
    std::fs::write(&text, "not a database, although long enough to be one at a glance. ".repeat(20))
        .expect("written");
    let missing = folder.path().with_file_name("missing").join("jaas.sqlite");
    let directory = folder.path().with_file_name("folder");
    std::fs::create_dir(&directory).expect("created");
    for path in [&text, &missing, &directory] {
        let error = SqliteStore::open(path).await.expect_err("no database");
        assert!(error.to_string().contains(&format!("{path:?}")), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    }
    assert!(std::fs::read_to_string(&text).expect("readable").starts_with("not a database"), "left alone");
}

#[tokio::test]
async fn g1_closing_commits_what_is_queued() {
    let folder = Folder::new();
    let store = folder.open().await;
    let mut other = folder.connection();
    other.batch_execute("BEGIN IMMEDIATE").expect("locked");
    let accepting: Vec<_> = (0..50)
        .map(|number| {
            let (store, delivery) = (store.clone(), joined(&format!("k{number}"), None));
            tokio::spawn(async move { store.accept(delivery).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    other.batch_execute("COMMIT").expect("unlocked");
    closing.await.expect("closed");
    assert_eq!(folder.number(EVENTS), 50, "when close() returns, all are there");
    for accepting in accepting {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    store.close().await;
}

#[tokio::test]
async fn after_closing_every_call_says_that_the_store_is_closed() {
    fn closed<T: std::fmt::Debug>(call: &str, answer: Result<T, StoreError>) {
        let kind = answer.map_err(|error| error.kind()).expect_err(call);
        assert_eq!(kind, StoreErrorKind::Closed, "{call}");
    }
    let folder = Folder::new();
    let store = folder.open().await;
    store.accept(joined("k", None)).await.expect("accepted");
    let lease = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    store.stats().await.expect("counted");
    store.close().await;

    let step = Step { handler: "handler".into(), last: true, next: None };
    let work: TxWork<Connection> = Box::new(|_| Box::pin(async { Ok(Handled::Done) }));
    closed("accept", store.accept(joined("k2", None)).await);
    closed("claim", store.claim(&request(1)).await);
    closed("renew", store.renew(&[lease], now(), Duration::from_secs(15)).await);
    closed("run", store.run(lease, &step, now(), work).await);
    closed("complete", store.complete(lease, &step, &Handled::Done, now()).await);
    closed("release", store.release(&[lease], now()).await);
    let note = AuditNote::new("test", "why not");
    let matching = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    closed("replay", store.replay(RowId::new(1), &note, now()).await);
    closed("replay_matching", store.replay_matching(&matching, &note, now()).await);
    closed("discard", store.discard(RowId::new(1), &note, now()).await);
    closed("erase_session", store.erase_session(&"s".into(), &note, now()).await);
    closed("purge", store.purge(&retention, now(), 10).await);
    closed("audit", store.audit(PageRequest::first()).await);
    closed("attempts", store.attempts(&AttemptQuery::default()).await);
    closed("dead_letters", store.dead_letters().await);
    closed("ping", store.ping().await);
    closed("next_due", store.next_due(now()).await);
    closed("events", store.events(&EventQuery::default()).await);
    closed("conflicts", store.conflicts(PageRequest::first()).await);
    closed("quarantined", store.quarantined(PageRequest::first()).await);
    closed("stats", store.stats().await);

    let reopened = folder.open().await;
    assert_eq!(reopened.stats().await.expect("counted").count(EventState::Running), 1);
    reopened.release(&[lease], now()).await.expect("released");
    assert_eq!(event(&reopened, "k").await.state, EventState::Waiting);
}

#[tokio::test]
async fn g2_a_caller_that_hangs_up_leaves_a_whole_event_or_none() {
    let folder = Folder::new();
    let store = folder.open().await;
    for number in 0..64 {
        let delivery = joined_with(&format!("k{number}"), None, 0, "");
        // Polled once, then dropped.
        tokio::select! {
            biased;
            answer = store.accept(delivery) => assert_eq!(answer.expect("accepted"), Accepted::New),
            () = std::future::ready(()) => {}
        }
    }
    for number in 0..64 {
        let key = format!("k{number}");
        let answer = store.accept(joined_with(&key, None, 0, "")).await.expect("accepted");
        assert!(matches!(answer, Accepted::New | Accepted::Duplicate), "{answer:?}");
        assert_eq!(folder.number(&events_with_key(&key)), 1);
    }
    assert_eq!(store.claim(&request(100)).await.expect("claimed").len(), 64);
}

#[tokio::test]
async fn g4_a_claim_whose_caller_gave_up_holds_nothing() {
    let folder = Folder::new();
    let store = folder.builder().timeout(Duration::from_millis(500)).open().await.expect("opened");
    store.accept(joined("running", None)).await.expect("accepted");
    let running = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    store.accept(joined("waiting", None)).await.expect("accepted");

    // A handler's transaction keeps every other write waiting.
    let (started, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (starts, waits) = (started.clone(), told.clone());
    let work: TxWork<Connection> = Box::new(move |_| {
        Box::pin(async move {
            starts.add_permits(1);
            let _ = waits.acquire().await?;
            Ok(Handled::Done)
        })
    });
    let run = tokio::spawn({
        let store = store.clone();
        async move {
            store.run(running, &Step { handler: "handler".into(), last: true, next: None }, now(), work).await
        }
    });
    let _ = started.acquire().await;
    let error = store.claim(&request(10)).await.expect_err("not in time");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let request_of_another = request(10);
    tokio::select! {
        biased;
        _ = store.claim(&request_of_another) => panic!("not at once"),
        () = std::future::ready(()) => {}
    }
    told.add_permits(1);
    assert_eq!(run.await.expect("no panic").expect("committed").0, Ok(Handled::Done));

    store.ping().await.expect("the claims were looked at before");
    event_when(&store, "waiting", |event| event.state == EventState::Waiting).await;
    let claims = store.claim(&request(10)).await.expect("claimed");
    assert_eq!((claims.len(), claims[0].attempt()), (1, 1), "neither a crash nor an interruption");
}

#[tokio::test]
async fn work_that_panics_is_rolled_back_and_does_not_end_the_store() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    store.accept(joined("k", None)).await.expect("accepted");
    let lease = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    let step = Step { handler: "handler".into(), last: true, next: None };
    let work: TxWork<Connection> = Box::new(|tx| {
        Box::pin(async move {
            insert(tx, "never").await?;
            panic!("outside what the worker catches")
        })
    });
    assert!(store.run(lease, &step, now(), work).await.is_err());
    assert_eq!(store.accept(joined("k2", None)).await.expect("accepted"), Accepted::New);
    let work: TxWork<Connection> = Box::new(|tx| {
        Box::pin(async move {
            insert(tx, "after").await?;
            Ok(Handled::Done)
        })
    });
    store.run(lease, &step, now(), work).await.expect("committed").0.expect("handled");
    assert_eq!(folder.effects(), ["after"]);
}

#[tokio::test]
async fn g1_commits_are_flushed_to_the_disk_before_they_are_answered() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let journal = "SELECT journal_mode = 'wal' FROM pragma_journal_mode";
    assert_eq!(folder.number(journal), 1);
    // What the writing connection is set to can only be asked on that connection: a trigger does.
    folder.execute(
        "CREATE TRIGGER spy AFTER INSERT ON jaas_events
         BEGIN INSERT INTO effects (row) SELECT synchronous FROM pragma_synchronous; END",
    );
    store.accept(joined("k", None)).await.expect("accepted");
    assert_eq!(folder.effects(), ["2"], "FULL on the connection that stores events");

    let lease = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    let work: TxWork<Connection> = Box::new(|tx| {
        Box::pin(async move {
            for (pragma, wanted) in [("synchronous", 2), ("foreign_keys", 1)] {
                let query = diesel::sql_query(format!("SELECT {pragma} AS number FROM pragma_{pragma}"));
                let number =
                    diesel_async::RunQueryDsl::get_result::<crate::support::Number>(query, tx).await?.number;
                assert_eq!(number, wanted, "{pragma} on the connection that handlers write through");
            }
            Ok(Handled::Done)
        })
    });
    let step = Step { handler: "handler".into(), last: true, next: None };
    store.run(lease, &step, now(), work).await.expect("committed").0.expect("handled");
}

#[test]
fn g1_many_callers_at_once_store_every_event() {
    crate::support::on_several_threads(async {
        let folder = Folder::new();
        let store = folder.open().await;
        accept_many(&store, 2000).await;
        assert_eq!(folder.number(EVENTS), 2000);
    });
}

/// So many events from 64 callers at once.
async fn accept_many(store: &SqliteStore, events: usize) {
    let callers = (0..64).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in (caller..events).step_by(64) {
                let answer = store.accept(joined(&format!("k{number}"), Some("s"))).await;
                assert_eq!(answer.expect("accepted"), Accepted::New);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
}
