//! A simulated day over HTTP: nothing is refused, each event is handled once, and what the handler has learned is what
//! happened.
#![cfg(unix)]
#![allow(clippy::expect_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _};
use jaas_core::Backoff;
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
    let meetings = Day::new(7).meetings(6).participants(2..=5).play();
    let bodies = bodies_in_order(&meetings);
    let sender = Sender::new(Signer::new(SECRET).expect("a good secret"), 7)
        .duplicates(0.1)
        .shuffle(0.5)
        .lose_requests(0.02)
        .lose_answers(0.02)
        .backoff(Backoff::default().first(Duration::from_millis(5)).max_failures(30));

    let report = sender.send(&target, bodies.clone()).await;
    assert!(report.is_complete() && report.refused.is_empty(), "{report:?}");
    assert_eq!(report.acknowledged_events, bodies.len());
    assert!(report.copies > 0 && report.retries > 0);

    let handled = server.handled(bodies.len()).await;
    assert_eq!(handled.len(), bodies.len(), "handled = unique sent");
    assert!(handled.values().all(|lines| lines.len() == 1), "each is handled once");

    // The same seed again: the same bytes, and so nothing but duplicates.
    let again =
        sender.send(&target, bodies_in_order(&Day::new(7).meetings(6).participants(2..=5).play())).await;
    assert_eq!(again.bodies_sha256, report.bodies_sha256);
    assert!(again.is_complete() && again.refused.is_empty());
    assert_eq!(server.handled_so_far().len(), bodies.len());
    assert_eq!(server.terminate().await, Some(0));

    assert_eq!(learned(&database).await, happened(&meetings));
}

/// When each participant of each session came and left, in ms.
type Attendance = BTreeMap<(String, String), (Option<i64>, Option<i64>)>;

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    session_id: String,
    #[diesel(sql_type = Text)]
    participant_id: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    joined_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    left_at: Option<i64>,
}

/// What the handler of the quickstart has in its tables; the end of the room closes who never left.
async fn learned(database: &std::path::Path) -> Attendance {
    let mut connection = Connection::establish(database.to_str().expect("UTF-8")).await.expect("opened");
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT session_id, participant_id, joined_at, COALESCE(left_at, ended_at) AS left_at
         FROM attendances LEFT JOIN endings USING (session_id)",
    )
    .load(&mut connection)
    .await
    .expect("read");
    rows.into_iter().map(|row| ((row.session_id, row.participant_id), (row.joined_at, row.left_at))).collect()
}

/// What the script says. Visitors have no endpoint id, and the quickstart does not keep them.
fn happened(meetings: &[Meeting]) -> Attendance {
    let facts = meetings.iter().map(Meeting::facts);
    let stays =
        facts.flat_map(|facts| facts.stays.into_iter().map(move |stay| (facts.session.clone(), stay)));
    stays
        .filter_map(|(session, stay)| {
            let times = (Some(stay.joined_at.as_millis()), stay.left_at.map(|at| at.as_millis()));
            Some(((session.to_string(), stay.participant?.into_string()), times))
        })
        .collect()
}
