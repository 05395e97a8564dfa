//! What a store on a server returns while another session holds a lock, and afterwards.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

use diesel_async::SimpleAsyncConnection as _;
use jaas_core::Handled;
use jaas_core::store::{Accepted, EventAdmin as _, EventState, EventStore as _, StoreError, StoreErrorKind};

use crate::servers::{
    self, Mysql, Server, Settings, event, on_both_servers, on_server, repeated, request, step, works_again,
};

const LIMIT: Duration = Duration::from_millis(300);

on_both_servers! {
    calls_do_not_wait_for_a_table_lock_longer_than_the_timeout
    calls_do_not_wait_for_a_row_lock_longer_than_the_timeout
    calls_do_not_wait_for_a_connection_longer_than_the_timeout
    an_accept_that_failed_for_a_lock_is_new_or_a_duplicate_when_it_is_repeated
    results_after_a_lock_belong_to_their_calls
}

on_server! { on_postgres: Postgres;
    a_claim_that_was_not_in_time_holds_no_event
    an_event_handed_over_too_late_is_not_held
}

on_server! { on_mysql: Mysql;
    the_server_stops_waiting_for_a_table_when_the_store_does
    statements_on_the_pool_wait_for_a_table_for_a_minute_or_as_long_as_a_call
}

async fn not_in_time<T: Debug>(call: &str, answer: impl Future<Output = Result<T, StoreError>>) {
    let started = Instant::now();
    let error = answer.await.expect_err(call);
    let took = started.elapsed();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{call}: {error}");
    assert!(took < LIMIT + Duration::from_secs(1), "{call} took {took:?}");
}

/// Locks these tables: no other session reads or writes them until [`unlock`].
async fn lock<S: Server>(connection: &mut S::Connection, tables: &[&str]) {
    let sql = if S::IS_POSTGRES {
        format!("BEGIN; LOCK TABLE {}", tables.join(", "))
    } else {
        format!("LOCK TABLES {} WRITE", tables.join(" WRITE, "))
    };
    connection.batch_execute(&sql).await.expect("locked");
}

async fn unlock<S: Server>(connection: &mut S::Connection) {
    let sql = if S::IS_POSTGRES { "COMMIT" } else { "UNLOCK TABLES" };
    connection.batch_execute(sql).await.expect("unlocked");
}

/// Fails if the store still has an open transaction or a connection in use.
async fn nothing_leaked<S: Server>(database: &S, store: &S::Store) {
    database.becomes("transactions", 0).await;
    let started = Instant::now();
    loop {
        let (connections, idle) = S::pool(store);
        if connections == idle {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(3), "{idle} of {connections} connections are idle");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn calls_do_not_wait_for_a_table_lock_longer_than_the_timeout<S: Server>(database: &S) {
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let claim = servers::claimed(&store, "running").await;
    let mut other = database.connection().await;
    lock::<S>(&mut other, &["jaas_events", "jaas_migrations", "jaas_queues"]).await;
    not_in_time("accept", store.accept(repeated("k"))).await;
    not_in_time("claim", store.claim(&request(1))).await;
    not_in_time("ping", store.ping()).await;
    not_in_time("stats", store.stats()).await;
    not_in_time("next_due", store.next_due(servers::now())).await;
    not_in_time("renew", store.renew(&[claim.lease], servers::now(), LIMIT)).await;
    not_in_time("complete", store.complete(claim.lease, &step(), &Handled::Done, servers::now())).await;
    not_in_time("release", store.release(&[claim.lease], servers::now())).await;
    unlock::<S>(&mut other).await;
    works_again(&store, "after", Duration::from_secs(2)).await;
    nothing_leaked(database, &store).await;
}

async fn calls_do_not_wait_for_a_row_lock_longer_than_the_timeout<S: Server>(database: &S) {
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let claim = servers::claimed(&store, "k").await;
    store.accept(repeated("waits")).await.expect("accepted");
    let mut other = database.connection().await;
    let begin = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; BEGIN";
    other.batch_execute(begin).await.expect("begun");
    // Locks both queues: that of the running event and that of the waiting one.
    other.batch_execute("UPDATE jaas_queues SET fence = fence").await.expect("locked");
    not_in_time("complete", store.complete(claim.lease, &step(), &Handled::Done, servers::now())).await;
    not_in_time("renew", store.renew(&[claim.lease], servers::now(), LIMIT)).await;
    assert_eq!(store.claim(&request(10)).await.expect("it skips what is locked").len(), 0);
    assert_eq!(store.accept(repeated("other")).await.expect("another row"), Accepted::New);
    other.batch_execute("COMMIT").await.expect("unlocked");
    works_again(&store, "after", Duration::from_secs(2)).await;
    // An earlier call may have been done meanwhile.
    match store.complete(claim.lease, &step(), &Handled::Done, servers::now()).await {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::StaleLease, "{error}"),
    }
    assert_eq!(event(&store, "k").await.state, EventState::Done);
    nothing_leaked(database, &store).await;
}

async fn calls_do_not_wait_for_a_connection_longer_than_the_timeout<S: Server>(database: &S) {
    let settings = Settings { pool_size: 1, ..Settings::timeout(LIMIT) };
    let store = database.open_with(settings).await;
    let lease = servers::claimed(&store, "k").await.lease;
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let waits = servers::work(move |_: &mut S::Connection| {
        Box::pin(async move {
            let _ = released.await;
            Ok(Handled::Done)
        })
    });
    let own = store.clone();
    let run = tokio::spawn(async move { own.run(lease, &step(), servers::now(), waits).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    not_in_time("ping", store.ping()).await;
    not_in_time("stats", store.stats()).await;
    assert_eq!(store.accept(repeated("other")).await.expect("on its own connection"), Accepted::New);
    let _ = release.send(());
    assert_eq!(run.await.expect("no panic").expect("committed").0, Ok(Handled::Done));
    works_again(&store, "after", Duration::from_secs(1)).await;
    nothing_leaked(database, &store).await;
}

async fn an_accept_that_failed_for_a_lock_is_new_or_a_duplicate_when_it_is_repeated<S: Server>(database: &S) {
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let mut other = database.connection().await;
    lock::<S>(&mut other, &["jaas_events"]).await;
    let accepting = (0..20).map(|number| {
        let store = store.clone();
        tokio::spawn(
            async move { not_in_time("accept", store.accept(repeated(&format!("k{number}")))).await },
        )
    });
    for accepting in accepting.collect::<Vec<_>>() {
        accepting.await.expect("no panic");
    }
    unlock::<S>(&mut other).await;
    for number in 0..20 {
        let key = format!("k{number}");
        let started = Instant::now();
        while let Err(error) = store.accept(repeated(&key)).await {
            assert!(started.elapsed() < Duration::from_secs(2), "{error}");
        }
        assert_eq!(store.accept(repeated(&key)).await.expect("repeated"), Accepted::Duplicate);
        assert_eq!(database.rows(&key).await, 1);
    }
    assert_eq!(store.stats().await.expect("counted").conflicts, 0);
    nothing_leaked(database, &store).await;
}

async fn results_after_a_lock_belong_to_their_calls<S: Server>(database: &S) {
    let settings = Settings { pool_size: 1, ..Settings::timeout(LIMIT) };
    let store = database.open_with(settings).await;
    for number in 0..5 {
        store.accept(repeated(&format!("k{number}"))).await.expect("accepted");
    }
    for _ in 0..3 {
        let mut other = database.connection().await;
        lock::<S>(&mut other, &["jaas_queues"]).await;
        not_in_time("next_due", store.next_due(servers::now())).await;
        not_in_time("claim", store.claim(&request(1))).await;
        unlock::<S>(&mut other).await;
        works_again(&store, "k0", Duration::from_secs(2)).await;
        for number in 0..5 {
            let key = format!("k{number}");
            assert_eq!(event(&store, &key).await.idempotency_key.to_string(), key);
            let due = store.next_due(servers::now()).await.expect("returned");
            assert!(due.held_back && due.after.is_none(), "{due:?}");
            assert_eq!(store.stats().await.expect("counted").count(EventState::Waiting), 5);
        }
    }
    nothing_leaked(database, &store).await;
}

async fn a_claim_that_was_not_in_time_holds_no_event<S: Server>(database: &S) {
    let settings = Settings { pool_size: 1, ..Settings::timeout(LIMIT) };
    let store = database.open_with(settings).await;
    // Prepares the statements.
    servers::claimed(&store, "before").await;
    store.accept(repeated("k")).await.expect("accepted");
    let mut other = database.connection().await;
    // The table can be read, so the claim gets as far as its update.
    other.batch_execute("BEGIN; LOCK TABLE jaas_queues IN SHARE MODE").await.expect("locked");
    not_in_time("claim", store.claim(&request(1))).await;
    other.batch_execute("COMMIT").await.expect("unlocked");
    let started = Instant::now();
    loop {
        if let Some(claim) = store.claim(&request(1)).await.expect("claimed").pop() {
            assert_eq!((claim.crashes, claim.interruptions), (0, 0));
            break;
        }
        let event = event(&store, "k").await;
        assert!(started.elapsed() < Duration::from_secs(2), "held although no worker has it: {event:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn an_event_handed_over_too_late_is_not_held<S: Server>(database: &S) {
    use jaas_core::store::hand_over::HandOver;
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(4));
    let (to, mut handed_over) = HandOver::new("w", slots, Duration::from_secs(15));
    to.set_open(true);
    store.hand_over(to);
    // Prepares the statements.
    store.accept(repeated("before")).await.expect("accepted");
    handed_over.recv().await.expect("handed over");
    let mut other = database.connection().await;
    other.batch_execute("BEGIN; LOCK TABLE jaas_events IN SHARE MODE").await.expect("locked");
    not_in_time("accept", store.accept(repeated("k"))).await;
    other.batch_execute("COMMIT").await.expect("unlocked");
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The sender repeats it.
    store.accept(repeated("k")).await.expect("accepted");
    if handed_over.try_recv().is_err() {
        let claims = store.claim(&request(1)).await.expect("claimed");
        assert_eq!(claims.len(), 1, "held although no worker has it: {:?}", event(&store, "k").await);
    }
}

async fn the_server_stops_waiting_for_a_table_when_the_store_does(database: &Mysql) {
    const WAITING: &str = "SELECT count(*) FROM information_schema.processlist \
                           WHERE db = DATABASE() AND state = 'Waiting for table metadata lock'";
    let store = database.open_with(Settings::timeout(LIMIT)).await;
    let claim = servers::claimed(&store, "running").await;
    let mut other = database.connection().await;
    lock::<Mysql>(&mut other, &["jaas_events", "jaas_queues"]).await;
    let (request, step, now) = (request(1), step(), servers::now());
    tokio::join!(
        not_in_time("accept", store.accept(repeated("k"))),
        not_in_time("claim", store.claim(&request)),
        not_in_time("complete", store.complete(claim.lease, &step, &Handled::Done, now)),
        database.becomes(WAITING, 3),
    );
    // The tables are still locked.
    database.becomes(WAITING, 0).await;
    unlock::<Mysql>(&mut other).await;
    works_again(&store, "after", Duration::from_secs(2)).await;
}

async fn statements_on_the_pool_wait_for_a_table_for_a_minute_or_as_long_as_a_call(database: &Mysql) {
    for (timeout, wanted) in [(1, 60), (90, 90)] {
        let store = database.open_with(Settings::timeout(Duration::from_secs(timeout))).await;
        let mut connection = store.pool().get().await.expect("a connection");
        let limit = "SELECT CAST(@@SESSION.lock_wait_timeout AS SIGNED)";
        assert_eq!(Mysql::number(&mut connection, limit).await.expect("asked"), wanted);
    }
}
