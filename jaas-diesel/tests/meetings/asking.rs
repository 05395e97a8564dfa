//! What the tables can be asked.

use std::sync::Arc;
use std::time::Duration;

use jaas_core::event::EventKind;
use jaas_core::meetings::{MeetingReader, TimeCursor, TimePageRequest, Via};
use jaas_core::store::{AuditNote, EventAdmin as _};
use jaas_core::{Clock as _, Fqn, SessionId, SystemClock, Timestamp, UserId};
use jaas_diesel::meetings::{Meetings, Names, SittingsQuery};
use serde_json::json;

use crate::meetings::world::{World, closed, event, joined, left, on_all, opened};

on_all! {
    present_is_who_is_in_the_latest_sitting_of_the_room
    a_room_that_opens_again_in_one_session_goes_on
    sittings_come_in_pages_and_are_stitched_when_read
    attendance_is_asked_of_a_session_a_room_and_a_user
    an_erased_session_leaves_nothing
    a_reader_lists_sittings_newest_first_and_shows_one
    long_and_strange_texts_are_kept_as_far_as_they_fit
}

fn meetings() -> Meetings {
    Meetings::builder().names(Names::Keep).build().expect("built")
}

fn room() -> Fqn {
    Fqn::new("VPAAS-magic-cookie-1/math room")
}

async fn present<W: World>(world: &W, room: &Fqn) -> Vec<String> {
    let present = meetings().present(&mut world.connection().await, room).await.expect("read");
    present.people.into_iter().map(|stay| stay.who.presence).collect()
}

async fn present_is_who_is_in_the_latest_sitting_of_the_room<W: World>(world: &W) {
    let meetings = meetings();
    let waits = event("s1", "PARTICIPANT_JOINED_LOBBY", 12, &json!({"participantId": "w"}));
    // The joining comes before the opening.
    world.handle(&meetings, &[joined("s1", 11, "p"), joined("s1", 13, "q"), waits]).await;
    assert_eq!(present(world, &room()).await, ["p", "q"]);
    assert_eq!(present(world, &Fqn::new("math%20room")).await, ["p", "q"], "of any tenant");
    assert_eq!(present(world, &Fqn::new("another/math room")).await, [""; 0]);
    let lobby = meetings.present(&mut world.connection().await, &room()).await.expect("read").lobby;
    assert_eq!(lobby.len(), 1);
    world.handle(&meetings, &[opened("s1", 10), left("s1", 20, "p")]).await;
    assert_eq!(present(world, &room()).await, ["q"]);
    // The end of the first sitting is never told.
    world.handle(&meetings, &[opened("s2", 100), joined("s2", 101, "r")]).await;
    assert_eq!(present(world, &room()).await, ["r"]);
    world.handle(&meetings, &[closed("s2", 200), joined("s2", 201, "late")]).await;
    assert_eq!(present(world, &room()).await, [""; 0]);
}

async fn a_room_that_opens_again_in_one_session_goes_on<W: World>(world: &W) {
    let meetings = meetings();
    let events =
        [closed("s", 50), opened("s", 10), joined("s", 60, "q"), joined("s", 11, "p"), closed("s", 20)];
    world.handle(&meetings, &events).await;
    let sitting = async || {
        let sitting = meetings.sitting(&mut world.connection().await, &SessionId::new("s")).await;
        sitting.expect("read").expect("a sitting")
    };
    let at = Timestamp::from_secs;
    assert_eq!((sitting().await.opened_at, sitting().await.ended_at), (Some(at(10)), Some(at(50))));
    assert_eq!(present(world, &room()).await, [""; 0]);
    let stays = meetings.stays(&mut world.connection().await, &SessionId::new("s")).await.expect("read");
    assert_eq!((stays[0].left_at, stays[0].estimated), (Some(at(20)), true));
    world.handle(&meetings, &[opened("s", 55)]).await;
    assert_eq!((sitting().await.opened_at, sitting().await.ended_at), (Some(at(10)), None));
    assert_eq!(present(world, &room()).await, ["q"]);
    world.handle(&meetings, &[closed("s", 70)]).await;
    assert_eq!(sitting().await.ended_at, Some(at(70)));
    assert_eq!(present(world, &room()).await, [""; 0]);
}

async fn sittings_come_in_pages_and_are_stitched_when_read<W: World>(world: &W) {
    let meetings = meetings();
    let mut events = Vec::new();
    for number in 0..5 {
        let session = format!("s{number}");
        events.extend([opened(&session, number * 1000), closed(&session, number * 1000 + 990)]);
    }
    events.extend([opened("s9", 9000), opened("other", 1)]);
    world.handle(&meetings, &events).await;
    let mut connection = world.connection().await;
    let query = SittingsQuery::of(&room())
        .until(Timestamp::from_secs(9001))
        .from(Timestamp::from_secs(1000))
        .limit(3);
    let first = meetings.sittings(&mut connection, &query).await.expect("read");
    let ids = |sittings: &[jaas_core::meetings::Sitting]| -> Vec<String> {
        sittings.iter().map(|sitting| sitting.session.to_string()).collect()
    };
    assert_eq!(ids(&first), ["s1", "s2", "s3"]);
    let query = query.after(first.last().expect("three"));
    let second = meetings.sittings(&mut connection, &query).await.expect("read");
    assert_eq!(ids(&second), ["s4", "s9"]);
    assert_eq!(second[1].ended_at, None);
    let all = SittingsQuery::of(&Fqn::new("math room")).from(Timestamp::from_secs(1000));
    let stitched = meetings.stitched(&mut connection, &all, Duration::from_secs(10)).await.expect("read");
    let sizes: Vec<usize> = stitched.iter().map(Vec::len).collect();
    assert_eq!(sizes, [4, 1]);
}

async fn attendance_is_asked_of_a_session_a_room_and_a_user<W: World>(world: &W) {
    let meetings = meetings();
    let visitor = event(
        "s1",
        "PARTICIPANT_JOINED",
        70,
        &json!({"participantJid": "v@meet.jitsi/r", "role": "visitor"}),
    );
    let phone = event("s1", "DIAL_IN_STARTED", 80, &json!({"participantId": "c", "nick": "+4930 (+4930)"}));
    let events = [
        opened("s1", 0),
        joined("s1", 60, "p"),
        // The same user in another tab.
        event("s1", "PARTICIPANT_JOINED", 90, &json!({"participantId": "p2", "id": "user-p", "name": "P"})),
        left("s1", 120, "p"),
        left("s1", 180, "p2"),
        visitor,
        phone,
        closed("s1", 600),
        opened("s2", 1000),
        joined("s2", 1060, "p"),
        closed("s2", 1120),
    ];
    world.handle(&meetings, &events).await;
    let mut connection = world.connection().await;
    let attendance =
        meetings.attendance(&mut connection, &SessionId::new("s1")).await.expect("read").expect("known");
    let vias: Vec<Via> = attendance.people.iter().map(|person| person.via).collect();
    assert_eq!(vias, [Via::Participant, Via::Visitor, Via::DialIn]);
    assert_eq!(attendance.people[0].attended(), Duration::from_secs(120));
    let csv = attendance.to_csv();
    assert!(
        csv.contains("user-p,P,1970-01-01T00:01:00.000Z,1970-01-01T00:03:00.000Z,2.00,2,false,1.00,"),
        "{csv}"
    );
    assert!(csv.contains("'+4930"), "{csv}");

    let of_room =
        meetings.attendance_of_room(&mut connection, &SittingsQuery::of(&room())).await.expect("read");
    assert_eq!(of_room.iter().map(|one| one.people.len()).collect::<Vec<_>>(), [3, 1]);
    let (from, until) = (Timestamp::from_secs(0), Timestamp::from_secs(1060));
    let user = UserId::new("user-p");
    let before = meetings.attendance_of_user(&mut connection, &user, from, until).await.expect("read");
    assert_eq!(before.len(), 1, "`until` is not part of the range");
    let until = Timestamp::from_secs(1061);
    let all = meetings.attendance_of_user(&mut connection, &user, from, until).await.expect("read");
    let attended: Vec<u64> = all.iter().map(|one| one.people[0].attended().as_secs()).collect();
    assert_eq!(attended, [120, 60]);
}

async fn an_erased_session_leaves_nothing<W: World>(world: &W) {
    let meetings = meetings();
    for session in ["s1", "s2", "s3"] {
        world.handle(&meetings, &[opened(session, 1), joined(session, 2, "p"), closed(session, 9)]).await;
    }
    let audit = AuditNote::new("test", "asked for");
    let (s1, s2, s3) = (SessionId::new("s1"), SessionId::new("s2"), SessionId::new("s3"));
    world.store().erase_session(&s1, &audit, SystemClock.now()).await.expect("erased");
    let mut connection = world.connection().await;
    meetings.erase(&mut connection, &s2).await.expect("erased");
    for session in [&s1, &s2] {
        assert_eq!(meetings.attendance(&mut connection, session).await.expect("read"), None);
        assert_eq!(meetings.sitting(&mut connection, session).await.expect("read"), None);
        assert_eq!(meetings.stays(&mut connection, session).await.expect("read"), []);
    }
    assert!(meetings.attendance(&mut connection, &s3).await.expect("read").is_some());
    // What was erased does not come back from the bodies, which are erased too; the other session does.
    let (from, until) = (Timestamp::from_secs(0), Timestamp::from_secs(100));
    let rebuilt = meetings.rebuild(&mut connection, &world.store(), from, until).await.expect("rebuilt");
    assert_eq!((rebuilt.sessions, rebuilt.events), (3, 6));
    assert_eq!(meetings.attendance(&mut connection, &s1).await.expect("read"), None);
    assert!(meetings.attendance(&mut connection, &s2).await.expect("read").is_some());
}

async fn long_and_strange_texts_are_kept_as_far_as_they_fit<W: World>(world: &W) {
    let meetings = meetings();
    let long = "ë".repeat(5000);
    let data = |id: &str| {
        json!({"participantId": format!("{id}{long}"), "id": format!("a\0b{long}"), "name": format!("=\0{long}"),
               "email": long, "participantJid": format!("{long}@8x8.vc"), "breakoutRoomId": long,
               "disconnectReason": long})
    };
    let events = [
        event("s", "PARTICIPANT_JOINED", 1, &data("p")),
        event("s", "PARTICIPANT_LEFT", 61, &data("p")),
        event("s", "ROOM_DESTROYED", 99, &data("p")),
    ];
    world.handle(&meetings, &events).await;
    let attendance = meetings.attendance(&mut world.connection().await, &SessionId::new("s")).await;
    let attendance = attendance.expect("read").expect("known");
    assert_eq!(attendance.people[0].attended(), Duration::from_secs(60));
    assert!(attendance.people[0].shown_name().starts_with("=\u{fffd}ë"));
}

async fn a_reader_lists_sittings_newest_first_and_shows_one<W: World>(world: &W) {
    let mut events = Vec::new();
    for number in 0..5 {
        let session = format!("s{number}");
        // Two begin at the same time.
        let begin = number / 2 * 1000;
        events.extend([
            opened(&session, begin),
            joined(&session, begin + 5, "p"),
            closed(&session, begin + 9),
        ]);
    }
    events.push(event("s3", "RECORDING_STARTED", 1006, &json!({})));
    events.push(event("s3", "RECORDING_ENDED", 1008, &json!({})));
    events.push(event("alone", "PARTICIPANT_JOINED", 7, &json!({"participantId": "q"})));
    // It closed, and opened only then: it began when it closed.
    events.extend([closed("odd", 500), opened("odd", 2500)]);
    world.handle(&meetings(), &events).await;

    let reader: Arc<dyn MeetingReader> = world.reader(&meetings());
    for room in [None, Some(room()), Some(Fqn::new("math room"))] {
        let mut page = TimePageRequest { limit: 2, ..TimePageRequest::first() };
        let mut listed = Vec::new();
        loop {
            let sittings = reader.sittings(room.as_ref(), &page).await.expect("listed");
            assert!(sittings.items.len() <= 2);
            listed.extend(sittings.items.into_iter().map(|sitting| sitting.session.to_string()));
            match sittings.next {
                Some(next) => page.after = TimeCursor::parse(&next.to_string()),
                None => break,
            }
        }
        assert_eq!(listed, ["s4", "s3", "s2", "odd", "s1", "s0"]);
    }
    let elsewhere = Fqn::new("another/math room");
    let none = reader.sittings(Some(&elsewhere), &TimePageRequest::first()).await.expect("listed");
    assert_eq!(none.items, []);

    let view = reader.meeting(&SessionId::new("s3")).await.expect("read").expect("known");
    assert_eq!(view.sitting.ended_at, Some(Timestamp::from_secs(1009)));
    assert_eq!((view.stays.len(), view.attendance.people.len()), (1, 1));
    let marks: Vec<_> = view.marks.iter().map(|mark| (mark.kind, mark.at.as_millis())).collect();
    assert_eq!(marks, [(EventKind::RecordingStarted, 1_006_000), (EventKind::RecordingEnded, 1_008_000)]);
    let alone = reader.meeting(&SessionId::new("alone")).await.expect("read").expect("known");
    assert_eq!((alone.sitting.opened_at, alone.stays.len()), (None, 1));
    assert_eq!(reader.meeting(&SessionId::new("s9")).await.expect("read"), None);
}
