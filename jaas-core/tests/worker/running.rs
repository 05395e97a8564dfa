//! When events run, and in which order.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use jaas_core::Handled;
use jaas_core::store::{EventState, SessionOrder};
use jaas_core::{Backoff, HandlerError};
use tokio::time::sleep;

use crate::worker::store::TestStore;
use crate::worker::world::{Acting, HOUR, MINUTE, SECOND, World};

#[tokio::test(start_paused = true)]
async fn an_accepted_event_is_handled_immediately_and_not_at_the_next_poll() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    sleep(MINUTE).await;
    for (number, key) in ["first", "second"].into_iter().enumerate() {
        let accepted = world.elapsed();
        world.arrives(key, None, 0).await;
        let run = handler.wait_for(number + 1).await.remove(number);
        assert!(run.at - accepted < SECOND / 100, "woken after {:?}, polled every hour", run.at - accepted);
        assert_eq!(run.attempt, 1);
        world.is_done(key).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_stored_before_the_worker_started_is_handled_immediately() {
    let world = World::new();
    let handler = world.taking(SECOND);
    world.arrives("k", Some("s"), 0).await;
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.is_done("k").await;
    assert_eq!(world.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn work_that_nothing_announced_is_found_within_the_poll_interval() {
    let world = World::over(TestStore::silent());
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).poll_interval(10 * SECOND).build().expect("built").spawn();
    sleep(MINUTE + SECOND).await;
    world.arrives("k", None, 0).await;
    let run = handler.wait_for(1).await.remove(0);
    assert!(run.at <= 71 * SECOND, "{:?}", run.at);
}

#[tokio::test(start_paused = true)]
async fn no_more_handlers_run_concurrently_than_allowed() {
    let world = World::new();
    let (running, handler) = counting(&world);
    for number in 0..20 {
        world.arrives(&format!("k{number}"), None, 0).await;
    }
    let _worker = world.worker(&handler).concurrency(3).build().expect("built").spawn();
    world.all_settled().await;
    assert_eq!(running.lock().expect("unpoisoned").most, 3);
    assert_eq!(world.elapsed(), 7 * SECOND, "and no slot stays empty");
    assert_eq!(handler.runs().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn sessions_run_in_parallel_and_each_one_event_at_a_time_earliest_first() {
    let world = World::new();
    let (running, handler) = counting(&world);
    for (session, happened) in
        [("a", 30), ("b", 20), ("a", 10), ("c", 40), ("a", 20), ("c", 10), ("b", 10), ("c", 20)]
    {
        world.arrives(&format!("{session}{happened}"), Some(session), happened).await;
    }
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.all_settled().await;
    let of = |session: &str| -> Vec<String> {
        handler.keys().into_iter().filter(|key| key.starts_with(session)).collect()
    };
    assert_eq!(of("a"), ["a10", "a20", "a30"]);
    assert_eq!(of("b"), ["b10", "b20"]);
    assert_eq!(of("c"), ["c10", "c20", "c40"]);
    let running = running.lock().expect("unpoisoned");
    assert_eq!((running.most, running.two_of_a_session), (3, false));
    assert_eq!(world.elapsed(), 3 * SECOND, "as long as the longest session");
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_holds_its_session_for_a_while_and_then_lets_it_pass() {
    let world = World::new();
    let handler = world.returning(|delivery| match delivery.envelope.idempotency_key.as_str() {
        "failing" => Err(HandlerError::retry_after(10 * SECOND, "no")),
        _ => Ok(Handled::Done),
    });
    world.arrives("later", Some("s"), 20).await;
    world.arrives("failing", Some("s"), 10).await;
    let order = SessionOrder { hold_failures: 2, ..SessionOrder::default() };
    let backoff = Backoff::default().max_failures(4);
    let _worker = world.worker(&handler).order(order).backoff(backoff).build().expect("built").spawn();
    world.all_settled().await;
    assert_eq!(handler.keys(), ["failing", "failing", "later", "failing", "failing"]);
    assert_eq!(handler.runs()[2].at, 10 * SECOND, "as soon as it lets pass");
    assert_eq!(world.event("failing").await.state, EventState::Dead);
    assert_eq!(world.event("later").await.state, EventState::Done);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_event_that_arrives_within_the_settle_window_overtakes() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let order = SessionOrder { settle_window: 5 * SECOND, ..SessionOrder::default() };
    let _worker = world.worker(&handler).order(order).build().expect("built").spawn();
    world.arrives("left", Some("s"), 2).await;
    sleep(2 * SECOND).await;
    world.arrives("joined", Some("s"), 1).await;
    world.all_settled().await;
    assert_eq!(handler.keys(), ["joined", "left"]);
    assert_eq!(handler.runs()[0].at, 7 * SECOND, "it waits out its own window");
    assert_eq!(handler.runs()[1].at, 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_late_event_runs_although_later_ones_are_done() {
    let world = World::new();
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("left", Some("s"), 2).await;
    world.is_done("left").await;
    world.arrives("joined", Some("s"), 1).await;
    world.is_done("joined").await;
    assert_eq!(handler.keys(), ["left", "joined"]);
}

#[tokio::test(start_paused = true)]
async fn two_workers_share_the_work_and_no_event_runs_twice() {
    let world = World::new();
    let (running, handler) = counting(&world);
    let worker = || world.worker(&handler).concurrency(5).build().expect("built").spawn();
    let _workers = [worker(), worker()];
    sleep(SECOND).await;
    for number in 0..40 {
        world.arrives(&format!("k{number}"), None, 0).await;
    }
    world.all_settled().await;
    assert_eq!(running.lock().expect("unpoisoned").most, 10);
    let keys: HashSet<String> = handler.keys().into_iter().collect();
    assert_eq!((keys.len(), handler.runs().len()), (40, 40));
    assert!(world.elapsed() < HOUR, "without waiting for a poll");
}

#[derive(Default)]
struct Running {
    now: Vec<Option<String>>,
    most: usize,
    two_of_a_session: bool,
}

/// A handler that takes a second and records which sessions run at the same time.
fn counting(world: &World) -> (Arc<Mutex<Running>>, Acting) {
    let running = Arc::new(Mutex::new(Running::default()));
    let noted = running.clone();
    let handler = world.acting(move |delivery| {
        let noted = noted.clone();
        async move {
            let session = delivery.envelope.session_id.map(|session| session.to_string());
            {
                let mut running = noted.lock().expect("unpoisoned");
                running.two_of_a_session |= session.is_some() && running.now.contains(&session);
                running.now.push(session.clone());
                running.most = running.most.max(running.now.len());
            }
            sleep(SECOND).await;
            let mut running = noted.lock().expect("unpoisoned");
            let place = running.now.iter().position(|other| *other == session).expect("is running");
            running.now.swap_remove(place);
            Ok(Handled::Done)
        }
    });
    (running, handler)
}
