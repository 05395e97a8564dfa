//! Give a handler an event, and look at what it did.

use std::time::Duration;

use jaas_core::{Handled, SessionId};
use jaas_testkit::event;
use testing::Attendance;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn who_joins_and_leaves_has_attended() {
    let attendance = Attendance::default();
    let joined = event::participant_joined().in_session("s1").participant("p1").named("Ada");
    let left =
        event::participant_left().in_session("s1").participant("p1").at(joined.happened_at()).later(HOUR);
    joined.handle(&attendance).await.unwrap();
    left.handle(&attendance).await.unwrap();
    assert_eq!(attendance.of(&SessionId::new("s1"))["Ada"], HOUR);
}

#[tokio::test]
async fn the_end_of_a_breakout_room_ends_nothing() {
    let destroyed = event::room_destroyed().in_breakout("b1");
    let answer = destroyed.handle(&Attendance::default()).await;
    assert!(matches!(answer, Ok(Handled::Ignored(_))), "{answer:?}");
}

/// Whatever the sender leaves out, a handler of yours should not fail over it.
#[tokio::test]
async fn a_guest_without_a_name_is_no_failure() {
    let attendance = Attendance::default();
    let guest = event::participant_joined().in_session("s1").without("data.name").without("data.id");
    guest.handle(&attendance).await.unwrap();
    assert!(attendance.of(&SessionId::new("s1")).is_empty());
}

#[tokio::test]
async fn an_event_of_no_session_is_tried_again() {
    let error =
        event::room_destroyed().without("sessionId").handle(&Attendance::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "no session");
}
