//! Calls to a store on a server whose callers drop them before the end.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use jaas_core::Handled;
use jaas_core::store::{Accepted, EventAdmin as _, EventState, EventStore as _};
use tokio::time::timeout;

use crate::servers::{
    self, Server, Settings, event, joined, on_both_servers, on_server, repeated, request, step, work,
};

on_both_servers! {
    claims_that_are_dropped_at_any_moment_hold_no_event
    work_that_is_dropped_in_the_middle_is_rolled_back
    work_that_is_dropped_in_the_middle_of_a_statement_is_rolled_back
    an_accept_that_is_dropped_stores_a_whole_event_or_none
    reads_that_are_dropped_at_any_moment_confuse_no_later_result
}

on_server! { postgres_at_any_moment: Postgres;
    work_that_is_dropped_at_any_moment_is_committed_or_leaves_nothing
}

on_server! { mysql_at_any_moment: Mysql;
    work_that_is_dropped_at_any_moment_is_committed_or_leaves_nothing
}

/// A random time of up to so many microseconds.
fn a_moment(most: u64) -> Duration {
    Duration::from_micros(RandomState::new().hash_one(0) % most)
}

async fn claims_that_are_dropped_at_any_moment_hold_no_event(database: &impl Server) {
    let store = database.open_with(Settings::default()).await;
    for number in 0..10 {
        store.accept(joined(&format!("k{number}"), Some(&format!("s{number}")))).await.expect("accepted");
    }
    for _ in 0..100 {
        if let Ok(claimed) = timeout(a_moment(6000), store.claim(&request(10))).await {
            let leases: Vec<_> = claimed.expect("claimed").iter().map(|claim| claim.lease).collect();
            for lease in leases {
                let failure = jaas_core::store::Failure {
                    error: "later".into(),
                    retry_in: Some(Duration::ZERO),
                    passable: false,
                    next: None,
                };
                store.fail(lease, &failure, servers::now()).await.expect("recorded");
            }
        }
    }
    // Long before the leases of 15 s end, although claims may still be in progress.
    let (mut claims, started) = (Vec::new(), Instant::now());
    while claims.len() < 10 {
        assert!(started.elapsed() < Duration::from_secs(4), "only {} could be claimed", claims.len());
        claims.extend(store.claim(&request(10)).await.expect("claimed"));
    }
    assert!(claims.iter().all(|claim| (claim.crashes, claim.interruptions) == (0, 0)), "{claims:?}");
}

async fn work_that_is_dropped_at_any_moment_is_committed_or_leaves_nothing(database: &impl Server) {
    let store = database.open_with_tables(Settings::default()).await;
    let mut committed: i64 = 0;
    for number in 0..60 {
        let key = format!("k{number}");
        let lease = servers::claimed(&store, &key).await.lease;
        let effect = key.clone();
        let insert = work(move |tx| {
            Box::pin(async move {
                servers::insert(tx, &effect).await?;
                Ok(Handled::Done)
            })
        });
        let (step, now) = (step(), servers::now());
        let answer = timeout(a_moment(8000), store.run(lease, &step, now, insert)).await;
        if let Ok(answer) = &answer {
            assert_eq!(answer.as_ref().expect("committed").0, Ok(Handled::Done));
        }
        // A dropped call may still be running.
        tokio::time::sleep(Duration::from_millis(30)).await;
        database.becomes("transactions", 0).await;
        let done = event(&store, &key).await.state == EventState::Done;
        assert!(done || answer.is_err(), "{key} was committed");
        assert_eq!(database.effects(&key).await, i64::from(done), "{key}");
        committed += i64::from(done);
        if !done {
            let again = work(|tx| {
                Box::pin(async move {
                    servers::insert(tx, "again").await?;
                    Ok(Handled::Done)
                })
            });
            let again = store.run(lease, &step, now, again).await;
            assert_eq!(again.expect("committed").0, Ok(Handled::Done));
        }
    }
    assert_eq!(database.effects("again").await, 60 - committed);
    database.becomes("transactions", 0).await;
}

async fn work_that_is_dropped_in_the_middle_is_rolled_back(database: &impl Server) {
    let settings = Settings { pool_size: 2, ..Settings::default() };
    let store = database.open_with_tables(settings).await;
    let lease = servers::claimed(&store, "k").await.lease;
    for _ in 0..4 {
        let hanging = work(|tx| {
            Box::pin(async move {
                servers::insert(tx, "k").await?;
                std::future::pending().await
            })
        });
        let (step, now) = (step(), servers::now());
        let running = store.run(lease, &step, now, hanging);
        assert!(timeout(Duration::from_millis(50), running).await.is_err());
    }
    database.becomes("transactions", 0).await;
    assert_eq!(database.effects("k").await, 0);
    completes_with_an_effect(database, &store, "k").await;
}

async fn work_that_is_dropped_in_the_middle_of_a_statement_is_rolled_back<S: Server>(database: &S) {
    let settings = Settings { pool_size: 2, ..Settings::default() };
    let store = database.open_with_tables(settings).await;
    let lease = servers::claimed(&store, "k").await.lease;
    for _ in 0..4 {
        let hanging = work(|tx: &mut S::Connection| {
            Box::pin(async move {
                servers::insert(tx, "k").await?;
                tx.batch_execute(if S::IS_POSTGRES { "SELECT pg_sleep(0.3)" } else { "SELECT SLEEP(0.3)" })
                    .await?;
                Ok(Handled::Done)
            })
        });
        let (step, now) = (step(), servers::now());
        let running = store.run(lease, &step, now, hanging);
        assert!(timeout(Duration::from_millis(50), running).await.is_err());
    }
    database.becomes("transactions", 0).await;
    assert_eq!(database.effects("k").await, 0);
    completes_with_an_effect(database, &store, "k").await;
}

/// Completes the claimed event: the lease is still held, and the connections are clean.
async fn completes_with_an_effect<S: Server>(database: &S, store: &S::Store, key: &'static str) {
    let event = event(store, key).await;
    assert_eq!(event.state, EventState::Running, "{event:?}");
    let lease = jaas_core::store::Lease { event: event.id, fence: 1 };
    let insert = work(move |tx| {
        Box::pin(async move {
            servers::insert(tx, key).await?;
            Ok(Handled::Done)
        })
    });
    let done = store.run(lease, &step(), servers::now(), insert).await;
    assert_eq!(done.expect("committed").0, Ok(Handled::Done));
    assert_eq!(database.effects(key).await, 1);
}

async fn an_accept_that_is_dropped_stores_a_whole_event_or_none(database: &impl Server) {
    let store = database.open_with(Settings::default()).await;
    for number in 0..60 {
        let _ = timeout(a_moment(3000), store.accept(repeated(&format!("k{number}")))).await;
    }
    for number in 0..60 {
        let key = format!("k{number}");
        let answer = store.accept(repeated(&key)).await.expect("accepted");
        assert!(matches!(answer, Accepted::New | Accepted::Duplicate), "{answer:?}");
    }
    let events = database.ask("SELECT count(*) FROM jaas_events").await;
    assert_eq!((events, store.stats().await.expect("counted").conflicts), (60, 0));
    database.becomes("transactions", 0).await;
}

async fn reads_that_are_dropped_at_any_moment_confuse_no_later_result<S: Server>(database: &S) {
    let settings = Settings { pool_size: 1, ..Settings::default() };
    let store = database.open_with(settings).await;
    for number in 0..7 {
        store.accept(repeated(&format!("k{number}"))).await.expect("accepted");
    }
    // The application shares the pool, and its own queries are dropped, too.
    for _ in 0..100 {
        let (moment, other) = (a_moment(1000), a_moment(1000));
        let _ = timeout(moment, S::read_from_pool(&store)).await;
        let _ = timeout(other, store.stats()).await;
        let stats = store.stats().await.expect("counted");
        assert_eq!(stats.count(EventState::Waiting), 7);
        let listed = event(&store, "k3").await;
        assert_eq!(listed.idempotency_key.to_string(), "k3");
    }
}
