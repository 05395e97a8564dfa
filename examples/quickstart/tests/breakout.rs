//! A trip to a breakout room and back keeps the participant id. It makes three stays and an hour, in any order of its events.
#![allow(clippy::expect_used)]

#[allow(dead_code)]
#[path = "../src/attendance.rs"]
mod attendance;

use std::time::Duration;

use attendance::{Attendance, Stay};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::{Delivery, Handled, Timestamp};
use jaas_diesel::sqlite::Connection;
use serde_json::{Value, json};

/// The start of the hour.
const EIGHT: i64 = 1_783_497_600_000;

/// One participant: 20 minutes in the main room, nearly 20 in a breakout room, nearly 20 in the main room again.
fn trip() -> Vec<Value> {
    let breakout = json!({"isBreakout": true, "breakoutRoomId": "b1"});
    let main = json!({"isBreakout": false});
    [
        ("PARTICIPANT_JOINED", 0, &main),
        ("PARTICIPANT_LEFT", 1200, &main),
        ("PARTICIPANT_JOINED", 1203, &breakout),
        ("PARTICIPANT_LEFT", 2400, &breakout),
        ("PARTICIPANT_JOINED", 2403, &main),
        ("PARTICIPANT_LEFT", 3600, &main),
    ]
    .into_iter()
    .map(|(event_type, second, room)| {
        let mut data = room.clone();
        data["participantId"] = json!("5f2c1a9e");
        data["name"] = json!("Guest");
        event(event_type, second, &data)
    })
    .collect()
}

fn event(event_type: &str, second: i64, data: &Value) -> Value {
    json!({
        "idempotencyKey": format!("sitting-1-{second}"), "eventType": event_type, "sessionId": "sitting-1",
        "timestamp": EIGHT + 1000 * second, "fqn": "vpaas-magic-cookie-1/room", "data": data,
    })
}

async fn database() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jaas.sqlite");
    let path = path.to_str().expect("UTF-8");
    attendance::create_tables(path).await.expect("created");
    (folder, Connection::establish(path).await.expect("opened"))
}

async fn learned(connection: &mut Connection, events: &[Value]) -> Vec<Stay> {
    connection.batch_execute("BEGIN").await.expect("begun");
    for event in events {
        let body = event.to_string().into();
        let delivery = Delivery::parse("main", Timestamp::from_millis(EIGHT), body).expect("readable");
        assert_eq!(delivery.handle(&Attendance, connection).await.expect("handled"), Handled::Done);
    }
    let stays = attendance::of_session(connection, "sitting-1").await.expect("read");
    connection.batch_execute("ROLLBACK").await.expect("rolled back");
    stays
}

/// Returns all permutations of these numbers (Heap's algorithm).
fn orders(count: usize, numbers: &mut Vec<usize>, visit: &mut dyn FnMut(&[usize])) {
    if count <= 1 {
        return visit(numbers);
    }
    for place in 0..count {
        orders(count - 1, numbers, visit);
        numbers.swap(if count.is_multiple_of(2) { place } else { 0 }, count - 1);
    }
}

#[tokio::test]
async fn a_trip_to_a_breakout_room_is_three_stays_and_an_hour_in_any_order() {
    let (_folder, mut connection) = database().await;
    let (trip, mut all) = (trip(), Vec::new());
    orders(trip.len(), &mut (0..trip.len()).collect(), &mut |order| all.push(order.to_vec()));
    assert_eq!(all.len(), 720);
    for order in all {
        let mut events: Vec<_> = order.iter().map(|number| trip[*number].clone()).collect();
        // A copy changes nothing.
        events.push(events[0].clone());
        let stays = learned(&mut connection, &events).await;
        let found: Vec<_> = stays
            .iter()
            .map(|stay| {
                let seconds = |at: Timestamp| (at.as_millis() - EIGHT) / 1000;
                (&*stay.room, seconds(stay.joined_at), stay.left_at.map(seconds))
            })
            .collect();
        let expected = [
            ("main room", 0, Some(1200)),
            ("breakout room b1", 1203, Some(2400)),
            ("main room", 2403, Some(3600)),
        ];
        assert_eq!(found, expected, "{order:?}");
        let there = stays.iter().filter_map(|stay| Some(stay.left_at?.duration_since(stay.joined_at)));
        // An hour without the two changes of rooms, 3 s each.
        assert_eq!(there.sum::<Duration>(), Duration::from_secs(3600 - 2 * 3), "{order:?}");
    }
}

#[tokio::test]
async fn a_leave_that_never_comes_is_closed_by_the_next_join_or_by_the_end_of_the_meeting() {
    let (_folder, mut connection) = database().await;
    let joins = trip().into_iter().filter(|event| event["eventType"] == "PARTICIPANT_JOINED");
    let mut events: Vec<_> = joins.collect();
    let left_at = |stays: Vec<Stay>| -> Vec<Option<i64>> {
        stays.iter().map(|stay| stay.left_at.map(|at| (at.as_millis() - EIGHT) / 1000)).collect()
    };
    assert_eq!(left_at(learned(&mut connection, &events).await), [Some(1203), Some(2403), None]);
    events.insert(0, event("ROOM_DESTROYED", 4000, &json!({"isBreakout": false})));
    assert_eq!(left_at(learned(&mut connection, &events).await), [Some(1203), Some(2403), Some(4000)]);
}

#[tokio::test]
async fn a_visitor_is_known_by_the_address_and_one_who_vanishes_leaves_with_the_meeting() {
    let (_folder, mut connection) = database().await;
    let visitor = |jid: &str| json!({"participantJid": jid, "role": "visitor", "name": "Grace"});
    let mut events = vec![
        event("PARTICIPANT_JOINED", 0, &visitor("v1@visitors.meet.jitsi")),
        event("PARTICIPANT_JOINED", 1, &visitor("v2@visitors.meet.jitsi")),
        event("PARTICIPANT_LEFT", 60, &visitor("v1@visitors.meet.jitsi")),
        event("ROOM_DESTROYED", 300, &json!({"isBreakout": false})),
    ];
    for _ in 0..2 {
        let stays = learned(&mut connection, &events).await;
        let left = |stay: &Stay| stay.left_at.map(|at| (at.as_millis() - EIGHT) / 1000);
        let found: Vec<_> = stays.iter().map(|stay| (&*stay.presence, left(stay))).collect();
        assert_eq!(found, [("v1@visitors.meet.jitsi", Some(60)), ("v2@visitors.meet.jitsi", Some(300))]);
        events.reverse();
    }
}

/// Ids can be any text of any length.
#[tokio::test]
async fn an_id_with_u_0000_or_of_thousands_of_bytes_is_kept_and_fails_nothing() {
    let (_folder, mut connection) = database().await;
    let long = "x".repeat(5000);
    for id in ["p\0q", &long] {
        let data = json!({"participantId": id, "name": id, "isBreakout": true, "breakoutRoomId": id});
        let events = [event("PARTICIPANT_JOINED", 0, &data), event("PARTICIPANT_LEFT", 60, &data)];
        let stays = learned(&mut connection, &events).await;
        assert_eq!(stays.len(), 1);
        assert!(stays[0].left_at.is_some() && stays[0].presence.len() <= 255 && stays[0].room.len() <= 255);
        assert!(!stays[0].presence.contains('\0'), "{:?}", stays[0]);
    }
}
