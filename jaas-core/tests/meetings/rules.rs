//! The rules, one by one.

use std::time::Duration;

use jaas_core::Timestamp;
use jaas_core::event::DisconnectReason;
use jaas_core::meetings::{Attendance, Edge, Place, Present, Sitting, Stay, Via, stays};
use proptest::prelude::*;
use serde_json::json;

use super::{at, edge, event, joined, left};

fn sitting(edges: &[Edge]) -> Sitting {
    Sitting::of(edges).expect("a sitting")
}

fn present(edges: &[Edge]) -> Vec<String> {
    let present = Present::of(&sitting(edges), &stays(edges));
    present.people.into_iter().map(|stay| stay.who.presence).collect()
}

fn ends(edges: &[Edge]) -> Vec<(Option<i64>, bool)> {
    let end = |stay: &Stay| (stay.left_at.map(Timestamp::as_secs), stay.estimated);
    stays(edges).iter().map(end).collect()
}

fn closed(secs: i64, room: Option<&str>) -> Edge {
    edge("ROOM_DESTROYED", secs, &json!({"breakoutRoomId": room}))
}

fn opened(secs: i64) -> Edge {
    edge("ROOM_CREATED", secs, &json!({}))
}

#[test]
fn a_breakout_rooms_end_is_not_the_end_of_the_meeting() {
    let edges = [opened(0), joined(1, "p", None), closed(5, Some("b1"))];
    assert_eq!(present(&edges), ["p"]);
    assert!(!sitting(&edges).has_ended());
    assert_eq!(sitting(&[&edges[..], &[closed(6, None)]].concat()).ended_at, Some(at(6)));
}

#[test]
fn a_trip_to_a_breakout_room_is_three_stays_and_one_time_without_gaps() {
    let edges = [
        opened(0),
        joined(10, "p", None),
        left(100, "p", None, "switch_room"),
        joined(102, "p", Some("b1")),
        left(200, "p", Some("b1"), "switch_room"),
        joined(205, "p", None),
        left(300, "p", None, "left"),
        closed(310, None),
    ];
    let stays = stays(&edges);
    let places: Vec<_> = stays.iter().map(|stay| stay.place.to_string()).collect();
    assert_eq!(places, ["main", "breakout:b1", "main"]);
    let attendance = Attendance::of(&sitting(&edges), &stays, at(400));
    let [person] = attendance.people.as_slice() else { panic!("one person: {attendance:?}") };
    assert_eq!((person.stays, person.estimated, person.intervals.len()), (3, false, 1));
    assert_eq!(person.attended(), Duration::from_secs(290));
}

#[test]
fn who_leaves_for_a_breakout_room_and_never_arrives_is_not_counted_on() {
    let edges = [opened(0), joined(10, "p", None), left(100, "p", None, "switch_room"), closed(310, None)];
    let attendance = Attendance::of(&sitting(&edges), &stays(&edges), at(400));
    assert_eq!(attendance.people[0].attended(), Duration::from_secs(90));
}

#[test]
fn a_late_leave_replaces_the_estimate_of_the_rooms_end() {
    let without = [joined(1, "p", None), closed(50, None)];
    assert_eq!(ends(&without), [(Some(50), true)]);
    let with = [closed(50, None), joined(1, "p", None), left(30, "p", None, "left")];
    assert_eq!(ends(&with), [(Some(30), false)]);
    // A leave that the sender dates after the end is still what the sender says.
    let after = [closed(50, None), joined(1, "p", None), left(51, "p", None, "left")];
    assert_eq!(ends(&after), [(Some(51), false)]);
}

#[test]
fn an_open_stay_ends_with_the_next_joining_or_with_its_breakout_room() {
    assert_eq!(ends(&[joined(1, "p", None), joined(9, "p", Some("b"))]), [(Some(9), true), (None, false)]);
    assert_eq!(ends(&[joined(1, "p", Some("b")), closed(9, Some("b"))]), [(Some(9), true)]);
    assert_eq!(ends(&[joined(1, "p", Some("b")), closed(9, Some("c"))]), [(None, false)]);
    assert_eq!(ends(&[joined(1, "p", None), joined(9, "q", None)]), [(None, false), (None, false)]);
    // The one leave belongs to the second joining of the same room.
    let again = [joined(1, "p", None), joined(9, "p", None), left(20, "p", None, "left")];
    assert_eq!(ends(&again), [(Some(9), true), (Some(20), false)]);
}

#[test]
fn a_leave_without_a_joining_is_nobody() {
    assert_eq!(ends(&[left(5, "p", None, "left")]), []);
    assert_eq!(ends(&[left(5, "p", None, "left"), joined(7, "p", None)]), [(None, false)]);
}

#[test]
fn two_tabs_are_two_presences_and_one_attendance() {
    let tab = |secs, presence: &str| {
        edge("PARTICIPANT_JOINED", secs, &json!({"participantId": presence, "id": "ada", "name": "Ada"}))
    };
    let edges = [opened(0), tab(60, "one"), tab(120, "two"), left(180, "one", None, "left")];
    assert_eq!(present(&edges[..3]), ["one", "two"]);
    assert_eq!(present(&edges), ["two"]);
    let attendance = Attendance::of(&sitting(&edges), &stays(&edges), at(240));
    let [ada] = attendance.people.as_slice() else { panic!("one person: {attendance:?}") };
    assert_eq!((ada.presences.as_slice(), ada.stays), (&["one".to_owned(), "two".to_owned()][..], 2));
    assert_eq!(ada.attended(), Duration::from_secs(180), "60 to 240, once");
    assert_eq!((ada.last_left, ada.late_by), (None, Duration::from_secs(60)));
    assert_eq!(attendance.starting_at(at(50)).people[0].late_by, Duration::from_secs(10));
}

#[test]
fn people_of_one_name_are_not_one_person_and_a_kicked_one_keeps_the_id() {
    let join = |secs, presence: &str, id: Option<&str>| {
        edge("PARTICIPANT_JOINED", secs, &json!({"participantId": presence, "id": id, "name": "Ada"}))
    };
    let edges = [join(1, "a", Some("1")), join(2, "b", Some("2")), join(3, "c", None), join(4, "d", None)];
    let edges = [&edges[..], &[left(9, "a", None, "kicked")]].concat();
    let attendance = Attendance::of(&sitting(&edges), &stays(&edges), at(10));
    assert_eq!(attendance.people.len(), 4);
    let kicked = attendance.of_user("1").expect("the user");
    assert_eq!((kicked.presences.len(), kicked.last_left), (1, Some(at(9))));
}

#[test]
fn a_joining_after_the_end_is_nobody_present_and_no_minute() {
    let edges = [opened(0), joined(1, "p", None), closed(50, None), joined(51, "q", None)];
    assert!(present(&edges).is_empty());
    let attendance = Attendance::of(&sitting(&edges), &stays(&edges), at(500));
    let late = attendance.of_user("user-q").expect("listed");
    assert_eq!((late.attended(), late.last_left, late.estimated), (Duration::ZERO, Some(at(51)), true));
    // Unless the room opened again: then they are there, and the others are not.
    let again = [&edges[..], &[opened(51)]].concat();
    assert_eq!(present(&again), ["q"]);
    assert_eq!(ends(&again), [(Some(50), true), (None, false)]);
}

#[test]
fn who_waits_in_the_lobby_is_not_in_the_room() {
    let waits = |kind: &str, secs| edge(kind, secs, &json!({"participantId": "w", "id": "wim"}));
    let edges = [opened(0), waits("PARTICIPANT_JOINED_LOBBY", 10)];
    let now = Present::of(&sitting(&edges), &stays(&edges));
    assert_eq!((now.people.len(), now.lobby.len()), (0, 1));
    assert!(Attendance::of(&sitting(&edges), &stays(&edges), at(99)).people.is_empty());
    // Let in: a joining with the same id, whether or not the departure from the lobby was told.
    let edges = [&edges[..], &[waits("PARTICIPANT_JOINED", 20)]].concat();
    let now = Present::of(&sitting(&edges), &stays(&edges));
    assert_eq!((now.people.len(), now.lobby.len()), (1, 0));
}

#[test]
fn a_visitor_without_an_endpoint_id_is_paired_by_the_address() {
    let data =
        json!({"participantJid": "v@meet.jitsi", "participantFullJid": "v@meet.jitsi/r", "role": "visitor"});
    let edges = [edge("PARTICIPANT_JOINED", 5, &data), edge("PARTICIPANT_LEFT", 9, &data)];
    let stays = stays(&edges);
    assert_eq!((stays[0].who.via, stays[0].left_at, &stays[0].reason), (Via::Visitor, Some(at(9)), &None));
}

#[test]
fn a_phone_is_a_stay_with_its_number_and_no_reason_is_needed() {
    let call = |kind: &str, secs| {
        edge(kind, secs, &json!({"participantId": "c", "nick": "40364 (+40364)", "direction": "in"}))
    };
    let edges = [call("DIAL_IN_STARTED", 5), call("DIAL_IN_ENDED", 65)];
    let attendance = Attendance::of(&sitting(&edges), &stays(&edges), at(99));
    let phone = &attendance.people[0];
    assert_eq!((phone.via, phone.shown_name(), phone.attended().as_secs()), (Via::DialIn, "40364", 60));
}

#[test]
fn events_about_something_else_or_nobody_are_no_edges() {
    for (kind, data) in [
        ("FEEDBACK", json!({"rating": 5})),
        ("PARTICIPANT_JOINED", json!({"name": "Ada"})),
        ("DIAL_IN_STARTED", json!({"nick": "1"})),
        ("USAGE", json!([])),
        ("WHITEBOARD_OPENED", json!({})),
    ] {
        assert_eq!(Edge::of(&event(kind, 1, &data)), None, "{kind}");
    }
}

/// Edges of two presences in three places within a few seconds, so that all kinds of pairs and ties occur.
fn any_edges() -> impl Strategy<Value = Vec<Edge>> {
    let one =
        (0_u8..7, 0_i64..12, 0_usize..2, 0_usize..3, 0_u8..3).prop_map(|(kind, secs, who, place, detail)| {
            let (who, room) = (["p", "q"][who], [None, Some("b"), Some("c")][place]);
            let name = ["Ada", "Ben", ""][usize::from(detail)];
            let reason = ["left", "switch_room", ""][usize::from(detail)];
            match kind {
                0..=2 => edge(
                    "PARTICIPANT_JOINED",
                    secs,
                    &json!({"participantId": who, "name": name, "breakoutRoomId": room}),
                ),
                3 | 4 => left(secs, who, room, reason),
                5 => closed(secs, room),
                _ => edge("ROOM_CREATED", secs, &json!({"breakoutRoomId": room})),
            }
        });
    prop::collection::vec(one, 0..24)
}

proptest! {
    #[test]
    fn neither_order_nor_copies_make_a_difference(edges in any_edges(), swaps in prop::collection::vec(any::<prop::sample::Index>(), 24), copies in 0_usize..24) {
        let mut other = edges.clone();
        other.extend(edges.iter().take(copies).cloned());
        for index in 0..other.len() {
            let with = swaps[index % swaps.len()].index(other.len());
            other.swap(index, with);
        }
        let now = at(20);
        prop_assert_eq!(stays(&edges), stays(&other));
        prop_assert_eq!(Sitting::of(&edges), Sitting::of(&other));
        if let Some(sitting) = Sitting::of(&edges) {
            let [one, two] = [&edges, &other].map(stays);
            prop_assert_eq!(Attendance::of(&sitting, &one, now), Attendance::of(&sitting, &two, now));
            prop_assert_eq!(Present::of(&sitting, &one), Present::of(&sitting, &two));
        }
    }

    #[test]
    fn stays_have_a_place_for_each_joining_and_end_after_it(edges in any_edges()) {
        let stays = stays(&edges);
        for stay in &stays {
            prop_assert!(stay.left_at.is_none_or(|left| left >= stay.joined_at));
            prop_assert!(!(stay.estimated && (stay.left_at.is_none() || stay.reason.is_some())));
            prop_assert!(stay.reason != Some(DisconnectReason::Other(String::new())));
        }
        // No two stays of one presence in one place overlap.
        for one in &stays {
            let overlaps = |two: &&Stay| two.who.presence == one.who.presence && two.place == one.place
                && two.joined_at > one.joined_at && one.left_at.is_none_or(|left| left > two.joined_at);
            prop_assert!(!stays.iter().any(|two| overlaps(&two)));
        }
        if let Some(sitting) = Sitting::of(&edges) {
            for person in Attendance::of(&sitting, &stays, at(20)).people {
                for pair in person.intervals.windows(2) {
                    prop_assert!(pair[0].until < pair[1].from);
                }
            }
        }
    }

    #[test]
    fn the_stays_of_a_presence_need_its_own_edges_and_the_closings_only(edges in any_edges()) {
        for presence in ["p", "q"] {
            let own = edges.iter().filter(|edge| edge.who().is_none_or(|who| who.presence == presence));
            let all: Vec<_> = stays(&edges).into_iter().filter(|stay| stay.who.presence == presence).collect();
            prop_assert_eq!(stays(own), all);
        }
    }
}

#[test]
fn places_are_told_apart() {
    let stays = stays(&[joined(1, "p", None), joined(2, "p", Some("b"))]);
    assert_eq!(stays[0].place, Place::Main);
    assert_eq!(stays[1].place.breakout_id().map(|id| id.as_str()), Some("b"));
}
