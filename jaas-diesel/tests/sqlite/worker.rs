//! The worker on the SQLite store: what a handler writes and the event's completion are one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::store::{Accepted, EventState, EventStore as _, StoreErrorKind};
use jaas_core::{EventHandler, Handled, HandlerError, Handlers};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;
use tokio::sync::Semaphore;

use crate::support::{
    Answer, Folder, effects_in, event, event_when, in_transaction, insert, inserting, is_done, joined,
    joined_with, key_of, plain, settled, worker,
};

/// Mounts each test on both kinds of runtime an application may have.
macro_rules! on_both_runtimes {
    ($($name:ident)*) => {
        mod on_one_thread {
            $(
                #[test]
                fn $name() {
                    crate::support::on_one_thread(super::$name());
                }
            )*
        }

        mod on_several_threads {
            $(
                #[test]
                fn $name() {
                    crate::support::on_several_threads(super::$name());
                }
            )*
        }
    };
}

on_both_runtimes! {
    g3_a_handlers_rows_and_the_completion_are_committed_together
    g3_a_handler_that_fails_after_writing_leaves_nothing_and_is_run_again
    g3_a_handler_that_panics_after_writing_leaves_nothing_and_is_run_again
    g3_a_handler_cut_off_in_the_middle_of_a_query_leaves_nothing_and_is_run_again
    g3_a_worker_stopped_in_the_middle_of_a_transaction_leaves_nothing_and_another_completes_it
    g3_plain_and_transactional_handlers_share_an_event
    a_commit_that_is_refused_is_a_failure_and_no_endless_loop
    a_handler_that_swallows_the_end_of_its_inner_transaction_loses_nothing_silently
    a_handler_that_rolls_back_by_itself_loses_nothing_silently
    a_handler_that_commits_by_itself_does_no_harm_to_the_store
    a_handler_whose_statement_rolled_everything_back_loses_nothing_silently
    events_are_accepted_while_a_plain_handler_runs
    a_transaction_longer_than_the_stores_time_limit_costs_other_events_nothing
    a_handler_that_waits_for_its_own_store_does_not_hang
}

fn transactional(handler: impl EventHandler<Connection>) -> Handlers<Connection> {
    Handlers::new().transactional("handler", handler)
}

async fn accept(store: &SqliteStore, key: &str) {
    assert_eq!(store.accept(joined(key, None)).await.expect("accepted"), Accepted::New);
}

async fn g3_a_handlers_rows_and_the_completion_are_committed_together() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let worker = worker(&store, transactional(inserting())).build().expect("built").spawn();
    accept(&store, "k").await;
    is_done(&store, "k").await;
    assert_eq!(folder.effects(), ["k"]);
    let event = event(&store, "k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 0, 0));
    assert_eq!(event.completed, ["handler"]);
    worker.stop(Duration::ZERO).await;
}

async fn g3_a_handler_that_fails_after_writing_leaves_nothing_and_is_run_again() {
    fails_after_writing(|_| Err(HandlerError::retry("not yet")), "handler: not yet").await;
}

async fn g3_a_handler_that_panics_after_writing_leaves_nothing_and_is_run_again() {
    fails_after_writing(|key| panic!("at {key}"), "handler: the handler panicked: at k").await;
}

async fn fails_after_writing(fail: fn(&str) -> Result<Handled, HandlerError>, note: &str) {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let handler = in_transaction(move |tx, delivery| {
        Box::pin(async move {
            assert_eq!(effects_in(tx).await?, 0, "what a failed attempt wrote");
            insert(tx, &key_of(&delivery)).await?;
            if delivery.attempt < 3 { fail(&key_of(&delivery)) } else { Ok(Handled::Done) }
        })
    });
    let _worker = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "k").await;
    is_done(&store, "k").await;
    assert_eq!(folder.effects(), ["k"]);
    let event = event(&store, "k").await;
    assert_eq!((event.failures, event.note.as_deref()), (2, Some(note)));
}

async fn g3_a_handler_cut_off_in_the_middle_of_a_query_leaves_nothing_and_is_run_again() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let handler = in_transaction(|tx, delivery| {
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            if delivery.attempt == 1 {
                tx.batch_execute(SLOW).await?;
            }
            Ok(Handled::Done)
        })
    });
    let limit = Duration::from_millis(100);
    let _worker =
        worker(&store, transactional(handler)).transaction_timeout(limit).build().expect("built").spawn();
    accept(&store, "k").await;
    let event = event_when(&store, "k", |event| event.failures == 1).await;
    assert_eq!(event.note.as_deref(), Some("handler: the handler exceeded its timeout of 100ms"));
    is_done(&store, "k").await;
    assert_eq!(folder.effects(), ["k"]);
    accept(&store, "next").await;
    is_done(&store, "next").await;
}

/// Takes SQLite about a second, much longer than the time limit above.
const SLOW: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000000) \
    SELECT count(*) FROM n";

async fn g3_a_worker_stopped_in_the_middle_of_a_transaction_leaves_nothing_and_another_completes_it() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let written = Arc::new(Semaphore::new(0));
    let tells = written.clone();
    let handler = in_transaction(move |tx, delivery| {
        let tells = tells.clone();
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            tells.add_permits(1);
            std::future::pending().await
        })
    });
    let first = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "k").await;
    let _ = written.acquire().await;
    let told = Instant::now();
    let stopped = first.stop(Duration::ZERO).await;
    assert_eq!((stopped.drained, stopped.interrupted), (0, 1));
    assert!(told.elapsed() < Duration::from_secs(3), "{:?} without a grace period", told.elapsed());
    assert_eq!(folder.effects(), Vec::<String>::new());

    let _second = worker(&store, transactional(inserting())).build().expect("built").spawn();
    is_done(&store, "k").await;
    assert_eq!(folder.effects(), ["k"]);
    let event = event(&store, "k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 0, 1));
}

async fn g3_plain_and_transactional_handlers_share_an_event() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let (before, after) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let failing_once = |runs: &Arc<AtomicUsize>| {
        let runs = runs.clone();
        plain(move |_| {
            let runs = runs.fetch_add(1, Ordering::SeqCst) + 1;
            async move { if runs == 1 { Err("not yet".into()) } else { Ok(Handled::Done) } }
        })
    };
    let handlers = Handlers::new()
        .plain("before", failing_once(&before))
        .transactional("rows", inserting())
        .plain("after", failing_once(&after));
    let _worker = worker(&store, handlers).build().expect("built").spawn();
    accept(&store, "k").await;
    is_done(&store, "k").await;
    assert_eq!(folder.effects(), ["k"], "not run again with those that failed");
    assert_eq!((before.load(Ordering::SeqCst), after.load(Ordering::SeqCst)), (2, 2));
    assert_eq!(event(&store, "k").await.failures, 1);
}

async fn a_commit_that_is_refused_is_a_failure_and_no_endless_loop() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let handler = in_transaction(move |tx, delivery| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            if key_of(&delivery) == "orphan" {
                tx.batch_execute("INSERT INTO children (parent) VALUES (4711)").await?;
            }
            Ok(Handled::Done)
        })
    });
    let _worker = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "orphan").await;
    let event = settled(&store, "orphan").await;
    assert_eq!(
        (event.state, event.failures, event.interruptions),
        (EventState::Dead, 3, 0),
        "{:?}",
        event.note
    );
    assert!(event.note.as_ref().is_some_and(|note| note.contains("FOREIGN KEY")), "{:?}", event.note);
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(folder.effects(), Vec::<String>::new());
    accept(&store, "well").await;
    is_done(&store, "well").await;
    assert_eq!(folder.effects(), ["well"]);
}

async fn a_handler_that_swallows_the_end_of_its_inner_transaction_loses_nothing_silently() {
    loses_nothing_silently(|tx| {
        Box::pin(async move {
            let inner = tx.transaction(async |tx| {
                insert(tx, "inner").await?;
                std::future::pending::<diesel::QueryResult<()>>().await
            });
            let _ = tokio::time::timeout(Duration::from_millis(50), inner).await;
            Ok(Handled::Done)
        })
    })
    .await;
}

async fn a_handler_that_rolls_back_by_itself_loses_nothing_silently() {
    loses_nothing_silently(|tx| {
        Box::pin(async move {
            tx.batch_execute("ROLLBACK").await?;
            Ok(Handled::Done)
        })
    })
    .await;
}

async fn a_handler_that_commits_by_itself_does_no_harm_to_the_store() {
    loses_nothing_silently(|tx| {
        Box::pin(async move {
            tx.batch_execute("COMMIT").await?;
            Ok(Handled::Done)
        })
    })
    .await;
}

async fn a_handler_whose_statement_rolled_everything_back_loses_nothing_silently() {
    loses_nothing_silently(|tx| {
        Box::pin(async move {
            // The second is a conflict, and the answer to it is to end the transaction.
            let _ = tx.batch_execute("INSERT OR ROLLBACK INTO uniques VALUES ('u'), ('u')").await;
            Ok(Handled::Done)
        })
    })
    .await;
}

/// Whatever a handler does to its transaction after writing a row: an event that is done has its row, and the store
/// goes on working.
async fn loses_nothing_silently(misuse: for<'t> fn(&'t mut Connection) -> Answer<'t>) {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let handler = in_transaction(move |tx, delivery| {
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            if key_of(&delivery) == "misused" { misuse(tx).await } else { Ok(Handled::Done) }
        })
    });
    let _worker = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "misused").await;
    let event = settled(&store, "misused").await;
    let rows = folder.effects().iter().filter(|row| *row == "misused").count();
    if event.state == EventState::Done {
        assert_eq!(rows, 1, "done, and its row is there");
    } else {
        assert!(event.note.is_some(), "a dead letter says why");
    }
    accept(&store, "well").await;
    is_done(&store, "well").await;
    assert_eq!(folder.effects().iter().filter(|row| *row == "well").count(), 1);
}

async fn events_are_accepted_while_a_plain_handler_runs() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let (started, told) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (starts, waits) = (started.clone(), told.clone());
    let handler = plain(move |_| {
        let (starts, waits) = (starts.clone(), waits.clone());
        async move {
            starts.add_permits(1);
            let _ = waits.acquire().await?;
            Ok(Handled::Done)
        }
    });
    let handlers = Handlers::new().plain("slow", handler);
    let _worker = worker(&store, handlers).concurrency(1).build().expect("built").spawn();
    accept(&store, "k").await;
    let _ = started.acquire().await;
    let before = Instant::now();
    for number in 0..20 {
        accept(&store, &format!("n{number}")).await;
    }
    assert!(before.elapsed() < Duration::from_secs(4), "{:?} for 20", before.elapsed());
    assert_eq!(event(&store, "k").await.state, EventState::Running);
    told.add_permits(1);
    is_done(&store, "k").await;
}

async fn a_transaction_longer_than_the_stores_time_limit_costs_other_events_nothing() {
    let folder = Folder::new();
    drop(folder.open_with_tables().await);
    let store = folder.builder().timeout(Duration::from_millis(500)).open().await.expect("opened");
    let started = Arc::new(Semaphore::new(0));
    let starts = started.clone();
    let handler = in_transaction(move |tx, delivery| {
        let starts = starts.clone();
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            if key_of(&delivery) == "slow" {
                starts.add_permits(1);
                tokio::time::sleep(Duration::from_millis(2500)).await;
            }
            Ok(Handled::Done)
        })
    });
    let _worker = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "slow").await;
    let _ = started.acquire().await;
    // Nobody can write now; whatever the answer is, the next delivery of the same event must tell the truth.
    let error = store.accept(joined_with("other", None, 1, "")).await.expect_err("not in time");
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    is_done(&store, "slow").await;
    store.accept(joined_with("other", None, 1, "")).await.expect("accepted");
    is_done(&store, "other").await;
    for key in ["slow", "other"] {
        let event = event(&store, key).await;
        assert_eq!((event.failures, event.crashes), (0, 0), "nothing failed or crashed: {event:?}");
    }
    let mut effects = folder.effects();
    effects.sort();
    assert_eq!(effects, ["other", "slow"]);
}

async fn a_handler_that_waits_for_its_own_store_does_not_hang() {
    let folder = Folder::new();
    drop(folder.open_with_tables().await);
    let store = folder.builder().timeout(Duration::from_millis(500)).open().await.expect("opened");
    let own = store.clone();
    let handler = in_transaction(move |tx, delivery| {
        let own = own.clone();
        Box::pin(async move {
            insert(tx, &key_of(&delivery)).await?;
            if key_of(&delivery) == "k" {
                let error = own.accept(joined("follow-up", None)).await.expect_err("the file is locked");
                assert_eq!(error.kind(), StoreErrorKind::Unavailable);
            }
            Ok(Handled::Done)
        })
    });
    let _worker = worker(&store, transactional(handler)).build().expect("built").spawn();
    accept(&store, "k").await;
    is_done(&store, "k").await;
    assert_eq!(event(&store, "k").await.failures, 0);
}

#[test]
fn g3_effects_exist_exactly_once() {
    const EVENTS: usize = 500;
    const SESSIONS: usize = 50;
    crate::support::on_several_threads(async {
        let folder = Folder::new();
        // Two stores on one file wait for each other's locks as two processes do.
        let stores = [folder.open_with_tables().await, folder.open().await];
        let workers: Vec<_> = [0, 1, 0, 1]
            .map(|store| worker(&stores[store], transactional(inserting())).build().expect("built").spawn())
            .into();
        let accepting = (0..EVENTS).map(|number| {
            let store = stores[number % 2].clone();
            tokio::spawn(async move {
                let (key, session) = (format!("k{number}"), format!("s{}", number % SESSIONS));
                // A sender repeats until it is told 200.
                while store.accept(joined_with(&key, Some(&session), number as i64, "")).await.is_err() {}
            })
        });
        for task in accepting.collect::<Vec<_>>() {
            task.await.expect("no panic");
        }
        for number in 0..EVENTS {
            let event = settled(&stores[0], &format!("k{number}")).await;
            assert_eq!((event.state, event.failures, event.crashes), (EventState::Done, 0, 0), "{event:?}");
        }
        let mut times: HashMap<String, usize> = HashMap::new();
        for row in folder.effects() {
            *times.entry(row).or_default() += 1;
        }
        assert_eq!(times.len(), EVENTS);
        assert!(times.values().all(|count| *count == 1), "once each");
        for worker in workers {
            assert_eq!(worker.stop(Duration::from_secs(5)).await.interrupted, 0);
        }
    });
}
