//! Copies, failures and lost answers: how a repeating sender affects a handler.

use std::sync::Arc;
use std::time::Duration;

use jaas_core::{Disposition, Timestamp};
use jaas_testkit::{FakeDispatcher, event};
use serde_json::json;
use testing::Attendance;

const NINE: Timestamp = Timestamp::from_secs(1_795_424_400);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_copy_does_not_reach_the_handler() {
    let fake = FakeDispatcher::running(Attendance::default());
    let joined = event::participant_joined().named("Ada");
    assert_eq!(fake.deliver(joined.clone()).await, Ok(Disposition::Handled));
    assert_eq!(fake.deliver(joined).await, Ok(Disposition::Duplicate));
    fake.assert_received(json!({"data": {"name": "Ada"}})).times(2).events(1);
}

/// At least once means that an event can be handled again although it has been handled. That should make no difference.
#[tokio::test]
async fn to_be_called_twice_makes_no_difference() {
    let attendance = Arc::new(Attendance::default());
    let fake = FakeDispatcher::running(attendance.clone());
    fake.lose_next_answer().fail_next("the database is down").panic_next("a bug");
    let (joined, left) = (event::participant_joined().user("ada"), event::participant_left().user("ada"));
    let session = joined.delivery().envelope.session_id.unwrap();
    fake.deliver_until_taken(joined.at(NINE)).await;
    fake.deliver_until_taken(left.at(NINE).later(MINUTE)).await;
    assert_eq!(attendance.of(&session, &"ada".into()), MINUTE);
    assert_eq!((fake.arrivals().len(), fake.taken().len()), (5, 3));
}

/// The same event can be delivered twice at the same moment.
#[tokio::test(start_paused = true)]
async fn a_copy_waits_for_the_first_to_end() {
    let fake = FakeDispatcher::running(Attendance::default());
    fake.delay_next(Duration::from_secs(5));
    let joined = event::participant_joined();
    let (first, second) = tokio::join!(fake.deliver(joined.clone()), fake.deliver(joined.clone()));
    assert_eq!(first, Ok(Disposition::Handled));
    assert!(second.is_err(), "the reply is 503, so JaaS delivers again");
    assert_eq!(fake.deliver(joined).await, Ok(Disposition::Duplicate));
}
