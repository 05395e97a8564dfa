//! How a worker ends when it is stopped.

use std::time::Duration;

use jaas_core::StopReport;
use jaas_core::store::EventState;
use tokio::time::sleep;

use crate::worker::store::{Fault, Op};
use crate::worker::world::{MINUTE, SECOND, World};

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_running_handlers_and_takes_no_new_events() {
    let world = World::new();
    let handler = world.taking(10 * SECOND);
    let worker = world.worker(&handler).concurrency(2).build().expect("built").spawn();
    for key in ["a", "b", "c"] {
        world.arrives(key, None, 0).await;
    }
    handler.wait_for(2).await;
    sleep(3 * SECOND).await;
    let stopped = worker.stop(MINUTE).await;
    assert_eq!((stopped.drained, stopped.interrupted), (2, 0));
    assert_eq!(world.elapsed(), 10 * SECOND, "no longer than needed");
    let states = [world.event("a").await.state, world.event("b").await.state, world.event("c").await.state];
    assert_eq!(states, [EventState::Done, EventState::Done, EventState::Waiting]);
    assert_eq!(handler.runs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_immediately() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let worker = world.worker(&handler).build().expect("built").spawn();
    sleep(SECOND).await;
    let is_alive = worker.liveness();
    assert!(is_alive());
    assert_eq!(worker.stop(MINUTE).await, StopReport::default());
    assert!(!is_alive());
    assert_eq!(world.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_worker_runs_without_a_separate_task_until_its_stop_future_resolves() {
    let world = World::new();
    let handler = world.taking(10 * SECOND);
    world.arrives("k", None, 0).await;
    let worker = world.worker(&handler).build().expect("built");
    let stop = async {
        handler.wait_for(1).await;
        MINUTE
    };
    let stopped = worker.run(stop).await;
    assert_eq!((stopped.drained, stopped.interrupted), (1, 0));
    assert_eq!(world.event("k").await.state, EventState::Done);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_outlasts_the_grace_period_is_given_back_and_another_worker_runs_it_immediately() {
    let world = World::new();
    let handler = world.acting(|delivery| async move {
        let short = delivery.envelope.idempotency_key == "short";
        sleep(if short { SECOND } else { MINUTE }).await;
        Ok(jaas_core::Handled::Done)
    });
    let worker = world.worker(&handler).build().expect("built").spawn();
    let next = world.taking(SECOND);
    world.arrives("short", None, 0).await;
    world.arrives("long", Some("s"), 0).await;
    handler.wait_for(2).await;
    let _next = world.worker(&next).build().expect("built").spawn();
    let stopped = worker.stop(10 * SECOND).await;
    assert_eq!((stopped.drained, stopped.interrupted), (1, 1));
    assert_eq!(world.elapsed(), 10 * SECOND);

    let run = next.wait_for(1).await.remove(0);
    assert_eq!((run.key.as_str(), run.at, run.attempt), ("long", 10 * SECOND, 2));
    world.is_done("long").await;
    let event = world.event("long").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn frequent_interruptions_are_not_failures() {
    let world = World::new();
    let handler = world.taking(MINUTE);
    world.arrives("k", None, 0).await;
    for restart in 1..=30 {
        let worker = world.worker(&handler).build().expect("built").spawn();
        handler.wait_for(restart).await;
        let stopped = worker.stop(Duration::ZERO).await;
        assert_eq!((stopped.drained, stopped.interrupted), (0, 1));
    }
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.is_done("k").await;
    let event = world.event("k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 0, 30));
}

#[tokio::test(start_paused = true)]
async fn g4_leases_are_renewed_during_the_grace_period() {
    let world = World::new();
    let handler = world.taking(50 * SECOND);
    let worker = world.worker(&handler).lease(3 * SECOND).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    let other = world.taking(SECOND);
    let _other = world.worker(&other).poll_interval(SECOND).build().expect("built").spawn();
    let stopped = worker.stop(MINUTE).await;
    assert_eq!((stopped.drained, stopped.interrupted), (1, 0));
    assert_eq!(world.event("k").await.state, EventState::Done);
    assert_eq!(other.runs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_does_not_make_stopping_longer_than_the_grace_period() {
    for grace in [Duration::ZERO, 2 * SECOND, 12 * SECOND] {
        for op in [Op::Claim, Op::Renew] {
            let world = World::new();
            let handler = world.taking(MINUTE);
            let worker = world.worker(&handler).build().expect("built").spawn();
            world.arrives("k", None, 0).await;
            handler.wait_for(1).await;
            world.store.fail([op], Fault::StallBefore(30 * SECOND));
            // Wakes the worker, which asks for more.
            world.arrives("k2", None, 0).await;
            sleep(6 * SECOND).await;
            let asked_at = world.elapsed();
            let stopped = worker.stop(grace).await;
            let took = world.elapsed() - asked_at;
            assert!(took <= grace + SECOND / 10, "{took:?} and not {grace:?}, {op:?} is slow");
            assert!(stopped.interrupted >= 1);
            assert_eq!(world.event("k").await.interruptions, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_could_not_be_given_back_runs_again_when_its_lease_ends() {
    let world = World::new();
    let handler = world.taking(MINUTE);
    let worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    world.store.fail([Op::Release], Fault::Before);
    assert_eq!(worker.stop(Duration::ZERO).await.interrupted, 1);

    let next = world.taking(SECOND);
    let _next = world.worker(&next).build().expect("built").spawn();
    assert_eq!(next.wait_for(1).await[0].at, 15 * SECOND);
    world.is_done("k").await;
}
