//! What the store does when the server commits and its reply never arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{Accepted, EventStore as _};
use jaas_core::{Handled, Handlers};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::proxy::{Cut, Proxy};
use crate::servers::{
    self, Postgres, Server, Settings, event, in_transaction, is_done, key_of, on_both_servers, plain,
    repeated, worker,
};

on_both_servers! {
    an_event_whose_commit_got_no_reply_is_stored_once_and_its_repetition_is_a_duplicate
    an_event_whose_commit_got_no_reply_wakes_workers
    an_effect_whose_commit_got_no_reply_exists_once
    a_completion_that_got_no_reply_counts
    a_handler_whose_completion_got_no_reply_is_listed_once
    a_call_made_while_the_database_was_away_returns_soon_after_it_is_back
}

async fn a_call_made_while_the_database_was_away_returns_soon_after_it_is_back<S: Server>(database: &S) {
    let (store, proxy) = open_with(database, Settings::timeout(Duration::from_secs(20))).await;
    store.ping().await.expect("there");
    proxy.set_away(true);
    let calls = store.clone();
    let call = tokio::spawn(async move {
        // The first call fails on the connection that the pool still has.
        let _ = calls.ping().await;
        calls.ping().await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!call.is_finished(), "it waits for the database");
    proxy.set_away(false);
    let returned = timeout(Duration::from_secs(5), call).await.expect("soon").expect("no panic");
    returned.expect("it is back");
}

/// A store behind a proxy that can lose replies.
async fn open<S: Server>(database: &S) -> (S::Store, Proxy) {
    open_with(database, Settings::timeout(Duration::from_secs(2))).await
}

async fn open_with<S: Server>(database: &S, settings: Settings) -> (S::Store, Proxy) {
    database.execute(S::TABLES).await;
    let direct = database.address();
    let proxy = Proxy::start(&direct).await;
    let address = proxy.address(&direct);
    // The proxy can read neither encrypted connections nor those through a socket.
    let direct = if S::IS_POSTGRES { "&sslmode=disable" } else { "" };
    let address = format!("{address}{direct}");
    (S::open_at(address, settings).await.expect("opened"), proxy)
}

fn when_an_event_is_stored<S: Server>(_: &S) -> Cut {
    if S::IS_POSTGRES {
        Cut { at: "INSERT INTO jaas_events", after: "" }
    } else {
        Cut { at: "COMMIT", after: "INSERT IGNORE INTO jaas_events" }
    }
}

fn when_a_completion_is_stored<S: Server>(_: &S) -> Cut {
    let after =
        if S::IS_POSTGRES { "UPDATE jaas_events e SET completed" } else { "UPDATE jaas_events e SET" };
    Cut { at: "COMMIT", after }
}

async fn an_event_whose_commit_got_no_reply_is_stored_once_and_its_repetition_is_a_duplicate(
    database: &impl Server,
) {
    let (store, proxy) = open(database).await;
    for key in ["first", "second"] {
        proxy.cut(when_an_event_is_stored(database));
        // The store may have tried again, and then it has found the event.
        if let Ok(accepted) = store.accept(repeated(key)).await {
            assert_eq!(accepted, Accepted::Duplicate, "{key}: it was committed before");
        }
        timeout(Duration::from_secs(1), proxy.has_cut()).await.expect("the reply was lost");
        assert_eq!(store.accept(repeated(key)).await.expect("repeated"), Accepted::Duplicate);
        assert_eq!(database.rows(key).await, 1);
    }
    assert_eq!(store.claim(&servers::request(10)).await.expect("claimed").len(), 2);
}

async fn an_event_whose_commit_got_no_reply_wakes_workers(database: &impl Server) {
    let (store, proxy) = open(database).await;
    let handlers = Handlers::new().plain("plain", plain(|_| async { Ok(Handled::Done) }));
    let slow = Duration::from_secs(30);
    let _worker = worker(&store, handlers).poll_interval(slow).build().expect("built").spawn();
    store.accept(repeated("before")).await.expect("accepted");
    is_done(&store, "before").await;
    proxy.cut(when_an_event_is_stored(database));
    let _ = store.accept(repeated("k")).await;
    timeout(Duration::from_secs(1), proxy.has_cut()).await.expect("the reply was lost");
    timeout(Duration::from_secs(2), is_done(&store, "k")).await.expect("long before the worker polls");
}

async fn an_effect_whose_commit_got_no_reply_exists_once<S: Server>(database: &S) {
    let (store, proxy) = open(database).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, cuts) = (runs.clone(), proxy.clone());
    let handler = in_transaction(move |tx: &mut S::Connection, delivery| {
        counted.fetch_add(1, Ordering::SeqCst);
        let cuts = cuts.clone();
        Box::pin(async move {
            servers::insert(tx, &key_of(&delivery)).await?;
            cuts.cut(Cut { at: "COMMIT", after: "INSERT INTO effects" });
            Ok(Handled::Done)
        })
    });
    let handlers = Handlers::new().transactional("rows", handler);
    let _worker = worker(&store, handlers).build().expect("built").spawn();
    store.accept(repeated("k")).await.expect("accepted");
    timeout(Duration::from_secs(2), proxy.has_cut()).await.expect("the reply was lost");
    let event = is_done(&store, "k").await;
    // The worker may try to give the event back. It must not run again.
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!((event.failures, event.crashes), (0, 0), "{event:?}");
    assert_eq!((database.effects("k").await, runs.load(Ordering::SeqCst)), (1, 1));
    is_done(&store, "k").await;
}

async fn a_completion_that_got_no_reply_counts<S: Server>(database: &S) {
    let (store, proxy) = open(database).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, cuts, cut) = (runs.clone(), proxy.clone(), when_a_completion_is_stored(database));
    let handler = plain(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let cuts = cuts.clone();
        async move {
            // By then the worker has no claim in progress.
            tokio::time::sleep(Duration::from_millis(100)).await;
            cuts.cut(cut);
            Ok(Handled::Done)
        }
    });
    let handlers = Handlers::new().plain("plain", handler);
    let slow = Duration::from_secs(30);
    let _worker = worker(&store, handlers).poll_interval(slow).build().expect("built").spawn();
    store.accept(repeated("k")).await.expect("accepted");
    timeout(Duration::from_secs(2), proxy.has_cut()).await.expect("the reply was lost");
    let event = is_done(&store, "k").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((event.failures, event.crashes), (0, 0), "{event:?}");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    is_done(&store, "k").await;
}

async fn a_handler_whose_completion_got_no_reply_is_listed_once<S: Server>(database: &S) {
    let (store, proxy) = open(database).await;
    let claim = servers::claimed(&store, "k").await;
    let first = jaas_core::store::Step { handler: "first".into(), last: false, next: None };
    let after = if S::IS_POSTGRES { "UPDATE \"jaas_events\"" } else { "UPDATE `jaas_events`" };
    proxy.cut(Cut { at: "COMMIT", after });
    let _ = store.complete(claim.lease, &first, &Handled::Done, servers::now()).await;
    timeout(Duration::from_secs(1), proxy.has_cut()).await.expect("the reply was lost");
    assert_eq!(event(&store, "k").await.completed, ["first"]);
}

#[tokio::test]
async fn a_hand_over_whose_commit_was_not_answered_is_claimable_at_once() {
    let database = crate::server_or_return!(Postgres);
    let (store, proxy) = open(&database).await;
    let (to, mut claims) = HandOver::new("w", Arc::new(Semaphore::new(4)), Duration::from_secs(15));
    to.set_open(true);
    store.hand_over(to);
    proxy.cut(when_an_event_is_stored(&database));
    let _ = store.accept(repeated("k")).await;
    timeout(Duration::from_secs(1), proxy.has_cut()).await.expect("the reply was lost");
    assert!(claims.try_recv().is_err(), "nobody knows its claim");
    let claims = store.claim(&servers::request(10)).await.expect("claimed");
    assert_eq!((claims.len(), claims[0].crashes, claims[0].interruptions), (1, 0, 0));
}
