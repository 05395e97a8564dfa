//! Give a handler an event, and check what it did.

use std::time::Duration;

use jaas_core::{Handled, Timestamp};
use jaas_testkit::event;
use testing::Attendance;

const NINE: Timestamp = Timestamp::from_secs(1_795_424_400);
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn who_joins_and_leaves_has_attended() {
    let attendance = Attendance::default();
    let joined = event::participant_joined().in_session("s1").user("ada").at(NINE);
    let left = event::participant_left().in_session("s1").user("ada").at(NINE).later(HOUR);
    joined.handle(&attendance).await.unwrap();
    left.handle(&attendance).await.unwrap();
    assert_eq!(attendance.of(&"s1".into(), &"ada".into()), HOUR);
}

#[tokio::test]
async fn the_end_of_a_breakout_room_ends_nothing() {
    let destroyed = event::room_destroyed().in_breakout("b1");
    let answer = destroyed.handle(&Attendance::default()).await;
    assert!(matches!(answer, Ok(Handled::Ignored(_))), "{answer:?}");
}

/// Your handler should not fail over anything that the sender leaves out.
#[tokio::test]
async fn a_guest_is_not_a_failure() {
    let guest = event::participant_joined().without("data.id").without("data.name").without("data.email");
    assert_eq!(guest.handle(&Attendance::default()).await, Ok(Handled::Done));
    let nobody = event::participant_joined().set("data", serde_json::json!({}));
    assert_eq!(nobody.handle(&Attendance::default()).await, Ok(Handled::ignored("no participant is named")));
}

#[tokio::test]
async fn an_event_of_no_session_is_tried_again() {
    let error =
        event::room_destroyed().without("sessionId").handle(&Attendance::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "no session");
}
