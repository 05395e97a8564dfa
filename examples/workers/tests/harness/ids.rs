//! Ids that do not fit a column do not cause dead letters, on each database.

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
async fn nul_and_overlong_ids_are_handled_on_postgres() {
    ids(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_and_overlong_ids_are_handled_on_mysql() {
    ids(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nul_and_overlong_ids_are_handled_on_sqlite() {
    ids(Kind::Sqlite).await;
}

async fn ids(kind: Kind) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let fleet = Fleet::start(Plan::new(&database), 1).await;
    let sender = Sender::new(fleet.addresses());
    let (long, wide) = ("x".repeat(5000), "\u{1f642}".repeat(100));
    let texts = ["p\0q", &long, &wide, "\0", "p "];
    for (number, text) in texts.iter().enumerate() {
        for (event_type, second) in [("PARTICIPANT_JOINED", 0), ("PARTICIPANT_LEFT", 1000)] {
            let data = json!({"participantId": text, "name": text, "id": text, "isBreakout": true, "breakoutRoomId": text});
            let key = format!("{number}-{event_type}");
            let body = event(&key, &format!("s-{number}"), event_type, 1_795_420_800_000 + second, &data);
            assert!(sender.send(&body, 0).await.accepted(), "{key}");
        }
    }
    check::drained(&database, Duration::from_secs(60)).await;
    for event in database.events().await {
        assert_eq!(
            (event.state, event.note.as_deref()),
            (EventState::Done, None),
            "{}",
            event.idempotency_key
        );
    }
    let edges = database.edges().await;
    assert_eq!(edges.len(), 2 * texts.len(), "{edges:?}");
    assert!(
        edges
            .iter()
            .any(|(_, participant, room, ..)| participant == "p\u{fffd}q"
                && room == "breakout room p\u{fffd}q")
    );
    assert!(edges.iter().all(|(_, participant, room, ..)| participant.len() <= 255 && room.len() <= 255));
    assert_eq!(database.handled().await.len(), 2 * texts.len());
    fleet.terminate().await;
}
