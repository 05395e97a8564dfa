//! What each fault does.

use std::time::Duration;

use jaas_core::signature::Tolerance;
use jaas_core::store::{
    Accepted, AuditNote, ClaimRequest, EventAdmin, EventQuery, EventState, EventStore, Lease, MemoryStore,
    PageRequest, Retention, StoreErrorKind,
};
use jaas_core::{Handled, Timestamp};
use jaas_testkit::event::{self, EventBuilder};
use jaas_testkit::{Fault, Faults, FaultyStore, Op};
use tokio::time::Instant;

const START: Timestamp = Timestamp::from_secs(1_795_420_800);
const SECOND: Duration = Duration::from_secs(1);

/// An event of a new session.
fn lone() -> EventBuilder {
    event::room_created().at(START).without("sessionId").untyped()
}

fn request(limit: usize) -> ClaimRequest {
    ClaimRequest::new("w", START, limit)
}

async fn with_events(count: usize) -> FaultyStore<MemoryStore> {
    let store = FaultyStore::new(MemoryStore::new());
    for _ in 0..count {
        store.accept(lone().delivery()).await.expect("accepted");
    }
    store
}

async fn count(store: &FaultyStore<MemoryStore>, state: EventState) -> u64 {
    store.inner().stats().await.expect("counted").count(state)
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_reveal_whether_it_happened() {
    for (fault, happened, took) in [
        (Fault::Before, false, 0),
        (Fault::After, true, 0),
        (Fault::StallBefore(30 * SECOND), false, 30),
        (Fault::StallAfter(30 * SECOND), true, 30),
        (Fault::Torn, true, 0),
    ] {
        let (store, began) = (with_events(0).await, Instant::now());
        store.script(Op::Accept, fault);
        let event = lone();
        let error = store.accept(event.delivery()).await.expect_err("as scripted");
        assert_eq!((error.kind(), error.is_transient()), (StoreErrorKind::Unavailable, true));
        assert!(error.to_string().starts_with("Accept failed, as scripted by a test"), "{error}");
        assert_eq!(began.elapsed().as_secs(), took, "{fault:?}");
        let again = if happened { Accepted::Duplicate } else { Accepted::New };
        assert_eq!(store.accept(event.delivery()).await.expect("mended"), again, "{fault:?}");
        assert_eq!((store.calls(Op::Accept), store.injected(Op::Accept)), (2, 1));
    }
}

#[tokio::test]
async fn faults_of_one_operation_leave_the_others_alone_and_come_in_order() {
    let store = with_events(1).await;
    store.script(Op::Stats, Fault::Before);
    store.script(Op::Stats, Fault::After);
    store.ping().await.expect("a sign of life");
    assert!(store.stats().await.expect_err("first").to_string().contains("nothing happened"));
    assert!(store.stats().await.expect_err("second").to_string().contains("the response was lost"));
    store.stats().await.expect("third");
}

#[tokio::test]
async fn an_outage_lasts_until_it_is_mended() {
    let store = with_events(0).await;
    store.outage([Op::Ping, Op::Stats], Fault::Before);
    store.script(Op::Ping, Fault::After);
    for how in ["the response was lost", "nothing happened", "nothing happened"] {
        assert!(store.ping().await.expect_err("out of order").to_string().contains(how));
    }
    store.stats().await.expect_err("out of order");
    store.audit(PageRequest::first()).await.expect("this operation has no fault");
    store.mend();
    store.ping().await.expect("mended");
    store.stats().await.expect("mended");
}

#[tokio::test]
async fn what_the_store_inside_refuses_is_passed_on() {
    let store = with_events(0).await;
    store.script(Op::Complete, Fault::After);
    let (lease, step) = (
        Lease { event: jaas_core::store::RowId::new(9), fence: 1 },
        jaas_core::store::Step { handler: "h".into(), last: true, next: None },
    );
    let error = store.complete(lease, &step, &Handled::Done, START).await.expect_err("no such claim");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
}

#[tokio::test]
async fn a_torn_batch_happens_in_part() {
    let store = with_events(10).await;
    store.script(Op::Claim, Fault::Torn);
    store.claim(&request(10)).await.expect_err("torn");
    assert_eq!(count(&store, EventState::Running).await, 5);
    let claims = store.claim(&request(10)).await.expect("the rest");
    assert_eq!(claims.len(), 5);

    let leases: Vec<Lease> = claims.iter().map(|claim| claim.lease).collect();
    store.script(Op::Renew, Fault::Torn);
    store.renew(&leases, START.saturating_add(10 * SECOND), 15 * SECOND).await.expect_err("torn");
    // The leases that were not renewed have expired by then, and so have those that no worker knows.
    let mut later = request(10);
    later.now = START.saturating_add(20 * SECOND);
    later.max_crashes = 9;
    let mut over = 0;
    while !store.claim(&later).await.expect("claimed").is_empty() {
        over += 1;
    }
    assert!(over > 0);
    assert_eq!(
        store.renew(&leases, later.now, SECOND).await.expect("renewed").len(),
        3,
        "2 of 5 were renewed"
    );

    let store = with_events(10).await;
    let claims = store.claim(&request(10)).await.expect("all");
    let leases: Vec<Lease> = claims.iter().map(|claim| claim.lease).collect();
    store.script(Op::Release, Fault::Torn);
    store.release(&leases, START).await.expect_err("torn");
    assert_eq!(count(&store, EventState::Waiting).await, 5);
}

#[tokio::test]
async fn a_torn_replay_or_purge_happens_in_part() {
    let store = with_events(10).await;
    let note = AuditNote::new("operator", "a test");
    for event in store.events(&EventQuery::default()).await.expect("listed").items {
        store.discard(event.id, &note, START).await.expect("discarded");
    }
    let query = EventQuery {
        state: Some(EventState::Discarded),
        page: PageRequest { limit: 6, ..PageRequest::first() },
        ..EventQuery::default()
    };
    store.script(Op::ReplayMatching, Fault::Torn);
    store.replay_matching(&query, &note, START).await.expect_err("torn");
    assert_eq!(count(&store, EventState::Waiting).await, 3);

    let retention = Retention::builder(Tolerance::default()).build().expect("the usual");
    let long_after = START.saturating_add(Duration::from_secs(10 * 365 * 24 * 3600));
    store.script(Op::Purge, Fault::Torn);
    store.purge(&retention, long_after, 4).await.expect_err("torn");
    assert_eq!(count(&store, EventState::Discarded).await, 5);
}

/// Every fault, more often than in real life.
fn often() -> Faults {
    Faults::none()
        .latency(0.3, SECOND)
        .error_before(0.2)
        .error_after(0.2)
        .torn(0.1)
        .stall(0.1, 5 * SECOND)
        .clock_jump(0.1, SECOND)
}

/// The results of a hundred calls, and how long they take.
async fn story(seed: u64, faults: Faults) -> (Vec<Option<String>>, Duration) {
    let (store, began) = (FaultyStore::new(MemoryStore::new()).seeded(seed, faults), Instant::now());
    let mut answers = Vec::new();
    for _ in 0..100 {
        answers.push(store.ping().await.err().map(|error| error.to_string()));
    }
    let outcome = answers.iter().flatten().count() as u64;
    assert_eq!((store.calls(Op::Ping), store.injected(Op::Ping)), (100, outcome));
    (answers, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_makes_the_same_faults() {
    let outcome = story(7, often()).await;
    assert_eq!(outcome, story(7, often()).await);
    assert_ne!(outcome, story(8, often()).await);
    let failed = outcome.0.iter().flatten().count();
    assert!((40..80).contains(&failed), "{failed} of 100");
    assert_eq!(story(7, often().only([Op::Accept])).await, (vec![None; 100], Duration::ZERO));
    assert_eq!(story(7, Faults::none()).await, (vec![None; 100], Duration::ZERO));
}

#[tokio::test]
async fn a_clock_that_jumps_is_wrong_until_it_is_mended() {
    const HOUR: Duration = Duration::from_secs(3600);
    let store = with_events(1).await.seeded(1, Faults::none().clock_jump(1.0, HOUR));
    let mut late = request(1);
    late.now = START.saturating_add(2 * HOUR);
    // A released event is due when the store thinks it was released.
    let now = async || {
        let claim = store.inner().claim(&late).await.expect("claimed").remove(0);
        store.release(&[claim.lease], START).await.expect("released");
        store.inner().events(&EventQuery::default()).await.expect("listed").items[0].due_at
    };
    let (first, second) = (now().await, now().await);
    assert!(first != START && second != START && first != second, "{first} {second}");
    assert!(first.duration_since(START).max(START.duration_since(first)) <= HOUR, "{first}");
    assert_eq!(store.injected(Op::Release), 0);
    store.mend();
    assert_eq!(now().await, START);
}
