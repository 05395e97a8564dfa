//! What is left after a process dies, the power fails, the disk is full, or a row is damaged.
#![cfg(unix)]

mod support;

use std::future::Future as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use custom_store::{Redb, RedbStore, Transaction};
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    ClaimRequest, EventAdmin as _, EventQuery, EventState, EventStore as _, Lease, PageRequest, Retention,
    Step, StoreErrorKind, TxWork,
};
use jaas_core::{Handled, Timestamp};
use jaas_testkit::event;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use support::power::Recorder;
use support::{SOON, Server, joined};
use tokio::task::JoinSet;

const LATE: Timestamp = Timestamp::from_millis(i64::MAX / 2);
const ATTENDANCE: TableDefinition<'_, (&str, &str), u64> = TableDefinition::new("attendance");

fn step() -> Step {
    Step { handler: "attendance".into(), last: true, next: None }
}

async fn open(folder: &Path) -> (Arc<Database>, RedbStore) {
    over(Database::create(folder.join("jaas.redb")).unwrap()).await
}

async fn over(database: Database) -> (Arc<Database>, RedbStore) {
    let database = Arc::new(database);
    let store = Redb::store(database.clone()).await.unwrap();
    (database, store)
}

async fn accept(store: &RedbStore, key: &str) {
    store.accept(event::participant_joined().key(key).in_session(key).delivery()).await.unwrap();
}

async fn keys(store: &RedbStore) -> Vec<String> {
    let page = PageRequest { limit: 1000, ..PageRequest::first() };
    let page = store.events(&EventQuery { page, ..EventQuery::default() }).await.unwrap();
    page.items.into_iter().map(|event| event.idempotency_key.into_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_after_the_2xx_loses_nothing_and_counts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..4 {
        let server = Arc::new(Server::start(folder.path()).await);
        let mut deliveries = JoinSet::new();
        for number in 0..50 {
            let (server, key) = (server.clone(), format!("r{round}-{number}"));
            deliveries.spawn(async move { (server.deliver(&joined(&key)).await, key) });
        }
        // Killed in the middle: some requests have a reply, some do not, some events are being handled.
        while deliveries.len() > 10 {
            if let (Some(200), key) = deliveries.join_next().await.unwrap().unwrap() {
                acknowledged.push(key);
            }
        }
        deliveries.shutdown().await;
        Arc::into_inner(server).expect("no other owner").kill().await;
    }
    assert!(acknowledged.len() >= 100, "{}", acknowledged.len());
    let server = Server::start(folder.path()).await;
    assert_eq!(server.deliver(&joined("last")).await, Some(200));
    assert_eq!(server.terminate().await, Some(0));

    let (database, store) = open(folder.path()).await;
    let there = keys(&store).await;
    assert!(acknowledged.iter().all(|key| there.contains(key)));
    // The rest, which none of the servers handled. Events that ran when a server was killed come one at a time.
    let mut request = ClaimRequest::new("test", LATE, 1000);
    request.max_crashes = u32::MAX;
    let mut claims = store.claim(&request).await.unwrap();
    while let Some(claim) = claims.pop() {
        let session = store.event(claim.lease.event).await.unwrap().unwrap().session_id.unwrap();
        let work: TxWork<Transaction> = Box::new(move |transaction| {
            transaction.write(move |tables| {
                let mut attendance = tables.open_table(ATTENDANCE)?;
                let before = attendance.get((session.as_str(), "joined"))?.map_or(0, |count| count.value());
                attendance.insert((session.as_str(), "joined"), before + 1)?;
                Ok(())
            });
            Box::pin(async { Ok(Handled::Done) })
        });
        store.run(claim.lease, &step(), LATE, work).await.unwrap().0.unwrap();
        claims.extend(store.claim(&request).await.unwrap());
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(stats.count(EventState::Done), there.len() as u64);
    let attendance = database.begin_read().unwrap().open_table(ATTENDANCE).unwrap();
    let counts = attendance.iter().unwrap().map(|row| row.unwrap().1.value());
    assert_eq!(counts.collect::<Vec<_>>(), vec![1; there.len()], "each is counted once");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_returns_503_and_every_200_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), Some(4096)).await;
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..60 {
        let key = format!("k{number}");
        let padded = joined(&key).replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(200_000)), 1);
        match server.deliver(&padded).await {
            Some(200) => stored.push(key),
            Some(503) => refused += 1,
            other => panic!("status {other:?}"),
        }
    }
    assert!(!stored.is_empty() && refused > 0, "{} stored, {refused} refused", stored.len());
    server.kill().await;
    let (_, store) = open(folder.path()).await;
    let there = keys(&store).await;
    assert!(stored.iter().all(|key| there.contains(key)), "{stored:?} in {there:?}");
}

#[tokio::test]
async fn a_power_cut_at_any_write_loses_nothing_that_was_acknowledged() {
    let disk = Recorder::default();
    let (database, store) = over(disk.database()).await;
    let mut acknowledged = Vec::new();
    for number in 0..6 {
        accept(&store, &format!("k{number}")).await;
        acknowledged.push(disk.written());
    }
    drop((store, database));
    // Any of the writes since the last sync may have reached the disk.
    for cut in acknowledged[0]..=acknowledged[5] {
        for luck in [0, 0x5555_5555_5555_5555, 0xaaaa_aaaa_aaaa_aaaa, u64::MAX] {
            let (_, store) = over(disk.after_a_power_cut(cut, luck).database()).await;
            let there = keys(&store).await;
            let promised = acknowledged.iter().filter(|written| **written <= cut).count();
            assert!(there.len() == promised || there.len() == promised + 1, "{there:?} at write {cut}");
            accept(&store, "after").await;
        }
    }
}

#[tokio::test]
async fn a_claim_whose_caller_is_gone_is_not_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (_, store) = open(folder.path()).await;
    accept(&store, "k").await;
    let request = ClaimRequest::new("test", LATE, 1);
    let asked_and_dropped = || -> Vec<Lease> {
        let mut claim = Box::pin(store.claim(&request));
        match claim.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Vec::new(),
            // The call was so quick that the caller has them.
            Poll::Ready(claimed) => claimed.unwrap().iter().map(|claim| claim.lease).collect(),
        }
    };
    // Dropped before its turn, in it, or after it.
    for _ in 0..200 {
        let leases = asked_and_dropped();
        if !leases.is_empty() {
            store.release(&leases, request.now).await.unwrap();
        }
        tokio::task::yield_now().await;
    }
    let claims = tokio::time::timeout(SOON, async {
        loop {
            let claims = store.claim(&request).await.unwrap();
            if !claims.is_empty() {
                return claims;
            }
        }
    });
    let claims = claims.await.expect("it can be claimed immediately");
    assert_eq!(claims[0].crashes, 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_reported_and_nothing_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let (database, store) = open(folder.path()).await;
    accept(&store, "k").await;
    let events: TableDefinition<'_, i64, &[u8]> = TableDefinition::new("jaas_events");
    let damage = database.begin_write().unwrap();
    damage.open_table(events).unwrap().insert(1, &b"no row"[..]).unwrap();
    damage.commit().unwrap();
    let error = store.events(&EventQuery::default()).await.expect_err("damaged");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let error = store.claim(&ClaimRequest::new("test", LATE, 1)).await.expect_err("damaged");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let events = database.begin_read().unwrap().open_table(events).unwrap();
    assert_eq!(events.get(1).unwrap().unwrap().value(), b"no row");
}

#[tokio::test]
async fn the_file_does_not_grow_forever() {
    let folder = tempfile::tempdir().unwrap();
    let (database, store) = open(folder.path()).await;
    let size = || std::fs::metadata(folder.path().join("jaas.redb")).unwrap().len();
    let retention = Retention::builder(Tolerance::default()).build().unwrap();
    let mut sizes = Vec::new();
    for round in 0..8 {
        for number in 0..5 {
            let key = format!("{round}-{number}");
            let padded = event::participant_joined().key(&*key).in_session(&*key);
            store.accept(padded.named(&"x".repeat(100_000)).delivery()).await.unwrap();
        }
        for claim in store.claim(&ClaimRequest::new("test", LATE, 100)).await.unwrap() {
            store.complete(claim.lease, &step(), &Handled::Done, Timestamp::from_secs(0)).await.unwrap();
        }
        assert_eq!(store.purge(&retention, LATE, 1000).await.unwrap().events, 5);
        sizes.push(size());
    }
    assert!(sizes[7] <= sizes[3], "{sizes:?}");
    accept(&store, "last").await;
    drop((store, database));
    let (_, again) = open(folder.path()).await;
    assert_eq!(keys(&again).await, ["last"]);
    let last = again.events(&EventQuery::default()).await.unwrap().items[0].id;
    assert!(last.get() > 8 * 5, "row numbers are not used again");
}
