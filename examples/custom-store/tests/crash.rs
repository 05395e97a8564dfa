//! What is left when a process dies, a disk is full, or a line is damaged.
#![cfg(unix)]

mod support;

use std::fs;
use std::sync::Arc;

use custom_store::JournalStore;
use jaas_core::signature::Tolerance;
use jaas_core::store::{
    AuditNote, ClaimRequest, EventQuery, EventState, EventStore as _, Lease, PageRequest, Retention, Step,
};
use jaas_core::{Handled, Timestamp};
use jaas_testkit::event;
use support::{SOON, Server, joined};
use tokio::task::JoinSet;

const NOW: Timestamp = Timestamp::from_secs(1_795_424_400);

fn step() -> Step {
    Step { handler: "attendance".into(), last: true }
}

async fn accept(store: &JournalStore, key: &str) {
    store.accept(event::participant_joined().key(key).in_session(key).delivery()).await.unwrap();
}

async fn keys(store: &JournalStore) -> Vec<String> {
    let page = PageRequest { after: None, limit: 1000 };
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
        // Killed in the middle: some are answered, some are not, some are being handled.
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
    // Beside the running process, as another one.
    let store = JournalStore::open(folder.path()).await.unwrap();
    let settled = tokio::time::timeout(SOON, async {
        loop {
            let stats = store.stats().await.unwrap();
            if stats.count(EventState::Waiting) + stats.count(EventState::Running) == 0 {
                return stats;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let stats = settled.await.expect("handled in time");
    let there = keys(&store).await;
    assert!(acknowledged.iter().all(|key| there.contains(key)));
    assert_eq!(stats.count(EventState::Done), there.len() as u64);
    for (key, count) in store.values("").await.unwrap() {
        assert_eq!(count, "1", "{key} was counted once");
    }
    assert_eq!(store.values("").await.unwrap().len(), there.len());
    assert_eq!(server.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_it_answers_503_and_every_200_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), Some(400)).await;
    let (mut stored, mut refused) = (Vec::new(), 0);
    for number in 0..60 {
        let key = format!("k{number}");
        let padded = joined(&key).replacen('{', &format!("{{\"padding\":\"{}\",", "x".repeat(20_000)), 1);
        match server.deliver(&padded).await {
            Some(200) => stored.push(key),
            Some(503) => refused += 1,
            other => panic!("answered {other:?}"),
        }
    }
    assert!(!stored.is_empty() && refused > 0, "{} stored, {refused} refused", stored.len());
    server.kill().await;
    let store = JournalStore::open(folder.path()).await.unwrap();
    let there = keys(&store).await;
    assert!(stored.iter().all(|key| there.contains(key)), "{stored:?} in {there:?}");
}

#[tokio::test]
async fn a_line_that_was_not_written_to_its_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let store = JournalStore::open(folder.path()).await.unwrap();
    for key in ["one", "two", "three"] {
        accept(&store, key).await;
    }
    let file = folder.path().join("journal");
    let whole = fs::read(&file).unwrap();
    drop(store);
    let last = whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    // However much of the last line got there, and whatever is in the part of it that did not.
    for length in [last + 1, last + 9, (last + whole.len()) / 2, whole.len() - 1] {
        for zeros in [0, 100] {
            let mut torn = whole[..length].to_vec();
            torn.extend(vec![0; zeros]);
            fs::write(&file, torn).unwrap();
            let store = JournalStore::open(folder.path()).await.unwrap();
            assert_eq!(keys(&store).await, ["one", "two"], "torn at {length}");
            accept(&store, "three").await;
            drop(store);
            let again = JournalStore::open(folder.path()).await.unwrap();
            assert_eq!(keys(&again).await, ["one", "two", "three"]);
        }
    }
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_any_more_is_no_crash() {
    use std::future::Future as _;
    use std::task::{Context, Poll, Waker};

    let folder = tempfile::tempdir().unwrap();
    let store = JournalStore::open(folder.path()).await.unwrap();
    accept(&store, "k").await;
    let request = ClaimRequest::new("test", Timestamp::from_millis(i64::MAX / 2), 1);
    let asked_and_dropped = || -> Vec<Lease> {
        let mut claim = Box::pin(store.claim(&request));
        match claim.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Vec::new(),
            // It was so quick that the caller has them.
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
    let claims = claims.await.expect("it can be claimed at once");
    assert_eq!(claims[0].crashes, 0);
}

#[tokio::test]
async fn damage_further_up_is_told_and_nothing_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = JournalStore::open(folder.path()).await.unwrap();
    for key in ["one", "two", "three"] {
        accept(&store, key).await;
    }
    drop(store);
    let file = folder.path().join("journal");
    let mut damaged = fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let error = JournalStore::open(folder.path()).await.expect_err("refused");
    assert!(error.to_string().contains("does not fit its checksum"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), damaged);
}

#[tokio::test]
async fn what_is_erased_is_not_in_the_folder_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = JournalStore::open(folder.path()).await.unwrap();
    let other = JournalStore::open(folder.path()).await.unwrap();
    let named = event::participant_joined().key("k").in_session("s").named("Planted Name");
    store.accept(named.delivery()).await.unwrap();
    store.accept(named.clone().set("data.more", "Planted More").delivery()).await.unwrap();
    let found = |what: &str| {
        let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
        files.filter(|bytes| String::from_utf8_lossy(bytes).contains(what)).count()
    };
    assert_eq!((found("Planted Name"), found("Planted More")), (1, 1));
    let note = AuditNote::new("operator", "asked to");
    assert_eq!(other.erase_session(&"s".into(), &note, NOW).await.unwrap(), 1);
    assert_eq!((found("Planted Name"), found("Planted More")), (0, 0));
    // Who had the old file open goes on with the new one.
    accept(&store, "after").await;
    assert_eq!(keys(&other).await, ["k", "after"]);
}

#[tokio::test]
async fn the_file_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let store = JournalStore::open(folder.path()).await.unwrap();
    let size = || fs::metadata(folder.path().join("journal")).unwrap().len();
    let retention = Retention::builder(Tolerance::default()).build().unwrap();
    let late = Timestamp::from_millis(i64::MAX / 2);
    let (mut before, mut written, mut largest) = (size(), 0, 0);
    for round in 0..8 {
        let mut accepts = JoinSet::new();
        for number in 0..600 {
            let store = store.clone();
            accepts.spawn(async move { accept(&store, &format!("{round}-{number}")).await });
        }
        accepts.join_all().await;
        let claims = store.claim(&ClaimRequest::new("test", late, 600)).await.unwrap();
        let mut completes = JoinSet::new();
        for claim in claims {
            let store = store.clone();
            completes.spawn(async move {
                store.complete(claim.lease, &step(), &Handled::Done, NOW).await.unwrap();
            });
        }
        completes.join_all().await;
        written += size().saturating_sub(before);
        largest = largest.max(size());
        store.purge(&retention, late, 1000).await.unwrap();
        before = size();
    }
    accept(&store, "last").await;
    assert!(largest * 2 < written, "{largest} at most, of {written}");
    let again = JournalStore::open(folder.path()).await.unwrap();
    assert_eq!(keys(&again).await, ["last"]);
    let last = again.events(&EventQuery::default()).await.unwrap().items[0].id;
    assert!(last.get() > 8 * 600, "numbers are not given again");
}
