//! What the worker does while the store is unavailable, and after.

use std::time::Duration;

use jaas_core::store::EventState;
use jaas_core::{Backoff, Handled, Handlers};
use tokio::time::sleep;

use crate::worker::store::{EVERY_OP, Fault, Op};
use crate::worker::world::{HOUR, MINUTE, SECOND, World, within};

#[tokio::test(start_paused = true)]
async fn the_worker_waits_for_the_store_and_continues_by_itself() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).poll_interval(SECOND).build().expect("built").spawn();
    world.store.fail(EVERY_OP, Fault::Before);
    world.arrives("k", None, 0).await;
    sleep(10 * MINUTE).await;
    assert_eq!(handler.runs().len(), 0);
    let tries = world.store.calls(Op::Claim);
    assert!((100..2000).contains(&tries), "{tries} tries in ten minutes");
    world.store.mend();
    within(5 * SECOND, world.is_done("k")).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_polls_rarely_does_not_wait_out_its_poll_interval_after_an_outage() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).poll_interval(HOUR).build().expect("built").spawn();
    world.store.fail(EVERY_OP, Fault::Before);
    world.arrives("during", None, 0).await;
    sleep(30 * MINUTE).await;
    world.store.mend();
    world.arrives("after", None, 0).await;
    within(MINUTE, world.all_settled()).await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_due_time_is_an_outage_too() {
    let world = World::new();
    let handler = world.taking(SECOND);
    world.store.fail_times(Op::NextDue, 3);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    sleep(MINUTE).await;
    world.arrives("k", None, 0).await;
    within(2 * SECOND, world.is_done("k")).await;
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_could_not_be_recorded_is_recorded_after_the_outage() {
    for outcome in [Ok(Handled::Done), Ok(Handled::ignored("no")), Err("no")] {
        let world = World::new();
        let answer = outcome.clone();
        let handler = world.acting(move |_| {
            let answer = answer.clone();
            async move {
                sleep(SECOND).await;
                Ok(answer?)
            }
        });
        let backoff = Backoff::default().max_failures(1);
        let _worker = world.worker(&handler).backoff(backoff).build().expect("built").spawn();
        world.arrives("k", None, 0).await;
        handler.wait_for(1).await;
        world.store.fail(EVERY_OP, Fault::Before);
        sleep(10 * SECOND).await;
        assert_eq!(world.event("k").await.state, EventState::Running);
        world.store.mend();
        let event = within(2 * SECOND, world.settled("k")).await;
        let expected = match outcome {
            Ok(Handled::Done) => EventState::Done,
            Ok(_) => EventState::Ignored,
            Err(_) => EventState::Dead,
        };
        assert_eq!((event.state, event.crashes), (expected, 0));
        assert_eq!(handler.runs().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_lease_runs_nothing_twice() {
    for moment in moments_in_a_renewal_interval() {
        let world = World::new();
        let handler = world.taking(SECOND);
        let _worker = world.worker(&handler).poll_interval(SECOND).build().expect("built").spawn();
        for number in 0..10 {
            world.arrives(&format!("k{number}"), None, 0).await;
        }
        handler.wait_for(10).await;
        world.store.fail(EVERY_OP, Fault::Before);
        sleep(2 * MINUTE + moment).await;
        world.store.mend();
        within(MINUTE, world.all_settled()).await;
        for number in 0..10 {
            let event = world.event(&format!("k{number}")).await;
            assert_eq!((event.state, event.crashes), (EventState::Done, 0), "mended at {moment:?}");
        }
        assert_eq!(handler.runs().len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_worker_does_not_take_over_its_own_live_work_after_an_outage() {
    for moment in moments_in_a_renewal_interval() {
        let world = World::new();
        let handler = world.taking(2 * MINUTE);
        let worker = world.worker(&handler).handler_timeout(HOUR).poll_interval(SECOND);
        let _worker = worker.build().expect("built").spawn();
        world.arrives("k", None, 0).await;
        handler.wait_for(1).await;
        world.store.fail(EVERY_OP, Fault::Before);
        sleep(MINUTE + moment).await;
        world.store.mend();
        world.is_done("k").await;
        let crashes = world.event("k").await.crashes;
        assert_eq!((crashes, handler.runs().len()), (0, 1), "mended at {moment:?}");
    }
}

/// When an outage may end, between two renewals: what the worker tries first afterwards differs.
fn moments_in_a_renewal_interval() -> impl Iterator<Item = Duration> {
    (0..5000).step_by(90).map(Duration::from_millis)
}

#[tokio::test(start_paused = true)]
async fn an_outcome_whose_response_was_lost_is_not_produced_again() {
    let world = World::new();
    let handler = world.returning(|delivery| match delivery.attempt {
        1 => Err("no".into()),
        _ => Ok(Handled::Done),
    });
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.store.fail([Op::Complete, Op::Fail, Op::Run], Fault::After);
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    sleep(MINUTE).await;
    assert_eq!(handler.runs().len(), 2);
    let event = world.event("k").await;
    assert_eq!((event.state, event.failures, event.crashes), (EventState::Done, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handler_continues_while_its_lease_cannot_be_renewed() {
    let world = World::new();
    let handler = world.taking(MINUTE);
    let _worker = world.worker(&handler).lease(30 * SECOND).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    handler.wait_for(1).await;
    sleep(5 * SECOND).await;
    world.store.fail_times(Op::Renew, 1);
    world.is_done("k").await;
    assert_eq!((world.elapsed(), handler.runs().len()), (MINUTE, 1));
}

#[tokio::test(start_paused = true)]
async fn after_one_failed_renewal_the_worker_still_notices_new_events() {
    let world = World::new();
    let handler = world.taking(MINUTE);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("long", None, 0).await;
    handler.wait_for(1).await;
    world.store.fail_times(Op::Renew, 1);
    sleep(12 * SECOND).await;
    assert_eq!(world.store.calls(Op::Renew), 2, "the first failed, the second succeeded");
    world.arrives("new", None, 0).await;
    let runs = within(SECOND, handler.wait_for(2)).await;
    assert_eq!(runs[1].key, "new");
}

#[tokio::test(start_paused = true)]
async fn an_outage_inside_transactions_is_waited_out_and_is_not_a_failure_of_the_handler() {
    let world = World::new();
    let handler = world.returning(|_| Ok(Handled::Done));
    let handlers = Handlers::new().transactional("handler", handler.clone());
    let _worker = world.worker_with(handlers).poll_interval(SECOND).build().expect("built").spawn();
    world.store.fail_times(Op::Run, 20);
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    assert!(world.elapsed() > Duration::from_secs(2), "20 tries within {:?} of an outage", world.elapsed());
    let event = world.event("k").await;
    assert_eq!((event.failures, event.crashes, handler.runs().len()), (0, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn g3_a_transaction_whose_response_was_lost_does_not_run_again() {
    let world = World::new();
    let (first, second) = (world.returning(|_| Ok(Handled::Done)), world.returning(|_| Ok(Handled::Done)));
    let handlers =
        Handlers::new().transactional("first", first.clone()).transactional("second", second.clone());
    let _worker = world.worker_with(handlers).build().expect("built").spawn();
    world.store.fail([Op::Run], Fault::After);
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    sleep(MINUTE).await;
    assert_eq!((first.runs().len(), second.runs().len()), (1, 1));
    assert_eq!(world.event("k").await.failures, 0);
}
