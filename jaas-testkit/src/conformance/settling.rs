//! `complete`, `fail`, `release` and `replay`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::StoreErrorKind;

use super::*;

/// A store with one event, claimed; the claim; and the same claim after another worker took over.
async fn overtaken<H: Harness>(harness: &H) -> Lease {
    let store = harness.store();
    store.stored(lone("k")).await;
    let lost = store.claimed_one(0).await.lease;
    let live = store.claimed_one(15_000).await.lease;
    assert_ne!(lost, live);
    lost
}

pub async fn complete_settles_the_event_with_its_last_step<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("a", false), &Handled::Done, at(3)).await.expect("completed");
    assert_eq!(store.only().await.state, EventState::Running);
    store.complete(lease, &step("b", true), &Handled::Done, at(4)).await.expect("completed");
    let event = store.only().await;
    assert_eq!((event.state, event.settled_at), (EventState::Done, Some(at(4))));
    assert!(store.claimed(1_000_000).await.is_empty());
}

pub async fn complete_remembers_which_handlers_are_done<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let claim = store.claimed_one(0).await;
    assert_eq!(claim.completed, Vec::<String>::new());
    store.complete(claim.lease, &step("audit", false), &Handled::Done, at(1)).await.expect("completed");
    store
        .complete(claim.lease, &step("lazy", false), &Handled::ignored("not mine"), at(1))
        .await
        .expect("completed");
    store.complete(claim.lease, &step("bill é", false), &Handled::Done, at(1)).await.expect("completed");
    store.fail(claim.lease, &retry("mail: no", 10), at(2)).await.expect("recorded");
    assert_eq!(store.claimed_one(10).await.completed, ["audit", "bill é"]);
    assert_eq!(store.only().await.completed, ["audit", "bill é"]);
}

pub async fn complete_is_ignored_only_when_every_handler_ignored<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("both")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("a", false), &Handled::ignored("not mine"), at(1)).await.expect("completed");
    store.complete(lease, &step("b", true), &Handled::ignored("nor mine"), at(2)).await.expect("completed");
    let event = store.only().await;
    assert_eq!((event.state, event.note.as_deref()), (EventState::Ignored, Some("nor mine")));

    store.stored(lone("one")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("a", false), &Handled::Done, at(1)).await.expect("completed");
    store.complete(lease, &step("b", true), &Handled::ignored("not mine"), at(2)).await.expect("completed");
    assert_eq!(store.all().await[1].state, EventState::Done);
}

pub async fn complete_refuses_a_stale_lease<H: Harness>() {
    let harness = H::start().await;
    let lost = overtaken(&harness).await;
    let store = harness.store();
    let error = store.complete(lost, &step("h", true), &Handled::Done, at(15_001)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    let event = store.only().await;
    assert_eq!((event.state, event.completed.len()), (EventState::Running, 0));

    let live = Lease { fence: lost.fence + 1, ..lost };
    store.done(live).await;
    let error =
        store.complete(live, &step("h", true), &Handled::Done, at(15_002)).await.expect_err("settled");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
}

pub async fn fail_counts_and_waits_until_the_given_time<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.fail(lease, &retry("disk: it is full", 500), at(1)).await.expect("recorded");
    let event = store.only().await;
    assert_eq!((event.state, event.failures, event.due_at), (EventState::Waiting, 1, at(500)));
    assert_eq!(event.note.as_deref(), Some("disk: it is full"));
    assert!(store.claimed(499).await.is_empty());
    let claim = store.claimed_one(500).await;
    assert_eq!((claim.failures, claim.attempt()), (1, 2));
}

pub async fn fail_without_another_attempt_is_a_dead_letter<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store
        .fail(lease, &Failure { error: "no such room".to_owned(), next: None }, at(7))
        .await
        .expect("recorded");
    assert!(store.claimed(1_000_000).await.is_empty());
    let query = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    let dead = store.events(&query).await.expect("listed").items;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].note.as_deref(), dead[0].settled_at, dead[0].failures),
        (Some("no such room"), Some(at(7)), 1)
    );
}

pub async fn fail_refuses_a_stale_lease<H: Harness>() {
    let harness = H::start().await;
    let lost = overtaken(&harness).await;
    let store = harness.store();
    let error = store.fail(lost, &retry("no", 0), at(15_001)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    let event = store.only().await;
    assert_eq!((event.state, event.failures), (EventState::Running, 0));
}

pub async fn release_makes_the_event_claimable_at_once<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    let mut wakeups = store.wakeups();
    wakeups.mark_unchanged();
    store.release(&[lease], at(1)).await.expect("released");
    wakeups.changed().await.expect("another worker is told");
    store.claimed_one(1).await;
}

pub async fn release_counts_an_interruption_not_a_failure<H: Harness>() {
    let harness = H::start().await;
    let lost = overtaken(&harness).await;
    let store = harness.store();
    store.release(&[lost], at(15_001)).await.expect("passed over");
    assert_eq!(store.only().await.state, EventState::Running, "a stale lease is passed over");
    store.release(&[Lease { fence: lost.fence + 1, ..lost }], at(15_001)).await.expect("released");
    let event = store.only().await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 1, 1));
}

pub async fn replay_runs_a_dead_or_ignored_event_again<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("audit", false), &Handled::Done, at(1)).await.expect("completed");
    store.fail(lease, &Failure { error: "no".to_owned(), next: None }, at(1)).await.expect("recorded");
    store.replay(lease.event, at(100)).await.expect("replayed");
    let event = store.only().await;
    assert_eq!(
        (event.state, event.failures, event.note, event.settled_at),
        (EventState::Waiting, 0, None, None)
    );
    let claim = store.claimed_one(100).await;
    assert_eq!((claim.attempt(), &claim.completed[..]), (1, &["audit".to_owned()][..]));
    assert!(claim.lease.fence > lease.fence);

    store.done(claim.lease).await;
    store.replay(lease.event, at(200)).await.expect("replayed");
    let claim = store.claimed_one(200).await;
    assert_eq!(claim.completed, Vec::<String>::new(), "every handler of a done event runs again");
}

pub async fn replay_refuses_an_event_that_is_not_settled<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let id = store.only().await.id;
    assert_eq!(store.replay(id, at(1)).await.expect_err("waiting").kind(), StoreErrorKind::NotSettled);
    store.claimed_one(0).await;
    assert_eq!(store.replay(id, at(1)).await.expect_err("running").kind(), StoreErrorKind::NotSettled);
    assert_eq!(
        store.replay(RowId::new(id.get() + 1), at(1)).await.expect_err("absent").kind(),
        StoreErrorKind::NotFound
    );
}
