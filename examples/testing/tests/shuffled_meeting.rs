//! A meeting whose events come in any order, some of them twice, comes to the same.

use std::time::Duration;

use jaas_core::UserId;
use jaas_testkit::event::EventBuilder;
use jaas_testkit::simulator::{Meeting, Person, Random};
use testing::Attendance;

const MINUTE: Duration = Duration::from_secs(60);

/// Ada goes to a breakout room and back; Ben loses the connection, and his leave never comes.
fn lesson() -> Meeting {
    let mut meeting = Meeting::new(7).in_room("math");
    let ada = meeting.join(&Person::named("Ada").moderator());
    let ben = meeting.join(&Person::named("Ben"));
    let group = meeting.open_breakout();
    meeting.move_to(ada, group);
    meeting.wait(10 * MINUTE);
    meeting.move_back(ada);
    meeting.vanish(ben);
    meeting.wait(5 * MINUTE);
    meeting.end();
    meeting
}

/// What an `Attendance` has learned from these events must be what happened.
async fn assert_learned(meeting: &Meeting, events: &[EventBuilder]) {
    let (attendance, facts) = (Attendance::default(), meeting.facts());
    for event in events {
        event.handle(&attendance).await.unwrap();
    }
    for user in facts.users() {
        let learned = attendance.of(meeting.session(), &UserId::new(user));
        assert_eq!(learned, facts.attended(user), "{user}");
    }
}

#[tokio::test]
async fn a_lesson_is_learned_backwards_too() {
    let meeting = lesson();
    let mut events = meeting.events();
    assert_learned(&meeting, &events).await;
    events.reverse();
    assert_learned(&meeting, &events).await;
}

/// Whole meetings from a seed, with everything that can happen in one. When a seed fails, that seed always does.
#[tokio::test]
async fn any_meeting_is_learned_in_any_order() {
    for seed in 0..200 {
        let meeting = Random::new(seed).meeting();
        let mut events = meeting.events();
        events.extend_from_within(..events.len() / 2);
        // In another order for each seed, without any random numbers.
        events
            .sort_by_key(|event| (event.happened_at().as_millis().wrapping_mul(2 * seed as i64 + 3)) % 1009);
        assert_learned(&meeting, &events).await;
    }
}
