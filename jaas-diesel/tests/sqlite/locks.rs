//! What the SQLite store does while another process holds the lock of the file, or a handler the writing thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use jaas_core::Handled;
use jaas_core::store::{
    Accepted, EventAdmin as _, EventState, EventStore as _, Step, StoreErrorKind, TxWork,
};
use jaas_diesel::sqlite::Connection;
use tokio::sync::Semaphore;

use crate::support::{EVENTS, Folder, event_when, joined, now, request};

#[tokio::test]
async fn a_lock_held_by_another_is_waited_for_within_the_timeout() {
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
    assert_eq!(store.stats().await.expect("reading does not wait").count(EventState::Waiting), 0);

    other.batch_execute("COMMIT").expect("unlocked");
    let accepted = store.accept(joined("c", None)).await.expect("accepted");
    assert_eq!(accepted, Accepted::New);
    store.ping().await.expect("ready again");
}

#[tokio::test]
async fn a_short_lock_of_another_causes_no_error() {
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
async fn when_the_queue_is_full_the_next_write_is_refused_immediately() {
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
            Ok(returned) => break returned.expect("no panic"),
        }
        assert!(waiting.len() < 20, "a queue for three");
    };
    let (result, took) = refused;
    assert_eq!(result.expect_err("refused").kind(), StoreErrorKind::Overloaded);
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
async fn g4_a_claim_whose_caller_no_longer_waits_holds_nothing() {
    let folder = Folder::new();
    let store = folder.builder().timeout(Duration::from_millis(500)).open().await.expect("opened");
    store.accept(joined("running", None)).await.expect("accepted");
    let running = store.claim(&request(1)).await.expect("claimed").remove(0).lease;
    store.accept(joined("waiting", None)).await.expect("accepted");

    // A handler's transaction keeps every other write waiting.
    let (started, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (starts, waits) = (started.clone(), finish.clone());
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
        _ = store.claim(&request_of_another) => panic!("not immediately"),
        () = std::future::ready(()) => {}
    }
    finish.add_permits(1);
    assert_eq!(run.await.expect("no panic").expect("committed").0, Ok(Handled::Done));

    store.ping().await.expect("the claims before it have ended");
    event_when(&store, "waiting", |event| event.state == EventState::Waiting).await;
    let claims = store.claim(&request(10)).await.expect("claimed");
    assert_eq!((claims.len(), claims[0].attempt()), (1, 1), "neither a crash nor an interruption");
}
