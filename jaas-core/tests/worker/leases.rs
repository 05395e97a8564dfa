//! Which worker may run an event, and for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jaas_core::store::{Claim, ClaimRequest, EventState, EventStore, Step};
use jaas_core::{Clock, Handled};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::worker::world::{Acting, HOUR, MINUTE, SECOND, World};

#[tokio::test(start_paused = true)]
async fn g4_no_takeover_of_live_work() {
    let world = World::new();
    let handler = world.taking(5 * MINUTE);
    let worker = || {
        let worker = world.worker(&handler).lease(3 * SECOND).handler_timeout(HOUR).poll_interval(SECOND);
        worker.build().expect("built").spawn()
    };
    let _workers = [worker(), worker(), worker()];
    world.arrives("k", Some("s"), 0).await;
    world.is_done("k").await;
    assert_eq!(handler.runs().len(), 1);
    assert_eq!(world.elapsed(), 5 * MINUTE);
    assert_eq!(world.event("k").await.crashes, 0);
}

#[tokio::test(start_paused = true)]
async fn g4_a_handler_whose_lease_was_lost_is_aborted() {
    let world = World::new();
    let (handler, cut_off) = endless(&world);
    let _worker = world.worker(&handler).lease(15 * SECOND).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    taken_over(&world).await;
    sleep(5 * SECOND + SECOND / 5).await;
    assert_eq!(cut_off.load(Ordering::SeqCst), 1, "at the next renewal");
    let event = world.event("k").await;
    assert_eq!(
        (event.state, event.failures, event.interruptions),
        (EventState::Running, 0, 0),
        "left to the other worker"
    );

    // The slot is free for other work.
    world.arrives("k2", None, 0).await;
    handler.wait_for(2).await;
}

#[tokio::test(start_paused = true)]
async fn g4_the_outcome_of_a_run_whose_lease_was_lost_is_not_recorded() {
    for outcome in [Ok(Handled::Done), Ok(Handled::ignored("no")), Err("no")] {
        let world = World::new();
        let go_on = Arc::new(Semaphore::new(0));
        let (waits, answer) = (go_on.clone(), outcome.clone());
        let handler = world.acting(move |_| {
            let (waits, answer) = (waits.clone(), answer.clone());
            async move {
                let _ = waits.acquire().await;
                Ok(answer?)
            }
        });
        let worker = world.worker(&handler).build().expect("built").spawn();
        world.arrives("k", None, 0).await;
        handler.wait_for(1).await;
        let other = taken_over(&world).await;
        go_on.add_permits(1);
        worker.stop(SECOND).await;
        let event = world.event("k").await;
        assert_eq!((event.state, event.failures), (EventState::Running, 0), "after {outcome:?}");

        let step = Step { handler: "other".into(), last: true, next: None };
        world
            .store
            .complete(other.lease, &step, &Handled::Done, world.clock.now())
            .await
            .expect("still held");
        assert_eq!(world.event("k").await.completed, ["other"]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_event_runs_again_when_its_lease_ends() {
    let world = World::new();
    let (handler, cut_off) = endless(&world);
    let worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("k", Some("s"), 0).await;
    handler.wait_for(1).await;
    drop(worker);
    let crashed = world.elapsed();

    let next = world.taking(SECOND);
    let _worker = world.worker(&next).build().expect("built").spawn();
    let run = next.wait_for(1).await.remove(0);
    assert_eq!(cut_off.load(Ordering::SeqCst), 1, "dropping the handle aborts the handlers");
    assert_eq!(run.at - crashed, 15 * SECOND);
    assert_eq!(run.attempt, 2);
    world.is_done("k").await;
    let event = world.event("k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn g5_an_event_that_crashes_its_worker_too_often_is_a_dead_letter() {
    let world = World::new();
    let (handler, _) = endless(&world);
    world.arrives("k", None, 0).await;
    world.arrives("harmless", None, 0).await;
    for crash in 1..=3 {
        let worker = world.worker(&handler).max_crashes(3).concurrency(1).build().expect("built").spawn();
        let runs = handler.wait_for(crash).await;
        assert_eq!(runs[crash - 1].key, "k");
        drop(worker);
        sleep(15 * SECOND).await;
    }
    let calm = world.taking(SECOND);
    let _worker = world.worker(&calm).max_crashes(3).build().expect("built").spawn();
    let event = world.settled("k").await;
    assert_eq!((event.state, event.crashes, event.failures), (EventState::Dead, 3, 0));
    assert_eq!(event.note, Some(jaas_core::store::tools::crash_note(3)));
    world.is_done("harmless").await;
    assert_eq!(calm.keys(), ["harmless"]);
}

#[tokio::test(start_paused = true)]
async fn g4_a_worker_does_not_take_over_its_own_live_work_when_the_clock_jumps() {
    let world = World::new();
    let handler = world.taking(MINUTE);
    let worker = world.worker(&handler).handler_timeout(HOUR).poll_interval(SECOND);
    let _worker = worker.build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    sleep(12 * SECOND).await;
    world.clock.jump(HOUR);
    world.is_done("k").await;
    assert_eq!((world.event("k").await.crashes, handler.runs().len()), (0, 1));
}

/// A handler that never ends, and counts how often it was aborted.
fn endless(world: &World) -> (Acting, Arc<AtomicUsize>) {
    struct CutOff(Arc<AtomicUsize>);
    impl Drop for CutOff {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let handler = world.acting(move |_| {
        let cut_off = CutOff(counted.clone());
        async move {
            let _cut_off = cut_off;
            std::future::pending().await
        }
    });
    (handler, count)
}

/// Another process, whose clock is far ahead, considers the running event crashed.
async fn taken_over(world: &World) -> Claim {
    let later = world.clock.now().saturating_add(HOUR);
    let claims = world.store.claim(&ClaimRequest::new("other", later, 10)).await.expect("claimed");
    claims.into_iter().next().expect("one is running")
}
