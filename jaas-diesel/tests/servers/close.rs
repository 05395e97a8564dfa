//! Closing and dropping a store on a server.

use std::fmt::Debug;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, AttemptQuery, AuditNote, EventAdmin as _, EventQuery, EventState, EventStore as _, Failure,
    PageRequest, Retention, RowId, StoreError, StoreErrorKind,
};
use jaas_core::{Delivery, Handled, Incoming, Unreadable};

use crate::servers::{self, Server, Settings, event, now, on_both_servers, repeated, request, step, work};

on_both_servers! {
    closing_finishes_what_is_queued
    after_closing_every_call_returns_closed
    dropping_the_last_clone_ends_every_connection
    a_handler_that_runs_while_the_store_is_closed_is_completed
}

async fn closing_finishes_what_is_queued<S: Server>(database: &S) {
    let store = database.open_with(Settings::default()).await;
    let claim = servers::claimed(&store, "running").await;
    let mut other = database.connection().await;
    let lock = if S::IS_POSTGRES { "BEGIN; LOCK TABLE jaas_events" } else { "LOCK TABLES jaas_events WRITE" };
    other.batch_execute(lock).await.expect("locked");
    let accepting: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.accept(repeated(&format!("k{number}"))).await })
        })
        .collect();
    let completing = tokio::spawn({
        let store = store.clone();
        async move { store.complete(claim.lease, &step(), &Handled::Done, now()).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { S::close(&store).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    other.batch_execute(if S::IS_POSTGRES { "COMMIT" } else { "UNLOCK TABLES" }).await.expect("unlocked");
    closing.await.expect("closed");
    assert_eq!(
        database.ask("SELECT count(*) FROM jaas_events").await,
        51,
        "when close() returns, all are there"
    );
    for accepting in accepting {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    completing.await.expect("no panic").expect("completed");
    S::close(&store).await;
}

fn unreadable() -> Unreadable {
    match Delivery::parse("main", now(), "no envelope".into()).map(Incoming::Event) {
        Err(unreadable) => unreadable,
        Ok(received) => panic!("{received:?}"),
    }
}

async fn after_closing_every_call_returns_closed<S: Server>(database: &S) {
    fn closed<T: Debug>(call: &str, answer: Result<T, StoreError>) {
        let kind = answer.map_err(|error| error.kind()).expect_err(call);
        assert_eq!(kind, StoreErrorKind::Closed, "{call}");
    }
    let store = database.open().await;
    let lease = servers::claimed(&store, "k").await.lease;
    S::close(&store).await;
    let note = AuditNote::new("test", "why not");
    let matching = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let retention = Retention::builder(Tolerance::default()).build().expect("the default");
    let failure = Failure { error: "e".into(), retry_in: None, passable: false, next: None };
    let done = work(|_: &mut S::Connection| Box::pin(async { Ok(Handled::Done) }));
    closed("accept", store.accept(repeated("k2")).await);
    closed("quarantine", store.quarantine(unreadable()).await);
    closed("claim", store.claim(&request(1)).await);
    closed("renew", store.renew(&[lease], now(), Duration::from_secs(15)).await);
    closed("run", store.run(lease, &step(), now(), done).await);
    closed("complete", store.complete(lease, &step(), &Handled::Done, now()).await);
    closed("fail", store.fail(lease, &failure, now()).await);
    closed("release", store.release(&[lease], now()).await);
    closed("give_back", store.give_back(&[lease], now()).await);
    closed("next_due", store.next_due(now()).await);
    closed("ping", store.ping().await);
    closed("events", store.events(&EventQuery::default()).await);
    closed("conflicts", store.conflicts(PageRequest::first()).await);
    closed("quarantined", store.quarantined(PageRequest::first()).await);
    closed("attempts", store.attempts(&AttemptQuery::default()).await);
    closed("dead_letters", store.dead_letters().await);
    closed("replay", store.replay(RowId::new(1), &note, now()).await);
    closed("replay_matching", store.replay_matching(&matching, &note, now()).await);
    closed("discard", store.discard(RowId::new(1), &note, now()).await);
    closed("audit", store.audit(PageRequest::first()).await);
    closed("purge", store.purge(&retention, now(), 10).await);
    closed("erase_session", store.erase_session(&"s".into(), &note, now()).await);
    closed("event", store.event(RowId::new(1)).await);
    closed("discard_matching", store.discard_matching(&matching, &note, now()).await);
    let done = work(|_: &mut S::Connection| Box::pin(async { Ok(Handled::Done) }));
    closed("rehearse", store.rehearse(done).await);
    closed("reveal", store.reveal(RowId::new(1), &note, now()).await);
    closed("record_rehearsal", store.record_rehearsal(RowId::new(1), &note, now()).await);
    closed("stats", store.stats().await);

    let reopened = database.open().await;
    reopened.release(&[lease], now()).await.expect("released");
    assert_eq!(event(&reopened, "k").await.state, EventState::Waiting);
}

async fn dropping_the_last_clone_ends_every_connection<S: Server>(database: &S) {
    let store = database.open().await;
    let clone = store.clone();
    servers::claimed(&store, "k").await;
    drop(store);
    clone.ping().await.expect("the clone is open");
    drop(clone);
    database.becomes("connections", 0).await;
    database.becomes("transactions", 0).await;
}

async fn a_handler_that_runs_while_the_store_is_closed_is_completed<S: Server>(database: &S) {
    let store = database.open_with_tables(Settings::default()).await;
    let lease = servers::claimed(&store, "k").await.lease;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let waits = work(move |tx: &mut S::Connection| {
        Box::pin(async move {
            let _ = released.await;
            servers::insert(tx, "k").await?;
            Ok(Handled::Done)
        })
    });
    let run = tokio::spawn({
        let store = store.clone();
        async move { store.run(lease, &step(), now(), waits).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    S::close(&store).await;
    let _ = release.send(());
    let answer = run.await.expect("no panic");
    let effects = database.effects("k").await;
    let done = "SELECT count(*) FROM jaas_events WHERE state = 'done'";
    assert_eq!((effects, database.ask(done).await), (i64::from(answer.is_ok()), i64::from(answer.is_ok())));
}
