//! The result for a meeting does not depend on the order of its events, nor on the number of copies.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::{Delivery, UserId};
use jaas_testkit::simulator::{Independence, Meeting, Person, Random};
use testing::Attendance;

const MINUTE: Duration = Duration::from_secs(60);

/// Returns how long each user attended, as an `Attendance` has learned it from these events.
async fn learned(meeting: &Meeting, deliveries: &[Delivery]) -> BTreeMap<String, Duration> {
    let attendance = Attendance::default();
    for delivery in deliveries {
        assert!(delivery.handle(&attendance, &mut ()).await.is_ok());
    }
    let attended = |user: &str| attendance.of(meeting.session(), &UserId::new(user));
    meeting.facts().users().into_iter().map(|user| (user.to_owned(), attended(user))).collect()
}

/// Returns how long each user really attended.
fn happened(meeting: &Meeting) -> BTreeMap<String, Duration> {
    let facts = meeting.facts();
    facts.users().into_iter().map(|user| (user.to_owned(), facts.attended(user))).collect()
}

/// Ada goes to a breakout room and back; Ben loses the connection, and his leave never comes.
#[tokio::test]
async fn a_lesson_is_learned_in_any_order() {
    let mut lesson = Meeting::new(7).in_room("math");
    let ada = lesson.join(&Person::named("Ada").moderator());
    let ben = lesson.join(&Person::named("Ben"));
    let group = lesson.open_breakout();
    lesson.move_to(ada, group);
    lesson.wait(10 * MINUTE);
    lesson.move_back(ada);
    lesson.vanish(ben);
    lesson.wait(5 * MINUTE);
    lesson.end();

    assert_eq!(learned(&lesson, &lesson.deliveries()).await, happened(&lesson));
    let learn = async |deliveries: &[Delivery]| learned(&lesson, deliveries).await;
    Independence::of(lesson.deliveries()).check_async(learn).await.unwrap();
}

/// Whole meetings from a seed, with everything that can happen in one. A seed that fails once always fails.
#[tokio::test]
async fn any_meeting_is_learned_in_any_order() {
    for seed in 0..20 {
        let meeting = Random::new(seed).meeting();
        assert_eq!(learned(&meeting, &meeting.deliveries()).await, happened(&meeting), "seed {seed}");
        let learn = async |deliveries: &[Delivery]| learned(&meeting, deliveries).await;
        Independence::of(meeting.deliveries()).seed(seed).check_async(learn).await.unwrap();
    }
}
