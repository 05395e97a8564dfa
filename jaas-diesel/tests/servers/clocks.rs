//! Processes whose clocks differ, on one database of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use jaas_core::store::{EventState, EventStore as _, Failure};
use jaas_core::{Delivery, Handled, Handlers, Timestamp};

use crate::servers::{self, Server, event, is_done, now, on_both_servers, plain, repeated, request, worker};

on_both_servers! {
    a_worker_whose_clock_is_ahead_takes_over_no_live_work
    a_worker_whose_clock_is_behind_takes_over_no_live_work
    a_worker_whose_clock_is_ahead_waits_out_a_back_off
    a_worker_whose_clock_is_behind_waits_no_longer_than_a_back_off
    an_event_of_a_receiver_whose_clock_is_ahead_does_not_wait
    an_event_of_a_receiver_whose_clock_is_behind_does_not_wait
    a_crash_is_detected_by_the_clock_of_the_database
}

const HOUR: Duration = Duration::from_secs(60 * 60);

fn ahead() -> Timestamp {
    now().saturating_add(HOUR)
}

fn behind() -> Timestamp {
    now().saturating_sub(HOUR)
}

async fn takes_over_nothing(database: &impl Server, clock: fn() -> Timestamp) {
    let (one, other) = tokio::join!(database.open(), database.open());
    let runs = Arc::new(AtomicUsize::new(0));
    let slow = || {
        let counted = runs.clone();
        let handler = plain(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            async {
                // Longer than the lease, which is renewed.
                tokio::time::sleep(Duration::from_millis(1500)).await;
                Ok(Handled::Done)
            }
        });
        Handlers::new().plain("slow", handler)
    };
    let lease = Duration::from_millis(900);
    let first = worker(&one, slow()).lease(lease).build().expect("built").spawn();
    one.accept(repeated("k")).await.expect("accepted");
    while runs.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = worker(&other, slow()).lease(lease).clock(clock).build().expect("built").spawn();
    let event = is_done(&one, "k").await;
    assert_eq!((runs.load(Ordering::SeqCst), event.crashes), (1, 0), "{event:?}");
    // And with the clocks exchanged.
    first.stop(Duration::ZERO).await;
    one.accept(repeated("again")).await.expect("accepted");
    let first = worker(&one, slow()).lease(lease).build().expect("built").spawn();
    let event = is_done(&one, "again").await;
    assert_eq!((runs.load(Ordering::SeqCst), event.crashes), (2, 0), "{event:?}");
    first.stop(Duration::ZERO).await;
    second.stop(Duration::ZERO).await;
}

async fn a_worker_whose_clock_is_ahead_takes_over_no_live_work(database: &impl Server) {
    takes_over_nothing(database, ahead).await;
}

async fn a_worker_whose_clock_is_behind_takes_over_no_live_work(database: &impl Server) {
    takes_over_nothing(database, behind).await;
}

async fn waits_out_a_back_off(database: &impl Server, clock: fn() -> Timestamp) {
    let store = database.open().await;
    let handler = plain(|delivery: Delivery| async move {
        if delivery.attempt == 1 { Err("not yet".into()) } else { Ok(Handled::Done) }
    });
    let handlers = Handlers::new().plain("plain", handler);
    let backoff = jaas_core::Backoff::default().initial_delay(Duration::from_millis(800)).max_failures(5);
    let worker = worker(&store, handlers).backoff(backoff).clock(clock).build().expect("built").spawn();
    store.accept(repeated("k")).await.expect("accepted");
    servers::event_when(&store, "k", |event| event.failures == 1).await;
    let failed = Instant::now();
    is_done(&store, "k").await;
    let waited = failed.elapsed();
    assert!(waited > Duration::from_millis(300) && waited < Duration::from_secs(3), "{waited:?}");
    worker.stop(Duration::ZERO).await;
}

async fn a_worker_whose_clock_is_ahead_waits_out_a_back_off(database: &impl Server) {
    waits_out_a_back_off(database, ahead).await;
}

async fn a_worker_whose_clock_is_behind_waits_no_longer_than_a_back_off(database: &impl Server) {
    waits_out_a_back_off(database, behind).await;
}

async fn does_not_wait(database: &impl Server, received_at: Timestamp) {
    let store = database.open().await;
    let body = repeated("k").body().clone();
    let delivery = Delivery::parse("main", received_at, body).expect("an envelope");
    store.accept(delivery).await.expect("accepted");
    let due = store.next_due(now()).await.expect("returned");
    assert!(due.held_back, "it could be claimed now: {due:?}");
    assert_eq!(store.claim(&request(1)).await.expect("claimed").len(), 1);
    assert_eq!(event(&store, "k").await.state, EventState::Running);
}

async fn an_event_of_a_receiver_whose_clock_is_ahead_does_not_wait(database: &impl Server) {
    does_not_wait(database, ahead()).await;
}

async fn an_event_of_a_receiver_whose_clock_is_behind_does_not_wait(database: &impl Server) {
    does_not_wait(database, behind()).await;
}

async fn a_crash_is_detected_by_the_clock_of_the_database(database: &impl Server) {
    let store = database.open().await;
    store.accept(repeated("k")).await.expect("accepted");
    let mut early = request(1);
    (early.now, early.lease) = (ahead(), Duration::from_millis(300));
    let claim = store.claim(&early).await.expect("claimed").pop().expect("one");
    early.now = behind();
    assert_eq!(store.claim(&early).await.expect("claimed").len(), 0);
    tokio::time::sleep(Duration::from_millis(350)).await;
    let again = store.claim(&early).await.expect("claimed").pop().expect("taken over");
    assert_eq!((again.lease.fence, again.crashes), (2, 1));
    let failure = Failure { error: "late".into(), retry_in: None, passable: false, next: None };
    assert!(store.fail(claim.lease, &failure, now()).await.is_err(), "stale");
    assert_eq!(store.renew(&[again.lease], ahead(), HOUR).await.expect("renewed"), []);
}
