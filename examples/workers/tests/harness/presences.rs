//! Visitors, who have no participant id, and people whose leave never comes, on each database.

use std::collections::BTreeMap;
use std::time::Duration;

use jaas_core::store::EventState;
use serde_json::json;

use crate::support::check;
use crate::support::database::{Database, Kind};
use crate::support::load::event;
use crate::support::process::{Fleet, Plan};
use crate::support::sender::Sender;
use crate::support::turn;

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_kept_and_those_who_vanish_leave_with_the_meeting_on_postgres() {
    presences(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_kept_and_those_who_vanish_leave_with_the_meeting_on_mysql() {
    presences(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_kept_and_those_who_vanish_leave_with_the_meeting_on_sqlite() {
    presences(Kind::Sqlite).await;
}

const STARTED: i64 = 1_795_420_800_000;

async fn presences(kind: Kind) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let fleet = Fleet::start(Plan::new(&database), 1).await;
    let sender = Sender::new(fleet.addresses());
    let visitor = json!({"participantJid": "v1@visitors.meet.jitsi", "role": "visitor", "name": "Grace"});
    let participant = json!({"participantId": "p1", "participantJid": "a1@8x8.vc", "name": "Ada"});
    let events = [
        ("PARTICIPANT_JOINED", 0, &participant),
        ("PARTICIPANT_JOINED", 1000, &visitor),
        ("PARTICIPANT_LEFT", 2000, &visitor),
        ("ROOM_DESTROYED", 3000, &json!({"isBreakout": true, "breakoutRoomId": "b1"})),
        ("ROOM_DESTROYED", 4000, &json!({"isBreakout": false})),
    ];
    for (event_type, at, data) in events {
        let body = event(&format!("k-{at}"), "s", event_type, STARTED + at, data);
        assert!(sender.send(&body, 0).await.accepted(), "{event_type}");
    }
    check::drained(&database, Duration::from_secs(60)).await;
    for event in database.events().await {
        assert_eq!((event.state, event.note.as_deref()), (EventState::Done, None), "{event:?}");
    }
    let edge = |presence: &str, at: i64, joined: bool| {
        ("s".to_owned(), presence.to_owned(), "main room".to_owned(), STARTED + at, joined)
    };
    let expected = [
        edge("p1", 0, true),
        edge("v1@visitors.meet.jitsi", 1000, true),
        edge("v1@visitors.meet.jitsi", 2000, false),
    ];
    check::edges(&database, &expected.into()).await;
    assert_eq!(database.endings().await, BTreeMap::from([("s".to_owned(), STARTED + 4000)]));
    fleet.terminate().await;
}
