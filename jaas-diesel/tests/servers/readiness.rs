//! A store on a server is ready only while it could accept an event.

use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use jaas_core::store::{Accepted, EventStore as _, StoreErrorKind};

use crate::servers::{Server, Settings, on_both_servers, repeated};

on_both_servers! {
    while_a_table_is_locked_the_store_is_not_ready
    while_no_event_can_be_inserted_the_store_is_not_ready
    checks_and_deliveries_do_not_delay_each_other
}

const LIMIT: Duration = Duration::from_millis(500);

async fn while_a_table_is_locked_the_store_is_not_ready<S: Server>(database: &S) {
    for table in ["jaas_events", "jaas_queues", "jaas_counts"] {
        let store = database.open_with(Settings::timeout(LIMIT)).await;
        let mut other = database.connection().await;
        let lock = if S::IS_POSTGRES {
            format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE")
        } else {
            format!("LOCK TABLES {table} WRITE")
        };
        other.batch_execute(&lock).await.expect("locked");
        let started = Instant::now();
        let error = store.ping().await.expect_err("no event could be accepted");
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{table}: {error}");
        assert!(started.elapsed() < 3 * LIMIT, "{table}: {:?}", started.elapsed());
        // The server may still store the event once the lock is gone, so each event has its own key.
        store.accept(repeated(&format!("during {table}"))).await.expect_err("that is so");
        other
            .batch_execute(if S::IS_POSTGRES { "ROLLBACK" } else { "UNLOCK TABLES" })
            .await
            .expect("unlocked");
        store.ping().await.unwrap_or_else(|error| panic!("{table}: ready again: {error}"));
        store.accept(repeated(table)).await.expect("accepted");
    }
}

async fn while_no_event_can_be_inserted_the_store_is_not_ready<S: Server>(database: &S) {
    let store = database.open().await;
    store.ping().await.expect("ready");
    let trigger = if S::IS_POSTGRES {
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poisoned'; END $$;
         CREATE TRIGGER poison BEFORE INSERT ON jaas_events FOR EACH ROW EXECUTE FUNCTION poison();"
    } else {
        "CREATE TRIGGER poison BEFORE INSERT ON jaas_events FOR EACH ROW
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'"
    };
    database.execute(trigger).await;
    let error = store.ping().await.expect_err("no event can be accepted");
    assert!(error.to_string().contains("poisoned"), "{error}");
    store.accept(repeated("k")).await.expect_err("that is so");
    database
        .execute(if S::IS_POSTGRES { "DROP TRIGGER poison ON jaas_events" } else { "DROP TRIGGER poison" })
        .await;
    store.ping().await.expect("ready again");
    assert_eq!(store.accept(repeated("k")).await.expect("accepted"), Accepted::New);
}

async fn checks_and_deliveries_do_not_delay_each_other<S: Server>(database: &S) {
    let store = database.open().await;
    let checking = (0..4).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..25 {
                store.ping().await.expect("ready");
            }
        })
    });
    let checking: Vec<_> = checking.collect();
    for number in 0..100 {
        let accepted = store.accept(repeated(&format!("k{number}"))).await.expect("accepted");
        assert_eq!(accepted, Accepted::New);
    }
    for checks in checking {
        checks.await.expect("no check failed");
    }
    assert_eq!(database.ask("SELECT count(*) FROM jaas_events").await, 100);
    assert_eq!(database.ask("SELECT count(*) FROM jaas_queues").await, 100);
    assert_eq!(database.ask("SELECT count(*) FROM jaas_counts WHERE slot > 15").await, 0);
}
