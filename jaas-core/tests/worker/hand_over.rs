//! Events that the store hands directly to a worker.

use std::time::Duration;

use jaas_core::store::{EventState, SessionOrder};
use tokio::task::yield_now;
use tokio::time::sleep;

use crate::worker::store::{Fault, Op, TestStore};
use crate::worker::world::{HOUR, MINUTE, SECOND, World};

#[tokio::test(start_paused = true)]
async fn a_handed_over_event_runs_immediately_without_a_claim() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    sleep(MINUTE).await;
    let claims = world.store.calls(Op::Claim);
    for number in 1..=10 {
        let accepted = world.elapsed();
        assert!(world.is_handed_over(&format!("k{number}"), Some("s")).await);
        let run = handler.wait_for(number).await.remove(number - 1);
        assert_eq!((run.at, run.attempt), (accepted, 1));
        world.is_done(&format!("k{number}")).await;
    }
    assert_eq!(world.store.calls(Op::Claim), claims);
    assert_eq!(world.event("k1").await.worker.as_deref(), Some("worker"));
}

#[tokio::test(start_paused = true)]
async fn handed_over_and_claimed_events_share_the_slots() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).concurrency(3).build().expect("built").spawn();
    sleep(MINUTE).await;
    for number in 1..=3 {
        assert!(world.is_handed_over(&format!("k{number}"), None).await);
    }
    for number in 4..=9 {
        assert!(!world.is_handed_over(&format!("k{number}"), None).await, "every slot is taken");
    }
    world.all_settled().await;
    let mut starts: Vec<Duration> = handler.runs().iter().map(|run| run.at - MINUTE).collect();
    starts.sort();
    // Collecting events that finish together takes two milliseconds.
    for (index, start) in starts.iter().enumerate() {
        let turn = u32::try_from(index / 3).expect("small");
        assert!(*start >= turn * SECOND, "more than three at the same time: {starts:?}");
        assert!(*start <= turn * SECOND + SECOND / 10, "a slot stays empty: {starts:?}");
    }
    assert_eq!(starts.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_before_the_first_claim() {
    let world = World::new();
    let handler = world.taking(SECOND);
    world.store.fail([Op::Claim], Fault::Before);
    let _worker = world.worker(&handler).poll_interval(SECOND).build().expect("built").spawn();
    sleep(MINUTE).await;
    assert!(world.store.hand_over_to().slot().is_none(), "older events may wait");
    world.store.mend();
    sleep(MINUTE).await;
    assert!(world.store.hand_over_to().slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_while_more_events_wait_than_could_be_claimed() {
    let world = World::new();
    let handler = world.taking(SECOND);
    for key in ["a", "b", "c"] {
        world.arrives(key, None, 0).await;
    }
    let _worker = world.worker(&handler).concurrency(2).build().expect("built").spawn();
    handler.wait_for(2).await;
    world.store.fail([Op::Claim], Fault::Before);
    world.is_done("a").await;
    world.is_done("b").await;
    yield_now().await;
    assert!(world.store.hand_over_to().slot().is_none(), "there is room, but it is for waiting events");
    world.store.mend();
    world.is_done("c").await;
    assert!(world.store.hand_over_to().slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_with_a_settle_window() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let order = SessionOrder { settle_window: SECOND, ..SessionOrder::default() };
    let _worker = world.worker(&handler).order(order).build().expect("built").spawn();
    sleep(MINUTE).await;
    assert!(world.store.hand_over_to().slot().is_none());
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    assert!(world.store.hand_over_to().slot().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unused_slot_is_room_for_a_waiting_event() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).concurrency(1).lease(HOUR).build().expect("built").spawn();
    sleep(MINUTE).await;
    let to = world.store.hand_over_to();
    let slot = to.slot().expect("room");
    world.arrives("k", None, 0).await;
    sleep(SECOND).await;
    assert_eq!(handler.runs().len(), 0, "its slot is taken");
    drop(slot);
    assert!(to.slot().is_none(), "older events go first");
    assert_eq!(handler.wait_for(1).await[0].at, 61 * SECOND);
    world.is_done("k").await;
    sleep(SECOND).await;
    assert!(to.slot().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_session_that_is_handed_over_is_followed_by_the_next_one() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    sleep(MINUTE).await;
    assert!(world.is_handed_over("first", Some("s")).await);
    world.arrives("second", Some("s"), 1).await;
    world.all_settled().await;
    let runs = handler.runs();
    assert_eq!((runs[0].key.as_str(), runs[0].at), ("first", MINUTE));
    assert_eq!((runs[1].key.as_str(), runs[1].at), ("second", MINUTE + SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_handed_over_event_is_renewed() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(5 * MINUTE);
    let worker = || world.worker(&handler).handler_timeout(HOUR).build().expect("built");
    let _worker = worker().spawn();
    sleep(SECOND).await;
    assert!(world.is_handed_over("k", None).await);
    handler.wait_for(1).await;
    let other = world.taking(SECOND);
    let _other = world.worker(&other).poll_interval(SECOND).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!((other.runs().len(), world.event("k").await.crashes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_to_a_worker_that_stopped() {
    let world = World::new();
    let handler = world.taking(10 * SECOND);
    let worker = world.worker(&handler).build().expect("built").spawn();
    sleep(SECOND).await;
    let to = world.store.hand_over_to();
    let taken_before = to.slot().expect("room");
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    let stopping = tokio::spawn(worker.stop(MINUTE));
    sleep(SECOND).await;
    assert!(to.is_closed() && to.slot().is_none(), "while running handlers finish");
    world.arrives("late", None, 0).await;
    let claim = world.store.claim_for(&to, jaas_core::Clock::now(&world.clock)).await;
    let lease = claim.lease;
    let refused = taken_before.give(claim).expect_err("the worker takes no new events");
    assert_eq!(refused.lease, lease, "and gives it back");
    assert_eq!(stopping.await.expect("no panic").drained, 1);
    assert!(to.is_closed() && to.slot().is_none());
    assert_eq!(handler.keys(), ["k"]);
}

#[tokio::test(start_paused = true)]
async fn an_event_handed_over_just_before_a_worker_stops_runs_within_the_grace_period() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(10 * SECOND);
    let worker = world.worker(&handler).build().expect("built").spawn();
    sleep(SECOND).await;
    assert!(world.is_handed_over("k", None).await);
    let stopped = worker.stop(MINUTE).await;
    assert_eq!((stopped.drained, stopped.interrupted), (1, 0));
    assert_eq!(world.event("k").await.state, EventState::Done);
}

#[tokio::test(start_paused = true)]
async fn an_event_handed_over_just_before_a_worker_stops_without_grace_is_given_back() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(10 * SECOND);
    let worker = world.worker(&handler).build().expect("built").spawn();
    sleep(SECOND).await;
    assert!(world.is_handed_over("k", None).await);
    let stopped = worker.stop(Duration::ZERO).await;
    assert_eq!((stopped.drained, stopped.interrupted), (0, 1));
    let event = world.event("k").await;
    assert_eq!((event.state, event.failures, event.interruptions), (EventState::Waiting, 0, 1));
}
