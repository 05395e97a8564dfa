//! Commits of the SQLite store: groups of writes, their failures, and flushing to the disk.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use jaas_core::Handled;
use jaas_core::store::{Accepted, EventStore as _, Step, StoreErrorKind, TxWork};
use jaas_diesel::SqliteStore;
use jaas_diesel::sqlite::Connection;

use crate::support::{EVENTS, Folder, events_with_key, insert, joined, joined_with, now, request};

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
async fn one_write_that_fails_does_not_fail_those_committed_with_it() {
    for raise in ["ABORT", "FAIL", "ROLLBACK"] {
        let folder = Folder::new();
        let store = folder.open().await;
        folder.execute(&format!(
            "CREATE TRIGGER poison BEFORE INSERT ON jaas_events WHEN new.idempotency_key = 'poison'
             BEGIN SELECT RAISE({raise}, 'poisoned'); END"
        ));
        // While the first write waits for the lock, the others queue behind it and go into one commit.
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
        let mut results = Vec::new();
        for accepting in accepting {
            results.push(accepting.await.expect("no panic").map_err(|error| error.kind()));
        }
        let poisoned = Err(StoreErrorKind::Unavailable);
        let new = Ok(Accepted::New);
        assert_eq!(results, [new, new, poisoned, new, Ok(Accepted::Duplicate)], "RAISE({raise})");
        assert_eq!(folder.number(EVENTS), 3);
    }
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
async fn g1_commits_are_flushed_to_the_disk_before_the_call_returns() {
    let folder = Folder::new();
    let store = folder.open_with_tables().await;
    let journal = "SELECT journal_mode = 'wal' FROM pragma_journal_mode";
    assert_eq!(folder.number(journal), 1);
    // Only the writing connection can read its own settings, so a trigger reads them.
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

/// Accepts so many events from 64 callers at the same time.
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
