//! Events that a PostgreSQL store gives straight to a worker as it accepts them, and its notifications to other processes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jaas_core::store::hand_over::{HandOver, HandedOver};
use jaas_core::store::{Accepted, EventAdmin as _, EventState, EventStore as _, Lease};
use jaas_core::{Handled, Handlers};
use jaas_diesel::PostgresStore;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::servers::{
    self, Postgres, Server, Settings, event, is_done, joined, on_server, plain, repeated, request, step,
    worker,
};

on_server! { on_postgres: Postgres;
    an_idle_worker_is_given_what_is_accepted
    a_handed_over_event_is_claimed_in_the_database
    a_second_event_of_a_session_is_not_handed_over
    of_events_accepted_together_one_of_a_session_is_handed_over
    two_stores_never_hand_over_two_events_of_a_session
    what_is_handed_over_to_nobody_waits_again_at_once
    a_duplicate_takes_no_slot
    a_closed_hand_over_is_left_alone
    an_event_is_either_handed_over_or_left_to_be_claimed
    a_worker_of_another_process_is_told_at_once
    a_worker_is_told_again_after_its_store_lost_the_connection_that_listens
}

const LEASE: Duration = Duration::from_secs(15);

fn open_hand_over(
    store: &PostgresStore,
    slots: usize,
) -> (Arc<Semaphore>, mpsc::UnboundedReceiver<HandedOver>) {
    let slots = Arc::new(Semaphore::new(slots));
    let (to, claims) = HandOver::new("w", slots.clone(), LEASE);
    to.set_open(true);
    store.hand_over(to);
    (slots, claims)
}

async fn an_idle_worker_is_given_what_is_accepted(database: &Postgres) {
    let store = database.open().await;
    let handlers = Handlers::new().plain("plain", plain(|_| async { Ok(Handled::Done) }));
    let slow = Duration::from_secs(30);
    let worker = worker(&store, handlers).name("idle").poll_interval(slow).build().expect("built").spawn();
    // Handed over only once the worker has found nothing older.
    tokio::time::sleep(Duration::from_millis(300)).await;
    database
        .execute(
            "CREATE TABLE claims (event BIGINT, fence BIGINT, worker TEXT);
             CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO claims VALUES (new.event_id, new.fence, new.worker); RETURN new; END $$;
             CREATE TRIGGER spy AFTER INSERT ON jaas_queues FOR EACH ROW EXECUTE FUNCTION spy();",
        )
        .await;
    for number in 0..10 {
        let key = format!("k{number}");
        store.accept(repeated(&key)).await.expect("accepted");
        is_done(&store, &key).await;
    }
    let given = "SELECT count(*) FROM claims WHERE event IS NOT NULL AND fence > 1 AND worker = 'idle'";
    // Not every one of them: the worker takes its slots for a moment whenever it claims, which is longer on a busy machine.
    let given = database.ask(given).await;
    assert!(given >= 1, "none of 10 was claimed with the insert");
    worker.stop(Duration::from_secs(1)).await;
}

async fn a_handed_over_event_is_claimed_in_the_database(database: &Postgres) {
    let store = database.open().await;
    let (slots, mut claims) = open_hand_over(&store, 1);
    store.accept(joined("k", Some("s"))).await.expect("accepted");
    let handed_over = claims.recv().await.expect("handed over");
    assert!(handed_over.claim.lease.fence > 1, "no other first claim has this fence");
    assert_eq!(slots.available_permits(), 0);
    let stored = event(&store, "k").await;
    assert_eq!((stored.state, stored.worker.as_deref()), (EventState::Running, Some("w")));
    assert_eq!(handed_over.claim.body, stored.body);
    let Lease { event: row, fence } = handed_over.claim.lease;
    let lease = format!(
        "SELECT count(*) FROM jaas_queues WHERE event_id = {row} AND fence = {fence} AND phase = 2 AND worker = 'w' \
         AND due_at - (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT BETWEEN 12000 AND 15000"
    );
    assert_eq!(database.ask(&lease).await, 1, "a lease of 15 s by the clock of the database");
    assert_eq!(store.claim(&request(1)).await.expect("claimed").len(), 0);
    assert_eq!(store.accept(repeated("no slot")).await.expect("accepted"), Accepted::New);
    assert!(claims.try_recv().is_err());
    assert_eq!(store.claim(&request(1)).await.expect("claimed").len(), 1, "left to be claimed");
    let lease = handed_over.claim.lease;
    store.complete(lease, &step(), &Handled::Done, servers::now()).await.expect("held");
}

async fn a_second_event_of_a_session_is_not_handed_over(database: &Postgres) {
    let store = database.open().await;
    let (_slots, mut claims) = open_hand_over(&store, 4);
    store.accept(joined("first", Some("s"))).await.expect("accepted");
    store.accept(joined("second", Some("s"))).await.expect("accepted");
    let first = claims.recv().await.expect("handed over").claim;
    assert!(claims.try_recv().is_err(), "the first runs");
    store.complete(first.lease, &step(), &Handled::Done, servers::now()).await.expect("held");
    store.accept(joined("third", Some("s"))).await.expect("accepted");
    assert!(claims.try_recv().is_err(), "the second waits");
    let second = store.claim(&request(10)).await.expect("claimed");
    assert_eq!(second.len(), 1);
    assert_eq!(event(&store, "second").await.state, EventState::Running);
}

async fn of_events_accepted_together_one_of_a_session_is_handed_over(database: &Postgres) {
    let store = database.open().await;
    let (_slots, mut claims) = open_hand_over(&store, 100);
    let accepting = (0..60).map(|number| {
        let delivery = joined(&format!("k{number}"), Some(&format!("s{}", number % 6)));
        let store = store.clone();
        tokio::spawn(async move { store.accept(delivery).await })
    });
    for accepting in accepting.collect::<Vec<_>>() {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    let mut handed_over = Vec::new();
    while let Ok(claim) = claims.try_recv() {
        handed_over.push(claim);
    }
    assert_eq!(handed_over.len(), 6, "one of each session");
    assert_eq!(store.stats().await.expect("counted").count(EventState::Running), 6);
}

async fn two_stores_never_hand_over_two_events_of_a_session(database: &Postgres) {
    const SESSIONS: usize = 4;
    const EVENTS: usize = 120;
    let stores = [database.open().await, database.open().await];
    let handlers = |running: &Arc<[Semaphore]>| {
        let running = running.clone();
        let handler = plain(move |delivery| {
            let running = running.clone();
            async move {
                let session = delivery.envelope.session_id.expect("a session").to_string();
                let number: usize = session[1..].parse().expect("a number");
                let _alone = running[number].try_acquire().expect("one of a session at a time");
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok(Handled::Done)
            }
        });
        Handlers::new().plain("plain", handler)
    };
    let running: Arc<[Semaphore]> = (0..SESSIONS).map(|_| Semaphore::new(1)).collect();
    let workers: Vec<_> = stores
        .iter()
        .map(|store| worker(store, handlers(&running)).build().expect("built").spawn())
        .collect();
    let accepting = (0..EVENTS).map(|number| {
        let store = stores[number % 2].clone();
        let delivery = joined(&format!("k{number}"), Some(&format!("s{}", number % SESSIONS)));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(number as u64 * 5)).await;
            store.accept(delivery).await
        })
    });
    for accepting in accepting.collect::<Vec<_>>() {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    for number in 0..EVENTS {
        let event = is_done(&stores[0], &format!("k{number}")).await;
        assert_eq!((event.failures, event.crashes), (0, 0), "{event:?}");
    }
    for worker in workers {
        worker.stop(Duration::from_secs(1)).await;
    }
}

async fn what_is_handed_over_to_nobody_waits_again_at_once(database: &Postgres) {
    let store = database.open().await;
    for round in 0..20 {
        let (_slots, claims) = open_hand_over(&store, 1);
        let accepting = tokio::spawn({
            let (store, key) = (store.clone(), format!("k{round}"));
            async move { store.accept(repeated(&key)).await }
        });
        tokio::time::sleep(Duration::from_micros(100 * round)).await;
        drop(claims);
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
        // Either it was given before the worker went, which is a crash of that worker, or it waits.
        let stored = event(&store, &format!("k{round}")).await;
        if stored.state == EventState::Waiting {
            let claims = store.claim(&request(1)).await.expect("claimed");
            assert_eq!((claims.len(), claims[0].crashes, claims[0].interruptions), (1, 0, 0));
        }
    }
}

async fn a_duplicate_takes_no_slot(database: &Postgres) {
    let store = database.open().await;
    store.accept(repeated("k")).await.expect("accepted");
    let (slots, mut claims) = open_hand_over(&store, 2);
    for _ in 0..5 {
        assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::Duplicate);
    }
    assert!(claims.try_recv().is_err());
    assert_eq!(slots.available_permits(), 2);
    assert_eq!(store.claim(&request(1)).await.expect("claimed").len(), 1);
}

async fn a_closed_hand_over_is_left_alone(database: &Postgres) {
    let store = database.open().await;
    let (to, mut claims) = HandOver::new("w", Arc::new(Semaphore::new(4)), LEASE);
    store.hand_over(to);
    store.accept(repeated("k")).await.expect("accepted");
    assert!(claims.try_recv().is_err());
    assert_eq!(store.claim(&request(1)).await.expect("claimed").len(), 1);
}

async fn an_event_is_either_handed_over_or_left_to_be_claimed(database: &Postgres) {
    const EVENTS: usize = 60;
    let store = database.open().await;
    let (_slots, mut handed_over) = open_hand_over(&store, 4);
    let accepting = (0..EVENTS).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(repeated(&format!("k{number}"))).await })
    });
    let accepting: Vec<_> = accepting.collect();
    let (mut rows, mut held) = (BTreeSet::new(), VecDeque::new());
    while rows.len() < EVENTS {
        while let Ok(given) = handed_over.try_recv() {
            assert!(rows.insert(given.claim.lease.event), "given twice");
            held.push_back(given);
        }
        for claim in store.claim(&request(2)).await.expect("claimed") {
            assert!(rows.insert(claim.lease.event), "claimed, and given before");
        }
        // Some stay, so that the claims above would see them if the store had lost track of them.
        if held.len() > 2
            && let Some(given) = held.pop_front()
        {
            store.complete(given.claim.lease, &step(), &Handled::Done, servers::now()).await.expect("held");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for accepting in accepting {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
    assert!(handed_over.try_recv().is_err());
    assert!(store.claim(&request(10)).await.expect("claimed").is_empty(), "every lease holds");
}

/// A worker that polls rarely, on its own store.
async fn rarely_polling(store: &PostgresStore) -> jaas_core::WorkerHandle {
    let handlers = Handlers::new().plain("plain", plain(|_| async { Ok(Handled::Done) }));
    let slow = Duration::from_secs(30);
    let worker = worker(store, handlers).poll_interval(slow).build().expect("built").spawn();
    tokio::time::sleep(Duration::from_millis(300)).await;
    worker
}

async fn a_worker_of_another_process_is_told_at_once(database: &Postgres) {
    let (accepting, working) = (database.open().await, database.open().await);
    let _worker = rarely_polling(&working).await;
    for number in 0..5 {
        let (key, started) = (format!("k{number}"), Instant::now());
        accepting.accept(repeated(&key)).await.expect("accepted");
        timeout(Duration::from_secs(1), is_done(&working, &key)).await.expect("told");
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}

async fn a_worker_is_told_again_after_its_store_lost_the_connection_that_listens(database: &Postgres) {
    let accepting = database.open_with(Settings::default()).await;
    let working = database.open().await;
    let _worker = rarely_polling(&working).await;
    database.kill("LISTEN").await;
    // What is accepted meanwhile is found when it listens again, a second later.
    accepting.accept(repeated("meanwhile")).await.expect("accepted");
    timeout(Duration::from_secs(3), is_done(&working, "meanwhile")).await.expect("found");
    accepting.accept(repeated("after")).await.expect("accepted");
    timeout(Duration::from_secs(1), is_done(&working, "after")).await.expect("told");
}
