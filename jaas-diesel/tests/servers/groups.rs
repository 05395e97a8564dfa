//! Groups: events that a store on a server commits together.

use std::collections::HashMap;
use std::time::Duration;

use jaas_core::store::{Accepted, EventAdmin as _, EventStore as _, PageRequest, StoreErrorKind};
use jaas_core::{Delivery, Timestamp};

use crate::servers::{Server, Settings, joined_at, on_both_servers, on_server, repeated};

on_both_servers! {
    of_many_simultaneous_repetitions_one_is_new_and_conflicts_are_listed_once
    two_stores_agree_on_what_is_new
    an_event_for_which_the_queue_has_no_room_is_refused_immediately
}

on_server! { on_postgres: Postgres;
    large_events_at_the_same_time_are_all_stored
    one_event_that_cannot_be_stored_does_not_fail_the_others
}

on_server! { on_mysql: Mysql;
    large_events_at_the_same_time_are_all_stored
    one_event_that_cannot_be_stored_does_not_fail_the_others
}

async fn one_event_that_cannot_be_stored_does_not_fail_the_others<S: Server>(database: &S) {
    let store = database.open().await;
    let trigger = if S::IS_POSTGRES {
        "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN IF new.idempotency_key = 'k33' THEN RAISE 'poisoned'; END IF; RETURN new; END $$;
         CREATE TRIGGER poison BEFORE INSERT ON jaas_events FOR EACH ROW EXECUTE FUNCTION poison();"
    } else {
        "CREATE TRIGGER poison BEFORE INSERT ON jaas_events FOR EACH ROW
         IF new.idempotency_key = 'k33' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'poisoned'; END IF"
    };
    database.execute(trigger).await;
    let accepting = (0..64).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(repeated(&format!("k{number}"))).await })
    });
    for (number, accepting) in accepting.collect::<Vec<_>>().into_iter().enumerate() {
        match accepting.await.expect("no panic") {
            Ok(accepted) => assert_eq!((accepted, number == 33), (Accepted::New, false)),
            Err(error) => {
                assert_eq!((number, error.kind()), (33, StoreErrorKind::Unavailable), "{error}");
                assert!(error.to_string().contains("poisoned"), "{error}");
            }
        }
    }
    assert_eq!(database.ask("SELECT count(*) FROM jaas_events").await, 63);
    assert_eq!(store.accept(repeated("after")).await.expect("accepted"), Accepted::New);
}

/// One of three bodies of this key.
fn with_body(key: &str, body: usize) -> Delivery {
    joined_at(key, None, Timestamp::from_millis(1), &"x".repeat(body))
}

async fn of_many_simultaneous_repetitions_one_is_new_and_conflicts_are_listed_once<S: Server>(database: &S) {
    let store = database.open().await;
    at_once::<S>(&[store]).await;
}

async fn two_stores_agree_on_what_is_new<S: Server>(database: &S) {
    let (one, other) = tokio::join!(database.open(), database.open());
    at_once::<S>(&[one, other]).await;
}

/// 300 tasks with ten keys of three bodies each.
async fn at_once<S: Server>(stores: &[S::Store]) {
    let accepting = (0..300).map(|number| {
        let store = stores[number % stores.len()].clone();
        let (key, body) = (number / 3 % 10, number % 3);
        tokio::spawn(async move {
            let answer = store.accept(with_body(&format!("k{key}"), body)).await;
            (key, body, answer.expect("accepted"))
        })
    });
    let mut new: HashMap<usize, usize> = HashMap::new();
    let mut counts: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
    for accepting in accepting.collect::<Vec<_>>() {
        let (key, body, accepted) = accepting.await.expect("no panic");
        let (duplicates, conflicts) = counts.entry((key, body)).or_default();
        match accepted {
            Accepted::New => assert!(new.insert(key, body).is_none(), "k{key} was new twice"),
            Accepted::Duplicate => *duplicates += 1,
            Accepted::Conflict => *conflicts += 1,
            _ => panic!("{accepted:?}"),
        }
    }
    assert_eq!(new.len(), 10);
    for ((key, body), counted) in counts {
        let wanted = if new[&key] == body { (9, 0) } else { (0, 10) };
        assert_eq!(counted, wanted, "duplicates and conflicts of k{key} with body {body}");
    }
    let listed = stores[0].conflicts(PageRequest::first()).await.expect("listed").items;
    assert_eq!(listed.len(), 20, "two bodies of each key");
    assert!(listed.iter().all(|conflict| conflict.seen == 10), "{listed:?}");
}

async fn an_event_for_which_the_queue_has_no_room_is_refused_immediately<S: Server>(database: &S) {
    let store = database.open_with(Settings { queue: 4, ..Settings::default() }).await;
    let accepting = (0..300).map(|number| {
        let store = store.clone();
        tokio::spawn(async move { store.accept(repeated(&format!("k{number}"))).await })
    });
    let (mut stored, mut refused) = (0, 0);
    for accepting in accepting.collect::<Vec<_>>() {
        match accepting.await.expect("no panic") {
            Ok(accepted) => {
                assert_eq!(accepted, Accepted::New);
                stored += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Overloaded, "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "a queue of four");
    assert_eq!(database.ask("SELECT count(*) FROM jaas_events").await, stored);
}

async fn large_events_at_the_same_time_are_all_stored<S: Server>(database: &S) {
    let store = database.open_with(Settings::timeout(Duration::from_secs(10))).await;
    // Together more than a server takes in one packet.
    let large = "x".repeat(1 << 20);
    let accepting = (0..24).map(|number| {
        let delivery = joined_at(&format!("k{number}"), None, Timestamp::from_millis(1), &large);
        let store = store.clone();
        tokio::spawn(async move { store.accept(delivery).await })
    });
    for accepting in accepting.collect::<Vec<_>>() {
        assert_eq!(accepting.await.expect("no panic").expect("accepted"), Accepted::New);
    }
}
