//! A meeting whose events come in any order, each of them twice.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::SessionId;
use jaas_core::event::DisconnectReason;
use jaas_testkit::event::{self, EventBuilder};
use testing::Attendance;

const MINUTE: Duration = Duration::from_secs(60);

/// Ada goes to a breakout room; Ben's leave never comes.
fn meeting() -> Vec<EventBuilder> {
    let start = event::room_created().happened_at();
    let joined = || event::participant_joined().in_session("s1").at(start);
    let left = || event::participant_left().in_session("s1").at(start);
    vec![
        joined().participant("p1").named("Ada").untyped(),
        joined().participant("p2").named("Ben").later(5 * MINUTE).untyped(),
        left().participant("p1").later(10 * MINUTE).because(DisconnectReason::SwitchRoom).untyped(),
        joined().participant("p3").named("Ada").in_breakout("b1").later(10 * MINUTE).untyped(),
        left().participant("p3").in_breakout("b1").later(20 * MINUTE).untyped(),
        event::room_destroyed().in_session("s1").at(start).later(30 * MINUTE).untyped(),
    ]
}

#[tokio::test]
async fn any_order_comes_to_the_same() {
    let expected = BTreeMap::from([("Ada".to_owned(), 20 * MINUTE), ("Ben".to_owned(), 25 * MINUTE)]);
    for order in orders(meeting()) {
        let attendance = Attendance::default();
        for event in order.iter().chain(&order) {
            event.handle(&attendance).await.unwrap();
        }
        assert_eq!(attendance.of(&SessionId::new("s1")), expected, "{order:?}");
    }
}

/// Every order of these.
fn orders(events: Vec<EventBuilder>) -> Vec<Vec<EventBuilder>> {
    if events.len() < 2 {
        return vec![events];
    }
    let mut orders = Vec::new();
    for first in 0..events.len() {
        let mut rest = events.clone();
        let first = rest.remove(first);
        orders.extend(self::orders(rest).into_iter().map(|mut order| {
            order.insert(0, first.clone());
            order
        }));
    }
    orders
}
