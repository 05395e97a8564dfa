//! Events of a session that run while earlier results are recorded.

use std::time::Duration;

use jaas_core::store::{AuditNote, EventAdmin as _, EventState};
use jaas_core::{Clock as _, Handled, HandlerError};

use crate::worker::handlers::handlers;
use crate::worker::store::{Op, TestStore};
use crate::worker::world::{SECOND, World};

const RECORDING: Duration = Duration::from_millis(5);

/// A session of this many events, whose successes take a while to be recorded.
async fn hot_session(events: i64) -> World {
    let world = World::over(TestStore::new().recording_in(RECORDING));
    for number in 0..events {
        world.arrives(&number.to_string(), Some("hot"), number * 10).await;
    }
    world
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_advances_faster_than_one_event_per_commit() {
    let world = hot_session(200).await;
    let handler = world.returning(|_| Ok(Handled::Done));
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.all_settled().await;
    assert_eq!(handler.keys(), numbers(0..200), "in order, and each once");
    let commits = world.store.calls(Op::Complete) + world.store.calls(Op::CompleteAll);
    assert!(commits < 30, "{commits} commits");
    assert!(world.elapsed() < RECORDING * 30, "{:?}", world.elapsed());
    assert_eq!(world.event("150").await.completed, ["handler"]);
}

#[tokio::test(start_paused = true)]
async fn every_handler_of_an_event_that_runs_ahead_is_recorded() {
    let world = hot_session(50).await;
    let (a, b) = (world.returning(|_| Ok(Handled::Done)), world.returning(|_| Ok(Handled::Done)));
    let none = world.returning(|_| Ok(Handled::ignored("not mine")));
    let named = [("a", &a), ("none", &none), ("b", &b)];
    let _worker = world.worker_with(handlers(named)).build().expect("built").spawn();
    world.all_settled().await;
    for handler in [&a, &b, &none] {
        assert_eq!(handler.keys(), numbers(0..50));
    }
    for key in numbers(0..50) {
        let event = world.event(&key).await;
        assert_eq!((event.state, event.completed), (EventState::Done, vec!["a".to_owned(), "b".to_owned()]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_arrives_late_runs_next_although_others_were_listed_before() {
    let world = hot_session(100).await;
    let arriving = world.clone();
    let handler = world.acting(move |delivery| {
        let world = arriving.clone();
        async move {
            let key = delivery.envelope.idempotency_key.into_string();
            if let Some(number) = key.parse().ok().filter(|number: &i64| number % 10 == 7) {
                world.arrives(&format!("late {number}"), Some("hot"), number * 10 - 5).await;
            }
            Ok(Handled::Done)
        }
    });
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.all_settled().await;
    let mut expected = numbers(0..100);
    for number in (7..100).step_by(10).rev() {
        expected.insert(number + 1, format!("late {number}"));
    }
    assert_eq!(handler.keys(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_expires_after_a_moment() {
    let world = World::over(TestStore::silent().recording_in(RECORDING));
    for number in 0..20 {
        world.arrives(&number.to_string(), Some("hot"), number * 10).await;
    }
    let handler = world.taking(SECOND);
    let _worker = world.worker(&handler).build().expect("built").spawn();
    for number in 0..19 {
        handler.wait_for(number + 1).await;
        // The worker is not notified, as when another process has accepted it.
        world.arrives(&format!("late {number}"), Some("hot"), number as i64 * 10 + 5).await;
    }
    world.all_settled().await;
    let expected: Vec<String> = (0..20).flat_map(|n| [n.to_string(), format!("late {n}")]).collect();
    assert_eq!(handler.keys(), expected[..39]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_recorded_after_earlier_results_and_holds_back_the_rest() {
    let world = hot_session(100).await;
    let handler =
        world.returning(|delivery| match (delivery.envelope.idempotency_key.as_str(), delivery.attempt) {
            ("30", 1) => Err(HandlerError::retry_after(SECOND, "not yet")),
            ("60", _) => Err(HandlerError::permanent("never")),
            _ => Ok(Handled::Done),
        });
    let _worker = world.worker(&handler).build().expect("built").spawn();
    let failed = world.event_when("30", |event| event.failures == 1).await;
    assert_eq!(failed.state, EventState::Waiting);
    for key in numbers(0..30) {
        assert_eq!(world.event(&key).await.state, EventState::Done, "{key}");
    }
    world.all_settled().await;
    let mut expected = numbers(0..100);
    expected.insert(30, "30".to_owned());
    assert_eq!(handler.keys(), expected);
    assert_eq!(world.event("60").await.state, EventState::Dead);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_discarded_while_it_runs_ahead_stays_discarded() {
    let world = hot_session(100).await;
    let discarding = world.clone();
    let handler = world.acting(move |delivery| {
        let world = discarding.clone();
        async move {
            if delivery.envelope.idempotency_key == "35" {
                let event = world.event("35").await.id;
                let note = AuditNote::new("operator", "not needed");
                world
                    .store
                    .discard(event, &note, world.clock.now())
                    .await
                    .expect("it waits, as far as is known");
                tokio::time::sleep(RECORDING * 3).await;
            }
            Ok(Handled::Done)
        }
    });
    let _worker = world.worker(&handler).build().expect("built").spawn();
    world.all_settled().await;
    assert_eq!(handler.keys(), numbers(0..100));
    for key in numbers(0..100) {
        let wanted = if key == "35" { EventState::Discarded } else { EventState::Done };
        assert_eq!(world.event(&key).await.state, wanted, "{key}");
    }
}
