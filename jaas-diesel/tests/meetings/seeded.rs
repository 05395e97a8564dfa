//! Whole days of random meetings: the tables say what happened.

use std::collections::BTreeSet;

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl as _;
use jaas_core::event::EventKind;
use jaas_core::store::{AuditNote, EventAdmin as _, EventQuery};
use jaas_core::{Clock as _, Delivery, SystemClock, Timestamp};
use jaas_diesel::meetings::{Meetings, Names};
use jaas_testkit::simulator::{Day, Facts};

use crate::world::{World, on_all, stop};

on_all! {
    the_tables_are_what_happened_and_a_full_replay_changes_nothing
    the_tables_are_rebuilt_from_the_stored_bodies
}

/// How many meetings, unless the environment says otherwise.
fn meetings_to_play() -> usize {
    std::env::var("JAAS_TEST_MEETINGS").ok().and_then(|number| number.parse().ok()).unwrap_or(40)
}

/// A generator of numbers that needs no crate.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The deliveries of a day of meetings: 30 % of them somewhere else, 5 % twice, 3 % of the departures lost; and what can be
/// known of each meeting.
fn day(seed: u64, meetings: usize) -> (Vec<Delivery>, Vec<Facts>) {
    let mut dice = Dice(seed);
    let (mut deliveries, mut facts) = (Vec::new(), Vec::new());
    for meeting in Day::new(seed).meetings(meetings).play() {
        let mut lost: BTreeSet<Timestamp> = BTreeSet::new();
        for delivery in meeting.deliveries() {
            if delivery.envelope.kind == EventKind::ParticipantLeft && dice.below(100) < 3 {
                lost.insert(delivery.occurred_at());
                continue;
            }
            if dice.below(100) < 5 {
                deliveries.push(delivery.clone());
            }
            deliveries.push(delivery);
        }
        facts.push(meeting.facts().without_leaves(&lost));
    }
    for index in 0..deliveries.len() {
        if dice.below(100) < 30 {
            let with = dice.below(deliveries.len() as u64) as usize;
            deliveries.swap(index, with);
        }
    }
    (deliveries, facts)
}

async fn check<W: World>(world: &W, meetings: &Meetings, facts: &[Facts]) {
    let mut connection = world.connection().await;
    for facts in facts {
        let stays = meetings.stays(&mut connection, &facts.session).await.expect("read");
        let sitting = meetings.sitting(&mut connection, &facts.session).await.expect("read").expect("a row");
        let attendance = meetings.attendance(&mut connection, &facts.session).await.expect("read");
        let checked = facts
            .check_stays(&stays)
            .and_then(|()| facts.check_sitting(&sitting))
            .and_then(|()| facts.check_attendance(&attendance.expect("known")));
        checked.unwrap_or_else(|report| panic!("{report}"));
        let present = meetings.present(&mut connection, &sitting.fqn).await.expect("read");
        assert!(present.people.is_empty() && present.lobby.is_empty(), "{present:?}");
    }
}

#[derive(diesel::QueryableByName, Debug, PartialEq)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Everything the tables hold.
async fn dump<C>(connection: &mut C) -> Vec<String>
where
    C: diesel_async::AsyncConnection,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, C, Line>,
{
    let columns = |nullable: &[&str]| {
        let columns = nullable.iter().map(|column| format!("COALESCE(CAST({column} AS CHAR(300)), '-')"));
        format!("CONCAT({})", columns.collect::<Vec<_>>().join(", ' ', "))
    };
    let mut lines = Vec::new();
    for (table, names) in [
        (
            "jaas_sittings",
            &[
                "session_id",
                "tenant",
                "room",
                "first_at",
                "opened_at",
                "last_opened_at",
                "last_closed_at",
                "ended_at",
            ][..],
        ),
        (
            "jaas_edges",
            &[
                "session_id",
                "event_key",
                "happened_at",
                "what",
                "place",
                "presence",
                "via",
                "reason",
                "user_id",
                "name",
            ],
        ),
        (
            "jaas_stays",
            &[
                "session_id",
                "presence",
                "place",
                "joined_at",
                "left_at",
                "estimated",
                "reason",
                "tenant",
                "room",
                "via",
                "user_id",
                "participant_id",
                "jid",
                "name",
            ],
        ),
    ] {
        let sql = format!("SELECT {} AS line FROM {table}", columns(names));
        let rows: Vec<Line> = diesel::sql_query(sql).load(connection).await.expect("read");
        lines.extend(rows.into_iter().map(|row| row.line));
    }
    lines.sort();
    lines
}

async fn the_tables_are_what_happened_and_a_full_replay_changes_nothing<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>,
{
    let (deliveries, facts) = day(7, meetings_to_play());
    let meetings = Meetings::builder().build().expect("built");
    let workers = world.work(&meetings, 3);
    world.accept(&deliveries).await;
    world.is_worked_off().await;
    check(world, &meetings, &facts).await;

    let before = dump(&mut world.connection().await).await;
    assert!(before.len() > deliveries.len() / 5, "{} lines", before.len());
    assert!(
        !before.iter().any(|line| line.contains("Fatima")),
        "names are not kept unless they are asked for"
    );
    let audit = AuditNote::new("test", "everything once more");
    let mut query = EventQuery { endpoint: Some("main".into()), ..EventQuery::default() };
    loop {
        let page = world.store().replay_matching(&query, &audit, SystemClock.now()).await.expect("replayed");
        match page.next {
            Some(next) => query.page.after = Some(next),
            None => break,
        }
    }
    world.is_worked_off().await;
    assert_eq!(dump(&mut world.connection().await).await, before);
    stop(workers).await;
}

async fn the_tables_are_rebuilt_from_the_stored_bodies<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>,
{
    let (deliveries, facts) = day(8, 12);
    let meetings = Meetings::builder().names(Names::Keep).build().expect("built");
    world.handle(&meetings, &deliveries).await;
    let mut connection = world.connection().await;
    let before = dump(&mut connection).await;
    assert!(before.iter().any(|line| line.contains("Fatima")), "names are kept");

    for table in ["jaas_stays", "jaas_sittings", "jaas_edges"] {
        let some = format!("DELETE FROM {table} WHERE session_id < 'a'");
        diesel_async::SimpleAsyncConnection::batch_execute(&mut connection, &some).await.expect("deleted");
    }
    diesel_async::SimpleAsyncConnection::batch_execute(
        &mut connection,
        "UPDATE jaas_stays SET left_at = 1, estimated = 1, name = 'Mallory'",
    )
    .await
    .expect("spoilt");
    assert_ne!(dump(&mut connection).await, before);
    let (from, until) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
    let rebuilt = meetings.rebuild(&mut connection, &world.store(), from, until).await.expect("rebuilt");
    assert_eq!(rebuilt.sessions, 12);
    assert_eq!(dump(&mut connection).await, before);
    check(world, &meetings, &facts).await;
}
