//! What the store does when a handler misuses the transaction that a store on a server gives it.

use std::time::Duration;

use diesel_async::{
    AnsiTransactionManager, AsyncConnection as _, SimpleAsyncConnection as _, TransactionManager as _,
};
use jaas_core::store::{EventState, EventStore, StoreErrorKind};
use jaas_core::{Handled, HandlerError, HandlerResult, Handlers};

use crate::servers::{
    self, Answer, Server, Settings, event, event_when, in_transaction, is_done, key_of, on_both_servers,
    on_server, repeated, step, work, worker,
};

on_both_servers! {
    a_handler_that_commits_by_itself_gets_an_error
    a_handler_that_rolls_back_by_itself_gets_an_error
    a_handler_that_begins_another_transaction_gets_an_error
    a_handler_that_leaves_an_inner_transaction_open_gets_an_error
    a_handler_that_ignores_the_cut_off_of_its_inner_transaction_gets_an_error
    a_handler_that_ignores_a_cut_off_statement_confuses_no_later_call
    a_handler_that_ignores_the_cut_off_of_a_begin_confuses_no_later_call
    a_handler_that_fails_after_writing_leaves_nothing
    work_that_panics_is_rolled_back
    a_handler_that_exceeds_its_timeout_in_a_statement_is_run_again
    an_inner_transaction_that_fails_is_rolled_back_alone
    a_misused_transaction_makes_a_dead_letter_with_the_reason
    a_stale_lease_commits_nothing
}

on_server! { on_postgres: Postgres;
    a_handler_that_ignores_a_failed_statement_gets_an_error
    a_constraint_that_fails_at_the_commit_refuses_it
}

on_server! { on_mysql: Mysql;
    a_handler_that_changes_tables_gets_an_error
    a_handler_that_ignores_a_failed_statement_commits_the_others
    a_handler_whose_transaction_was_a_deadlocks_victim_gets_an_error
}

/// Writes the effect `misused` and then runs `misuse`, on a store with one connection. Afterwards a well-behaved handler must
/// succeed on that connection.
async fn misused<S, F>(database: &S, misuse: F) -> Result<HandlerResult, StoreErrorKind>
where
    S: Server,
    F: for<'t> FnOnce(&'t mut S::Connection) -> Answer<'t> + Send + 'static,
{
    let settings = Settings { pool_size: 1, ..Settings::timeout(Duration::from_secs(2)) };
    let store = database.open_with_tables(settings).await;
    let lease = servers::claimed(&store, "misused").await.lease;
    let misuse = work(move |tx: &mut S::Connection| {
        Box::pin(async move {
            servers::insert(tx, "misused").await?;
            misuse(tx).await
        })
    });
    let answer = store.run(lease, &step(), servers::now(), misuse).await;
    let state = event(&store, "misused").await.state;
    let effects = database.effects("misused").await;
    if matches!(answer, Ok((Ok(_), _))) {
        assert_eq!((state, effects), (EventState::Done, 1), "completed with its effect");
    } else {
        assert_eq!(state, EventState::Running, "not completed: {answer:?}");
    }
    let lease = servers::claimed(&store, "well").await.lease;
    let well = work(|tx: &mut S::Connection| {
        Box::pin(async move {
            servers::insert(tx, "well").await?;
            Ok(Handled::Done)
        })
    });
    let well = store.run(lease, &step(), servers::now(), well).await;
    assert_eq!(well.expect("the connection is clean, or another one").0, Ok(Handled::Done));
    assert_eq!((event(&store, "well").await.state, database.effects("well").await), (EventState::Done, 1));
    database.becomes("transactions", 0).await;
    answer.map(|(result, _)| result).map_err(|error| error.kind())
}

const ENDED: Result<HandlerResult, StoreErrorKind> = Err(StoreErrorKind::TransactionEnded);

/// Runs the statement and ignores its result.
async fn asked(tx: &mut impl diesel_async::AsyncConnection, sql: &str) {
    let _ = tx.batch_execute(sql).await;
}

async fn a_handler_that_commits_by_itself_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "COMMIT").await;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
}

async fn a_handler_that_rolls_back_by_itself_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "ROLLBACK").await;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!(database.effects("misused").await, 0);
}

async fn a_handler_that_begins_another_transaction_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "ROLLBACK").await;
            asked(tx, "BEGIN").await;
            servers::insert(tx, "again").await?;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!((database.effects("misused").await, database.effects("again").await), (0, 0));
}

async fn a_handler_that_leaves_an_inner_transaction_open_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            AnsiTransactionManager::begin_transaction(&mut *tx).await?;
            servers::insert(tx, "inner").await?;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!((database.effects("misused").await, database.effects("inner").await), (0, 0));
}

async fn a_handler_that_ignores_the_cut_off_of_its_inner_transaction_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            let inner = tx.transaction(async |tx| {
                servers::insert(tx, "inner").await?;
                std::future::pending::<diesel::QueryResult<()>>().await
            });
            let _ = tokio::time::timeout(Duration::from_millis(50), inner).await;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!((database.effects("misused").await, database.effects("inner").await), (0, 0));
}

async fn a_handler_that_ignores_a_cut_off_statement_confuses_no_later_call<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            let slow = if S::IS_POSTGRES { "SELECT pg_sleep(0.2)" } else { "SELECT SLEEP(0.2)" };
            let _ = tokio::time::timeout(Duration::from_millis(20), tx.batch_execute(slow)).await;
            Ok(Handled::Done)
        })
    });
    // The driver decides whether it can be committed. In any case it is committed with its completion, or not at all.
    if answer.await != Ok(Ok(Handled::Done)) {
        assert_eq!(database.effects("misused").await, 0);
    }
}

async fn a_handler_that_ignores_the_cut_off_of_a_begin_confuses_no_later_call<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            // Polled once, then dropped.
            tokio::select! {
                biased;
                _ = AnsiTransactionManager::begin_transaction(&mut *tx) => {}
                () = std::future::ready(()) => {}
            }
            Ok(Handled::Done)
        })
    });
    if answer.await != Ok(Ok(Handled::Done)) {
        assert_eq!(database.effects("misused").await, 0);
    }
}

async fn a_handler_that_fails_after_writing_leaves_nothing<S: Server>(database: &S) {
    let answer = misused(database, |_: &mut S::Connection| {
        Box::pin(async move { Err(HandlerError::retry("not yet")) })
    });
    assert_eq!(answer.await.expect("returned").expect_err("failed").to_string(), "not yet");
    assert_eq!(database.effects("misused").await, 0);
}

async fn work_that_panics_is_rolled_back<S: Server>(database: &S) {
    let settings = Settings { pool_size: 1, ..Settings::default() };
    let store = database.open_with_tables(settings).await;
    let lease = servers::claimed(&store, "k").await.lease;
    let panics = work(|tx: &mut S::Connection| {
        Box::pin(async move {
            servers::insert(tx, "k").await?;
            panic!("outside what the worker catches")
        })
    });
    let error = store.run(lease, &step(), servers::now(), panics).await.expect_err("it panicked");
    assert!(error.to_string().contains("panicked"), "{error}");
    database.becomes("transactions", 0).await;
    assert_eq!(database.effects("k").await, 0);
    store.ping().await.expect("another connection");
}

async fn a_handler_that_exceeds_its_timeout_in_a_statement_is_run_again<S: Server>(database: &S) {
    let store = database.open_with_tables(Settings::default()).await;
    let handler = in_transaction(|tx: &mut S::Connection, delivery| {
        Box::pin(async move {
            servers::insert(tx, &key_of(&delivery)).await?;
            if delivery.attempt == 1 {
                tx.batch_execute(if S::IS_POSTGRES { "SELECT pg_sleep(1)" } else { "SELECT SLEEP(1)" })
                    .await?;
            }
            Ok(Handled::Done)
        })
    });
    let handlers = Handlers::new().transactional("rows", handler);
    let limit = Duration::from_millis(100);
    let _worker = worker(&store, handlers).transaction_timeout(limit).build().expect("built").spawn();
    store.accept(repeated("k")).await.expect("accepted");
    let failed = event_when(&store, "k", |event| event.failures == 1).await;
    assert_eq!(failed.note.as_deref(), Some("rows: the handler exceeded its timeout of 100ms"));
    is_done(&store, "k").await;
    assert_eq!(database.effects("k").await, 1);
    store.accept(repeated("next")).await.expect("accepted");
    is_done(&store, "next").await;
    assert_eq!(database.effects("next").await, 1);
}

async fn an_inner_transaction_that_fails_is_rolled_back_alone<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            let inner = tx.transaction(async |tx| {
                servers::insert(tx, "inner").await?;
                tx.batch_execute("INSERT INTO uniques VALUES ('u'), ('u')").await
            });
            assert!(inner.await.is_err(), "not unique");
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, Ok(Ok(Handled::Done)));
    assert_eq!(database.effects("inner").await, 0);
}

async fn a_misused_transaction_makes_a_dead_letter_with_the_reason<S: Server>(database: &S) {
    let store = database.open_with_tables(Settings::default()).await;
    let handler = in_transaction(|tx: &mut S::Connection, delivery| {
        Box::pin(async move {
            servers::insert(tx, &key_of(&delivery)).await?;
            asked(tx, "ROLLBACK").await;
            Ok(Handled::Done)
        })
    });
    let handlers = Handlers::new().transactional("rows", handler);
    let _worker = worker(&store, handlers).build().expect("built").spawn();
    store.accept(repeated("k")).await.expect("accepted");
    let event = event_when(&store, "k", |event| event.state.is_settled()).await;
    assert_eq!((event.state, event.failures), (EventState::Dead, 1));
    let note = event.note.expect("a note");
    assert!(note.contains("rows: cannot commit what the handler wrote"), "{note}");
}

async fn a_stale_lease_commits_nothing<S: Server>(database: &S) {
    let store = database.open_with_tables(Settings::default()).await;
    let lease = servers::claimed(&store, "k").await.lease;
    store.complete(lease, &step(), &Handled::Done, servers::now()).await.expect("completed");
    let late = work(|tx: &mut S::Connection| {
        Box::pin(async move {
            servers::insert(tx, "k").await?;
            Ok(Handled::Done)
        })
    });
    let error = store.run(lease, &step(), servers::now(), late).await.expect_err("stale");
    assert_eq!((error.kind(), database.effects("k").await), (StoreErrorKind::StaleLease, 0));
    database.becomes("transactions", 0).await;
}

async fn a_handler_that_ignores_a_failed_statement_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "INSERT INTO uniques VALUES ('u'), ('u')").await;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!(database.effects("misused").await, 0);
}

async fn a_constraint_that_fails_at_the_commit_refuses_it<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            tx.batch_execute("INSERT INTO children VALUES (4711)").await?;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, Err(StoreErrorKind::Refused));
    assert_eq!(database.effects("misused").await, 0);
}

async fn a_handler_that_changes_tables_gets_an_error<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "CREATE TABLE more (id BIGINT PRIMARY KEY)").await;
            Ok(Handled::Done)
        })
    });
    // The statement commits what was written before it.
    assert_eq!(answer.await, ENDED);
}

async fn a_handler_that_ignores_a_failed_statement_commits_the_others<S: Server>(database: &S) {
    let answer = misused(database, |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "INSERT INTO uniques VALUES ('u'), ('u')").await;
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, Ok(Ok(Handled::Done)));
}

async fn a_handler_whose_transaction_was_a_deadlocks_victim_gets_an_error<S: Server>(database: &S) {
    database.execute("CREATE TABLE locks (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)").await;
    database.execute("INSERT INTO locks VALUES (1, 0), (2, 0)").await;
    let mut other = database.connection().await;
    // The other transaction has written more, so the handler is the victim.
    other.batch_execute("BEGIN").await.expect("begun");
    for id in 10..200 {
        other.batch_execute(&format!("INSERT INTO locks VALUES ({id}, 0)")).await.expect("written");
    }
    other.batch_execute("UPDATE locks SET n = 1 WHERE id = 2").await.expect("locked");
    let answer = misused(database, move |tx: &mut S::Connection| {
        Box::pin(async move {
            asked(tx, "UPDATE locks SET n = 1 WHERE id = 1").await;
            let crosses = tokio::spawn(async move {
                other.batch_execute("UPDATE locks SET n = 1 WHERE id = 1; COMMIT").await
            });
            tokio::time::sleep(Duration::from_millis(100)).await;
            let victim = tx.batch_execute("UPDATE locks SET n = 1 WHERE id = 2").await;
            assert!(victim.is_err(), "a deadlock");
            crosses.await?.expect("not the victim");
            Ok(Handled::Done)
        })
    });
    assert_eq!(answer.await, ENDED);
    assert_eq!(database.effects("misused").await, 0);
}
