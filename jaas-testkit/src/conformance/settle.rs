//! Recording success: `complete` and `run`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{EventState, EventStore, StoreErrorKind, TxWork};
use jaas_core::{Handled, HandlerError};

use super::support::*;
use super::{DurableHarness, Harness};

pub async fn complete_settles_the_event_with_its_last_step<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    store.complete(lease, &step("a", false), &Handled::Done, at(3)).await.expect("completed");
    assert_eq!(store.only().await.state, EventState::Running);
    // After the end of its lease, but nobody has taken over.
    store.complete(lease, &step("b", true), &Handled::Done, at(16_000)).await.expect("completed");
    let event = store.only().await;
    assert_eq!((event.state, event.settled_at), (EventState::Done, Some(at(16_000))));
    assert_eq!(event.completed, ["a", "b"]);
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
    store.fail(claim.lease, &retry("mail: no", 8), at(2)).await.expect("recorded");
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
    assert_eq!(store.event("one").await.state, EventState::Done);
}

pub async fn complete_refuses_a_stale_lease<H: Harness>() {
    let harness = H::start().await;
    let (lost, live) = overtaken(&harness).await;
    let store = harness.store();
    let error = store.complete(lost, &step("h", true), &Handled::Done, at(15_001)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    let event = store.only().await;
    assert_eq!((event.state, event.completed.len()), (EventState::Running, 0));

    store.done(live).await;
    let error =
        store.complete(live, &step("h", true), &Handled::Done, at(15_002)).await.expect_err("settled");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
}

type TxOf<H> = <<H as Harness>::Store as EventStore>::Tx;

pub async fn run_commits_effects_and_completion_together<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "one"));
    assert_eq!(store.run(lease, &step("a", false), at(1), work).await.expect("committed"), Ok(Handled::Done));
    assert_eq!(store.only().await.completed, ["a"]);
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "two"));
    assert_eq!(store.run(lease, &step("b", true), at(2), work).await.expect("committed"), Ok(Handled::Done));
    let event = store.only().await;
    assert_eq!((event.state, event.settled_at), (EventState::Done, Some(at(2))));
    assert_eq!(harness.written().await, ["one", "two"]);
}

pub async fn run_rolls_back_when_the_work_fails<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lease = store.claimed_one(0).await.lease;
    let work: TxWork<TxOf<H>> = Box::new(|tx| {
        Box::pin(async {
            H::write(tx, "never").await?;
            Err(HandlerError::permanent("changed my mind"))
        })
    });
    let result = store.run(lease, &step("h", true), at(1), work).await.expect("the store is well");
    assert_eq!(result, Err(HandlerError::permanent("changed my mind")));
    assert_eq!(harness.written().await, Vec::<String>::new());
    let event = store.only().await;
    assert_eq!((event.state, event.failures, event.completed.len()), (EventState::Running, 0, 0));

    // The connection is as good as new.
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "after"));
    store.run(lease, &step("h", true), at(2), work).await.expect("committed").expect("handled");
    assert_eq!(harness.written().await, ["after"]);
}

pub async fn run_refuses_a_stale_lease<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(lone("k")).await;
    let lost = store.claimed_one(0).await.lease;
    let live = store.claimed_one(15_000).await.lease;
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "late"));
    let error = store.run(lost, &step("h", true), at(15_001), work).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(harness.written().await, Vec::<String>::new());

    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "in time"));
    store.run(live, &step("h", true), at(15_002), work).await.expect("committed").expect("handled");
    assert_eq!(harness.written().await, ["in time"]);
}
