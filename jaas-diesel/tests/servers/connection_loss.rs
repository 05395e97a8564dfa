//! What a store on a server does when the server ends its connections.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{Accepted, EventState, EventStore as _, StoreErrorKind};
use jaas_core::{Backoff, Handled, Handlers};
use tokio::sync::Semaphore;

use crate::servers::{
    self, Postgres, Server, Settings, event, inserting, is_done, joined, key_of, on_both_servers, plain,
    repeated, request, step, work, worker, works_again,
};

const LIMIT: Duration = Duration::from_secs(2);

on_both_servers! {
    connections_that_are_killed_under_load_lose_nothing_that_was_acknowledged
    connections_killed_while_idle_cost_at_most_one_call_each
    a_handlers_transaction_that_is_killed_leaves_nothing_and_is_run_again
    a_claimed_event_is_completed_after_the_connections_were_lost
}

async fn connections_that_are_killed_under_load_lose_nothing_that_was_acknowledged(database: &impl Server) {
    const CALLERS: usize = 8;
    const EVENTS: usize = 20;
    let store = database.open_with_tables(Settings::timeout(LIMIT)).await;
    let handlers = Handlers::new()
        .transactional("rows", inserting())
        .plain("plain", plain(|_| async { Ok(Handled::Done) }));
    let lease = Duration::from_secs(1);
    // If its statement is cut off, the handler fails.
    let backoff = Backoff::default().initial_delay(Duration::from_millis(10)).max_failures(20);
    let worker = worker(&store, handlers).backoff(backoff).lease(lease).max_crashes(20);
    let worker = worker.build().expect("built").spawn();
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut accepted = Vec::new();
            for number in 0..EVENTS {
                let (key, started) = (format!("k{caller}-{number}"), Instant::now());
                if store.accept(repeated(&key)).await.is_ok() {
                    accepted.push(key);
                }
                let took = started.elapsed();
                assert!(took < LIMIT + Duration::from_secs(1), "an accept took {took:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            accepted
        })
    });
    let callers: Vec<_> = callers.collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(80)).await;
        database.kill("").await;
    }
    let mut accepted = Vec::new();
    for caller in callers {
        accepted.extend(caller.await.expect("no panic"));
    }
    assert!(accepted.len() > CALLERS * EVENTS / 2, "only {} were accepted", accepted.len());
    works_again(&store, "after", LIMIT).await;
    for key in &accepted {
        assert_eq!(database.rows(key).await, 1, "{key} was acknowledged");
        is_done(&store, key).await;
        assert_eq!(database.effects(key).await, 1, "{key}");
    }
    worker.stop(Duration::from_secs(1)).await;
}

async fn connections_killed_while_idle_cost_at_most_one_call_each(database: &impl Server) {
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    works_again(&store, "before", Duration::ZERO).await;
    database.kill("").await;
    // The store learns of a lost connection a moment later.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.accept(repeated("k")).await.expect("on a new connection"), Accepted::New);
    works_again(&store, "k", Duration::from_millis(500)).await;
}

async fn a_handlers_transaction_that_is_killed_leaves_nothing_and_is_run_again(database: &impl Server) {
    let store = database.open_with_tables(Settings::timeout(LIMIT)).await;
    let claim = servers::claimed(&store, "k").await;
    let (written, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (writes, waits) = (written.clone(), release.clone());
    let running = tokio::spawn({
        let store = store.clone();
        async move {
            let work = work(move |tx| {
                Box::pin(async move {
                    servers::insert(tx, "k").await?;
                    writes.add_permits(1);
                    let _ = waits.acquire().await?;
                    Ok(Handled::Done)
                })
            });
            store.run(claim.lease, &step(), servers::now(), work).await
        }
    });
    let _ = written.acquire().await;
    database.kill("").await;
    release.add_permits(1);
    let error = running.await.expect("no panic").expect_err("its connection was lost");
    // The handler is not at fault, so the event must not become a dead letter.
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
    assert_eq!(database.effects("k").await, 0);
    let again = work(|tx| {
        Box::pin(async move {
            servers::insert(tx, "k").await?;
            Ok(Handled::Done)
        })
    });
    let again = store.run(claim.lease, &step(), servers::now(), again).await;
    assert_eq!(again.expect("on another connection").0, Ok(Handled::Done));
    assert_eq!((event(&store, "k").await.state, database.effects("k").await), (EventState::Done, 1));
}

async fn a_claimed_event_is_completed_after_the_connections_were_lost(database: &impl Server) {
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    for key in ["a", "b"] {
        let claim = servers::claimed(&store, key).await;
        database.kill("").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.complete(claim.lease, &step(), &Handled::Done, servers::now()).await.expect("completed");
        assert_eq!(event(&store, key).await.state, EventState::Done);
    }
}

#[tokio::test]
async fn a_repeated_delivery_on_a_lost_connection_does_not_take_back_a_running_event() {
    let database = crate::server_or_return!(Postgres);
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let (to, mut claims) = HandOver::new("w", Arc::new(Semaphore::new(4)), Duration::from_secs(15));
    to.set_open(true);
    store.hand_over(to);
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
    let running = claims.recv().await.expect("handed over").claim;
    // The sender repeats it, and the store finds its connection dead.
    database.kill("jaas_events").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::Duplicate);
    assert_eq!(event(&store, "k").await.state, EventState::Running, "its handler is at work");
    assert_eq!(store.claim(&request(10)).await.expect("claimed").len(), 0);
    store.complete(running.lease, &step(), &Handled::Done, servers::now()).await.expect("still held");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_handed_over_while_connections_die_wait_no_longer_than_their_lease() {
    const LEASE: Duration = Duration::from_millis(800);
    let database = crate::server_or_return!(Postgres);
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let handlers = Handlers::new().plain("plain", plain(|_| async { Ok(Handled::Done) }));
    let worker = worker(&store, handlers).lease(LEASE).max_crashes(20).build().expect("built").spawn();
    let accepting = tokio::spawn({
        let store = store.clone();
        async move {
            let mut accepted = Vec::new();
            for number in 0..150 {
                let delivery = joined(&format!("k{number}"), Some(&format!("s{}", number % 5)));
                let key = key_of(&delivery);
                if store.accept(delivery).await.is_ok() {
                    accepted.push(key);
                }
            }
            accepted
        }
    });
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        database.kill("INSERT INTO jaas_events").await;
    }
    let accepted = accepting.await.expect("no panic");
    let last = Instant::now();
    for key in &accepted {
        is_done(&store, key).await;
    }
    let took = last.elapsed();
    // Much more than the lease on a busy machine, and much less than a default lease.
    assert!(took < LEASE + Duration::from_secs(8), "the last was done after {took:?}");
    worker.stop(Duration::from_secs(1)).await;
}
