//! Durability, and `run` in stores with transactions.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::HandlerError;
use jaas_core::store::{StoreErrorKind, TxWork};

use super::*;

type TxOf<H> = <<H as Harness>::Store as EventStore>::Tx;

pub async fn accept_is_durable_before_it_answers<H: DurableHarness>() {
    let harness = H::start().await;
    harness.store().stored(lone("k")).await;
    let reopened = harness.reopened().await;
    assert_eq!(reopened.only().await.body, lone("k").body());
    assert_eq!(reopened.accept(lone("k")).await.expect("accepted"), Accepted::Duplicate);
}

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
