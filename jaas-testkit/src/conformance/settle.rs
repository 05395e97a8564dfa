//! Recording success: `complete` and `run`.
#![allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]

use jaas_core::store::{
    Claim, Completion, EventAdmin, EventState, EventStore, Failure, NextClaim, Step, StoreErrorKind, TxWork,
};
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
    // After the end of its lease, but no other worker has taken over.
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
    let result = store.run(lease, &step("h", true), at(1), work).await.expect("the store works");
    assert_eq!(result.0, Err(HandlerError::permanent("changed my mind")));
    assert_eq!(harness.written().await, Vec::<String>::new());
    let event = store.only().await;
    assert_eq!((event.state, event.failures, event.completed.len()), (EventState::Running, 0, 0));

    // The connection can still be used.
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

pub async fn rehearse_rolls_back_the_writes_of_the_work<H: DurableHarness>() {
    let harness = H::start().await;
    let store = harness.store();
    let work: TxWork<<H::Store as EventStore>::Tx> = Box::new(|tx| H::write(tx, "rehearsed"));
    assert_eq!(store.rehearse(work).await.expect("run").expect("it succeeded"), Handled::Done);
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
    // An event that arrives late but happened earlier goes first.
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
    assert_eq!(store.renew(&[second.lease], at(10_000), LEASE).await.expect("renewed"), [], "a new lease");
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

/// Three events of a session, of which the first is done, so that the second is claimed, with the events that the store
/// lists behind it.
async fn second_of_four<H: Harness>(store: &H::Store) -> Claim {
    for (key, millis) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
        store.stored(event(key, Some("s"), millis)).await;
    }
    let first = store.claimed_one(10).await;
    let next = NextClaim { following: 2, ..next_claim() };
    let done = Completion { lease: first.lease, handled: vec![("h".into(), Handled::Done)] };
    let second = store.complete_all(first.lease, &[done], Some(next), at(11)).await.expect("completed");
    second.expect("the session goes on")
}

fn completion(claim: &Claim, handled: Handled) -> Completion {
    Completion { lease: claim.lease, handled: vec![("a".into(), Handled::Done), ("b".into(), handled)] }
}

pub async fn complete_all_settles_what_was_run_ahead<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let mut held = second_of_four::<H>(&store).await;
    let done: Vec<Completion> = std::iter::once(&held)
        .chain(&held.following)
        .map(|claim| completion(claim, Handled::ignored("not mine")))
        .collect();
    if let [third, fourth] = &*std::mem::take(&mut held.following) {
        // An event that arrives late but happened earlier is claimed after the second; what has already run is recorded
        // beside it.
        store.stored(event("2a", Some("s"), 2)).await;
        let late = store.complete_all(held.lease, &done[..2], Some(next_claim()), at(12)).await;
        let late = late.expect("completed").expect("the session goes on");
        assert_eq!(key_of(&late), "2a");
        assert_eq!(store.named("3").await.state, EventState::Done);
        assert_eq!((key_of(third).as_str(), key_of(fourth).as_str()), ("3", "4"));
        let beside = store.complete_all(late.lease, &done[2..], Some(next_claim()), at(13)).await;
        assert!(beside.expect("completed").is_none(), "it is not settled, so nothing is claimed after it");
        assert_eq!(store.named("2a").await.state, EventState::Running);
        let done = [completion(&late, Handled::Done)];
        let end = store.complete_all(late.lease, &done, Some(next_claim()), at(14)).await;
        assert!(end.expect("completed").is_none(), "nothing is left");
    } else {
        // A store need not list following events.
        let third = store.complete_all(held.lease, &done[..1], Some(next_claim()), at(12)).await;
        let third = third.expect("completed").expect("the session goes on");
        let done = completion(&third, Handled::Done);
        let fourth = store.complete_all(third.lease, &[done], Some(next_claim()), at(13)).await;
        store.done(fourth.expect("completed").expect("the session goes on").lease).await;
    }
    for event in store.all().await {
        assert_eq!(event.state, EventState::Done, "{}", event.idempotency_key);
    }
    assert_eq!(store.named("2").await.completed, ["a"]);
    let stats = store.stats().await.expect("counted");
    let of = |state| stats.count(state);
    assert_eq!((of(EventState::Waiting), of(EventState::Done)), (0, store.all().await.len() as u64));
    assert!(store.claimed(1_000_000).await.is_empty());
}

pub async fn complete_all_refuses_a_stale_lease<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let held = second_of_four::<H>(&store).await;
    let live = store.claimed_one(15_011).await;
    let done: Vec<Completion> =
        std::iter::once(&held).chain(&held.following).map(|claim| completion(claim, Handled::Done)).collect();
    let error = store.complete_all(held.lease, &done, None, at(15_012)).await.expect_err("stale");
    assert_eq!(error.kind(), StoreErrorKind::StaleLease);
    assert_eq!(store.named("3").await.state, EventState::Waiting);
    assert_eq!(key_of(&live), "2");
    store.done(live.lease).await;
}

pub async fn complete_all_passes_over_what_has_changed_meanwhile<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let held = second_of_four::<H>(&store).await;
    store.stored(event("other", Some("t"), 0)).await;
    let other = store.claimed_one(11).await;
    let third = store.named("3").await.id;
    store.discard(third, &note(), at(12)).await.expect("discarded");
    let of_another_session = completion(&other, Handled::Done);
    let done: Vec<Completion> = std::iter::once(completion(&held, Handled::Done))
        .chain(held.following.iter().map(|claim| completion(claim, Handled::Done)))
        .chain([of_another_session])
        .collect();
    let next = store.complete_all(held.lease, &done, Some(next_claim()), at(13)).await.expect("completed");
    assert_eq!(store.named("3").await.state, EventState::Discarded);
    assert_eq!(store.named("other").await.state, EventState::Running, "it is claimed separately");
    match next {
        Some(fourth) => assert_eq!((key_of(&fourth), held.following.len()), ("4".to_owned(), 0)),
        None => assert_eq!(store.named("4").await.state, EventState::Done),
    }
}

pub async fn following_events_are_those_that_would_run_next<H: Harness>() {
    let harness = H::start().await;
    let store = harness.store();
    let listed = |claim: &Claim| claim.following.iter().map(key_of).collect::<Vec<_>>();
    let lists_nothing_or = |claim: &Claim, keys: &[&str]| {
        let listed = listed(claim);
        assert!(listed.is_empty() || listed == keys, "{listed:?}");
    };
    let second = second_of_four::<H>(&store).await;
    lists_nothing_or(&second, &["3", "4"]);
    // An event that is not due yet ends the list.
    let next = Some(NextClaim { following: 8, ..next_claim() });
    let go_on = async |claim: &Claim, millis| {
        let done = completion(claim, Handled::Done);
        store.complete_all(claim.lease, &[done], next, at(millis)).await.expect("completed")
    };
    store.stored(event("5", Some("s"), 500)).await;
    let third = go_on(&second, 12).await.expect("the session goes on");
    lists_nothing_or(&third, &["4"]);
    let fourth = go_on(&third, 13).await.expect("the session goes on");
    assert!(fourth.following.is_empty());
    let passes = Failure { passable: true, ..retry("no", 100) };
    store.fail(fourth.lease, &passes, at(14)).await.expect("recorded");
    // Behind an event that was passed and comes back in between, nothing is listed.
    for (key, millis) in [("6", 6), ("7", 7)] {
        store.stored(event(key, Some("s"), millis)).await;
    }
    let sixth = store.claimed_one(15).await;
    assert_eq!(key_of(&sixth), "6");
    let seventh = go_on(&sixth, 16).await.expect("the session goes on");
    assert_eq!((key_of(&seventh), listed(&seventh)), ("7".to_owned(), Vec::new()));
    // An event that has crashed ends the list.
    store.done(seventh.lease).await;
    let fourth = store.claimed_one(600).await;
    store.done(fourth.lease).await;
    let crashes = store.claimed_one(601).await;
    assert_eq!(key_of(&crashes), "5");
    store.stored(event("4a", Some("s"), 4)).await;
    store.stored(event("4b", Some("s"), 5)).await;
    // Its lease expires, and it waits as a suspect behind what happened earlier.
    let earlier = store.claimed_one(20_000).await;
    assert_eq!(key_of(&earlier), "4a");
    let last = go_on(&earlier, 20_001).await.expect("the session goes on");
    assert_eq!((key_of(&last), listed(&last)), ("4b".to_owned(), Vec::new()));
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
