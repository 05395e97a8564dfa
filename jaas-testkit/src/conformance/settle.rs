//! Recording success: `complete` and `run`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{EventAdmin, EventState, EventStore, Failure, Step, StoreErrorKind, TxWork};
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
    assert_eq!(store.named("one").await.state, EventState::Done);
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
    assert_eq!(
        store.run(lease, &step("a", false), at(1), work).await.expect("committed").0,
        Ok(Handled::Done)
    );
    assert_eq!(store.only().await.completed, ["a"]);
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "two"));
    assert_eq!(
        store.run(lease, &step("b", true), at(2), work).await.expect("committed").0,
        Ok(Handled::Done)
    );
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
    assert_eq!(result.0, Err(HandlerError::permanent("changed my mind")));
    assert_eq!(harness.written().await, Vec::<String>::new());
    let event = store.only().await;
    assert_eq!((event.state, event.failures, event.completed.len()), (EventState::Running, 0, 0));

    // The connection is as good as new.
    let work: TxWork<TxOf<H>> = Box::new(|tx| H::write(tx, "after"));
    store.run(lease, &step("h", true), at(2), work).await.expect("committed").0.expect("handled");
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
    store.run(live, &step("h", true), at(15_002), work).await.expect("committed").0.expect("handled");
    assert_eq!(harness.written().await, ["in time"]);
}

pub async fn rehearse_rolls_back_what_the_work_has_written<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    let work: TxWork<<H::Store as EventStore>::Tx> = Box::new(|tx| H::write(tx, "rehearsed"));
    assert_eq!(store.rehearse(work).await.expect("run").expect("it ran well"), Handled::Done);
    let work: TxWork<<H::Store as EventStore>::Tx> = Box::new(|tx| {
        Box::pin(async move {
            H::write(tx, "rehearsed too").await?;
            Err(HandlerError::permanent("no"))
        })
    });
    assert_eq!(store.rehearse(work).await.expect("run").expect_err("it failed").to_string(), "no");
    assert_eq!(harness.written().await, Vec::<String>::new());
}

pub async fn complete_goes_on_with_the_next_event_of_the_session<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    for (key, session, millis) in [("a1", "a", 10), ("a3", "a", 30), ("b", "b", 0)] {
        let mut delivery = event(key, Some(session), millis);
        delivery.received_at = at(0);
        store.stored(delivery).await;
    }
    let claims = store.claimed(100).await;
    let first = claims.iter().find(|claim| key_of(claim) == "a1").expect("claimed");
    // One that arrives late and happened earlier goes first.
    let mut late = event("a2", Some("a"), 20);
    late.received_at = at(0);
    store.stored(late).await;
    let not_last = Step { last: false, ..going_on("h") };
    assert!(
        store.complete(first.lease, &not_last, &Handled::Done, at(101)).await.expect("completed").is_none()
    );
    let second =
        store.complete(first.lease, &going_on("h"), &Handled::Done, at(101)).await.expect("completed");
    let second = second.expect("the session goes on");
    assert_eq!((key_of(&second), second.attempt()), ("a2".to_owned(), 1));
    assert!(store.claimed(102).await.is_empty(), "the session is still claimed");
    let stale = store.complete(first.lease, &going_on("h"), &Handled::Done, at(102)).await;
    assert_eq!(stale.expect_err("it is settled").kind(), StoreErrorKind::StaleLease);
    assert_eq!(
        store.renew(&[second.lease], at(10_000), LEASE).await.expect("renewed"),
        [],
        "a lease of its own"
    );
    let ignored = Handled::ignored("not mine");
    let third = store.complete(second.lease, &going_on("h"), &ignored, at(20_000)).await.expect("completed");
    let third = third.expect("the session goes on");
    assert_eq!(key_of(&third), "a3");
    assert!(
        store.claimed(34_999).await.iter().all(|claim| key_of(claim) == "b"),
        "it holds for a whole lease"
    );
    let end =
        store.complete(third.lease, &going_on("h"), &Handled::Done, at(34_999)).await.expect("completed");
    assert!(end.is_none(), "nothing is left");
    assert_eq!(store.named("a2").await.state, EventState::Ignored);
}

pub async fn fail_goes_on_only_past_an_event_that_may_be_passed<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    store.stored(event("first", Some("s"), 0)).await;
    store.stored(event("second", Some("s"), 1)).await;
    let holds = Failure { next: Some(next_claim()), ..retry("no", 100) };
    let first = store.claimed_one(10).await;
    assert!(store.fail(first.lease, &holds, at(10)).await.expect("recorded").is_none());
    assert!(store.claimed(109).await.is_empty(), "it holds back the second");
    let first = store.claimed_one(110).await;
    let passes = Failure { passable: true, ..holds };
    let second = store.fail(first.lease, &passes, at(110)).await.expect("recorded").expect("it is passed");
    assert_eq!(key_of(&second), "second");
    store.stored(event("third", Some("s"), 2)).await;
    let back =
        store.complete(second.lease, &going_on("h"), &Handled::Done, at(210)).await.expect("completed");
    let back = back.expect("the first is due again");
    assert_eq!((key_of(&back), back.failures), ("first".to_owned(), 2));
    let dead = Failure { next: Some(next_claim()), ..final_failure("no") };
    let third = store.fail(back.lease, &dead, at(211)).await.expect("recorded").expect("the session goes on");
    assert_eq!(key_of(&third), "third");
}
