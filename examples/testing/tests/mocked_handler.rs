//! Expect calls of a handler or of a store behind your own code.

use jaas_core::store::{EventAdmin, EventState, StateStats, StoreError, StoreErrorKind, StoreStats};
use jaas_core::{Handled, HandlerError};
use jaas_testkit::{MockEventHandler, MockEventStore, event};
use testing::WithoutTestRooms;

#[tokio::test]
async fn events_of_test_rooms_are_kept_from_the_handler() {
    let mut behind = MockEventHandler::new();
    behind.expect_participant_joined().times(1).returning(|_, _| Ok(Handled::Done));
    let handler = WithoutTestRooms(behind);
    let joined = event::participant_joined();
    assert_eq!(joined.clone().in_room("math").handle(&handler).await, Ok(Handled::Done));
    assert!(matches!(joined.in_room("Test-1").handle(&handler).await, Ok(Handled::Ignored(_))));
}

#[tokio::test]
async fn the_result_of_the_inner_handler_is_passed_on() {
    let mut behind = MockEventHandler::new();
    behind
        .expect_recording_uploaded()
        .withf(|delivery, recording| delivery.attempt == 1 && recording.duration_sec == Some(90))
        .returning(|_, _| Err(HandlerError::permanent("too short")));
    let short = event::recording_uploaded().with(|recording| recording.duration_sec = Some(90));
    let answer = short.handle(&WithoutTestRooms(behind)).await;
    assert_eq!(answer, Err(HandlerError::permanent("too short")));
}

/// A line that an application might show its operators.
async fn dead_letters(store: &impl EventAdmin) -> String {
    match store.stats().await {
        Ok(stats) => format!("{} dead letters", stats.count(EventState::Dead)),
        Err(error) => format!("unknown: {error}"),
    }
}

#[tokio::test]
async fn the_page_survives_a_store_that_does_not_answer() {
    let mut store = MockEventStore::new();
    store.expect_stats().times(1).returning(|| {
        let mut stats = StoreStats::default();
        stats.set(EventState::Dead, StateStats::new(3, None));
        Ok(stats)
    });
    store.expect_stats().returning(|| Err(StoreError::new(StoreErrorKind::Unavailable, "no answer")));
    assert_eq!(dead_letters(&store).await, "3 dead letters");
    assert_eq!(dead_letters(&store).await, "unknown: no answer");
}
