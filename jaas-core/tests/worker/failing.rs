//! The outcome of events whose handler fails.

use std::time::Duration;

use jaas_core::store::{AuditNote, EventAdmin, EventQuery, EventState};
use jaas_core::{Backoff, Handled, HandlerError, Handlers};

use crate::worker::world::{Acting, HOUR, MINUTE, Run, SECOND, World};

#[tokio::test(start_paused = true)]
async fn a_failing_handler_runs_again_after_a_growing_back_off_with_growing_attempts() {
    let world = World::new();
    let handler = failing_until(&world, 5);
    let backoff = Backoff::default().initial_delay(10 * SECOND).max_delay(40 * SECOND);
    let _worker = world.worker(&handler).backoff(backoff).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    let runs = handler.runs();
    let attempts: Vec<u32> = runs.iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5]);
    for (wait, base) in waits(&runs).into_iter().zip([10, 20, 40, 40]) {
        assert!(
            wait >= base * SECOND && wait <= 2 * base * SECOND + SECOND,
            "{wait:?}, not {base} s to twice that"
        );
    }
    let event = world.event("k").await;
    assert_eq!((event.failures, event.crashes, event.interruptions), (4, 0, 0));
    assert_eq!(event.note.as_deref(), Some("handler: no (4)"), "the last error stays visible");
}

#[tokio::test(start_paused = true)]
async fn g5_an_event_with_exhausted_attempts_is_a_dead_letter_with_its_last_error() {
    let world = World::new();
    let handler = failing_until(&world, u32::MAX);
    let backoff = Backoff::default().max_failures(3);
    let _worker = world.worker(&handler).backoff(backoff).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.settled("k").await;
    assert_eq!((event.state, event.failures), (EventState::Dead, 3));
    let note = event.note.expect("a note");
    assert!(note.contains("3 failures") && note.ends_with("handler: no (3)"), "{note}");
    assert_eq!(handler.runs().len(), 3);

    let dead = EventQuery { state: Some(EventState::Dead), ..EventQuery::default() };
    assert_eq!(world.store.events(&dead).await.expect("listed").items.len(), 1);
    let note = AuditNote::new("operator", "the handler is fixed");
    world.store.replay(event.id, &note, jaas_core::Clock::now(&world.clock)).await.expect("replayed");
    let runs = handler.wait_for(4).await;
    assert_eq!(runs[3].attempt, 1, "as if new");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_a_later_retry_gets_it_within_the_longest_wait() {
    let world = World::new();
    let handler = world.returning(|delivery| match delivery.attempt {
        1 => Err(HandlerError::retry_after(10 * SECOND, "moved")),
        2 => Err(HandlerError::retry_after(HOUR, "moved far away")),
        _ => Ok(Handled::Done),
    });
    let backoff = Backoff::default().max_delay(MINUTE);
    let _worker = world.worker(&handler).backoff(backoff).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.is_done("k").await;
    assert_eq!(waits(&handler.runs()), [10 * SECOND, MINUTE]);
}

#[tokio::test(start_paused = true)]
async fn g5_a_permanent_failure_is_a_dead_letter_immediately() {
    let world = World::new();
    let handler = world.returning(|_| Err(HandlerError::permanent("no such meeting")));
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.settled("k").await;
    assert_eq!((event.state, event.failures), (EventState::Dead, 1));
    assert_eq!(event.note.as_deref(), Some("handler: no such meeting"));
    assert_eq!(world.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_that_is_retried() {
    let world = World::new();
    let handler = world.returning(|delivery| {
        assert!(delivery.attempt > 1, "not on the first attempt");
        Ok(Handled::Done)
    });
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.event_when("k", |event| event.failures == 1).await;
    assert_eq!(event.note.as_deref(), Some("handler: the handler panicked: not on the first attempt"));
    world.is_done("k").await;
    assert_eq!(handler.runs().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn exceeding_the_timeout_is_a_failure_that_is_retried() {
    let world = World::new();
    let handler = world.acting(|delivery| async move {
        if delivery.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Handled::Done)
    });
    let _worker = world.worker(&handler).handler_timeout(20 * SECOND).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.event_when("k", |event| event.failures == 1).await;
    assert_eq!(world.elapsed(), 20 * SECOND);
    assert_eq!(event.note.as_deref(), Some("handler: the handler exceeded its timeout of 20s"));
    world.is_done("k").await;
    assert_eq!(event.crashes, 0, "its lease was renewed until then");
}

#[tokio::test(start_paused = true)]
async fn a_handler_with_its_own_timeout_has_that_one_and_the_others_the_workers() {
    let world = World::new();
    let hanging = world.acting(|delivery| async move {
        if delivery.attempt == 1 {
            std::future::pending::<()>().await;
        }
        Ok(Handled::Done)
    });
    let handlers = Handlers::new()
        .plain("long", hanging.clone())
        .timeout("long", 50 * SECOND)
        .plain("plain", hanging.clone())
        .transactional("short", hanging.clone())
        .timeout("short", 2 * SECOND)
        .transactional("transactional", hanging.clone());
    let worker = world.worker_with(handlers).handler_timeout(20 * SECOND).transaction_timeout(5 * SECOND);
    let _worker = worker.build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    let event = world.event_when("k", |event| event.failures == 1).await;
    let note = [("long", 50), ("plain", 20), ("short", 2), ("transactional", 5)]
        .map(|(name, limit)| format!("{name}: the handler exceeded its timeout of {limit}s"));
    assert_eq!(event.note, Some(note.join("; ")));
    assert_eq!(world.elapsed(), (50 + 20 + 2 + 5) * SECOND);
    world.is_done("k").await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_event_does_not_hold_up_other_sessions() {
    let world = World::new();
    let handler = world.returning(|delivery| match delivery.envelope.idempotency_key.as_str() {
        "failing" => Err("no".into()),
        _ => Ok(Handled::Done),
    });
    let _worker = world.worker(&handler).concurrency(1).build().expect("built").spawn();
    world.arrives("failing", Some("a"), 0).await;
    world.arrives("other", Some("b"), 1).await;
    world.arrives("lone", None, 2).await;
    world.is_done("other").await;
    world.is_done("lone").await;
    assert!(world.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn g5_an_event_that_no_handler_implements_is_ignored_and_can_be_found() {
    struct Nothing;
    impl jaas_core::EventHandler for Nothing {}
    let world = World::new();
    let _worker =
        world.worker_with(Handlers::new().plain("nothing", Nothing)).build().expect("built").spawn();
    world.arrives("k", None, 0).await;
    world.accepts(r#"{"idempotencyKey":"new","eventType":"SOMETHING_NEW"}"#).await;
    for key in ["k", "new"] {
        let event = world.settled(key).await;
        assert_eq!(event.state, EventState::Ignored);
        assert_eq!(event.note.as_deref(), Some("no handler for this event type"));
    }
}

#[tokio::test(start_paused = true)]
async fn g5_unknown_types_and_undecodable_data_reach_the_handler() {
    let world = World::new();
    let handler = world.returning(|_| Ok(Handled::Done));
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.accepts(r#"{"idempotencyKey":"new","eventType":"SOMETHING_NEW","data":{"a":1}}"#).await;
    world.accepts(r#"{"idempotencyKey":"odd","eventType":"PARTICIPANT_JOINED","data":"none"}"#).await;
    world.is_done("new").await;
    world.is_done("odd").await;
    let runs = handler.runs();
    assert_eq!(runs[0].unknown.as_deref(), Some("the event type is not known to this version"));
    assert_ne!(runs[1].unknown, None);
    assert_ne!(runs[1].unknown, runs[0].unknown, "another reason");
}

/// A handler that fails before this attempt.
fn failing_until(world: &World, attempt: u32) -> Acting {
    world.returning(move |delivery| {
        if delivery.attempt >= attempt {
            return Ok(Handled::Done);
        }
        Err(format!("no ({})", delivery.attempt).into())
    })
}

fn waits(runs: &[Run]) -> Vec<Duration> {
    runs.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}
