//! A simulated day over HTTP: nothing is refused, each event is handled once, and the handler's tables match what
//! happened.
#![cfg(unix)]
#![allow(clippy::expect_used)]

#[allow(dead_code)]
#[path = "../src/attendance.rs"]
mod attendance;
mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use diesel_async::AsyncConnection as _;
use jaas_core::{Backoff, ParticipantId, Room};
use jaas_diesel::sqlite::Connection;
use jaas_testkit::Signer;
use jaas_testkit::simulator::{Day, HttpTarget, Meeting, Sender, bodies_in_order};
use support::{SECRET, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_day_is_learned_as_it_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let mut server = Server::start(&database).await;
    let target = HttpTarget::new(&format!("{}/webhooks/jaas", server.base)).expect("a URL");
    let meetings = Day::new(5).meetings(6).participants(2..=5).play();
    let stays = || meetings.iter().flat_map(|meeting| meeting.facts().stays);
    assert!(stays().any(|stay| stay.visitor), "without a visitor it shows less");
    let bodies = bodies_in_order(&meetings);
    let sender = Sender::new(Signer::new(SECRET).expect("a good secret"), 7)
        .duplicates(0.1)
        .shuffle(0.5)
        .lose_requests(0.02)
        .lose_answers(0.02)
        .backoff(Backoff::default().initial_delay(Duration::from_millis(5)).max_failures(30));

    let report = sender.send(&target, bodies.clone()).await;
    assert!(report.is_complete() && report.refused.is_empty(), "{report:?}");
    assert_eq!(report.acknowledged_events, bodies.len());
    assert!(report.copies > 0 && report.retries > 0);

    let handled = server.handled(bodies.len()).await;
    assert_eq!(handled.len(), bodies.len(), "handled = unique sent");
    assert!(handled.values().all(|lines| lines.len() == 1), "each is handled once");

    // The same seed again produces the same bytes, so all deliveries are duplicates.
    let again =
        sender.send(&target, bodies_in_order(&Day::new(5).meetings(6).participants(2..=5).play())).await;
    assert_eq!(again.bodies_sha256, report.bodies_sha256);
    assert!(again.is_complete() && again.refused.is_empty());
    assert_eq!(server.handled_so_far().len(), bodies.len());
    assert_eq!(server.terminate().await, Some(0));

    assert_eq!(learned(&database, &meetings).await, happened(&meetings));
}

/// When each participant of each session joined and left which room, in ms.
type Stays = BTreeMap<(String, String, String, i64), Option<i64>>;

/// The stays in the tables of the quickstart's handler.
async fn learned(database: &std::path::Path, meetings: &[Meeting]) -> Stays {
    let mut connection = Connection::establish(database.to_str().expect("UTF-8")).await.expect("opened");
    let mut learned = Stays::new();
    for meeting in meetings {
        let session = meeting.session().as_str();
        for stay in attendance::of_session(&mut connection, session).await.expect("read") {
            let key = (session.to_owned(), stay.presence, stay.room, stay.joined_at.as_millis());
            learned.insert(key, stay.left_at.map(|at| at.as_millis()));
        }
    }
    learned
}

/// The stays according to the script. Visitors have no endpoint id; their address identifies them.
fn happened(meetings: &[Meeting]) -> Stays {
    let facts = meetings.iter().map(Meeting::facts);
    let stays =
        facts.flat_map(|facts| facts.stays.into_iter().map(move |stay| (facts.session.clone(), stay)));
    stays
        .map(|(session, stay)| {
            let room = stay.breakout.map_or(Room::Main, |id| Room::Breakout { id: Some(id) });
            let presence =
                stay.participant.map_or_else(|| stay.jid.bare().to_owned(), ParticipantId::into_string);
            let key = (session.to_string(), presence, room.to_string(), stay.joined_at.as_millis());
            (key, stay.left_at.map(|at| at.as_millis()))
        })
        .collect()
}
