//! Whole days of random meetings: the tables say what happened.
//!
//! `JAAS_TEST_MEETINGS` is how many; 40 unless it is set.

use std::collections::BTreeSet;

use jaas_core::event::EventKind;
use jaas_core::meetings::{DeviceKey, TimePageRequest};
use jaas_core::store::{AuditNote, EventAdmin as _, EventQuery};
use jaas_core::{Clock as _, Delivery, SystemClock, Timestamp};
use jaas_diesel::meetings::{Meetings, Names};
use jaas_testkit::simulator::{Day, Facts, billable_devices};
use serde_json::json;

use crate::meetings::dump::{Line, TABLES, dump};
use crate::meetings::world::{World, on_all, stop};

on_all! {
    the_tables_are_what_happened_and_a_full_replay_changes_nothing
    the_tables_are_rebuilt_from_the_stored_bodies
}

fn meetings_to_play() -> usize {
    std::env::var("JAAS_TEST_MEETINGS").ok().and_then(|number| number.parse().ok()).unwrap_or(40)
}

/// A generator of numbers that needs no crate.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The deliveries of a day of meetings: 30 % of them somewhere else, 5 % twice, 3 % of the departures lost, 10 % of the rooms opened
/// again in the same session; and what can be known of each meeting.
pub(crate) fn day(seed: u64, meetings: usize) -> (Vec<Delivery>, Vec<Facts>) {
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
        let mut known = meeting.facts().without_leaves(&lost);
        let end = known.ended_at.filter(|_| dice.below(100) < 10);
        if let Some((end, first)) = end.zip(deliveries.last().map(|last| last.envelope.clone())) {
            let at = |secs| end.saturating_add(std::time::Duration::from_secs(secs));
            for (kind, at) in [("ROOM_CREATED", at(60)), ("ROOM_DESTROYED", at(120))] {
                let body = json!({
                    "idempotencyKey": format!("{}-{kind}-again", known.session), "eventType": kind, "sessionId": known.session,
                    "fqn": first.fqn.as_str(), "timestamp": at.as_millis(), "data": {},
                });
                deliveries.push(Delivery::parse("main", at, body.to_string().into()).expect("an envelope"));
            }
            known.ended_at = Some(at(120));
        }
        facts.push(known);
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
        let talk = meetings.talk_time(&mut connection, &facts.session).await.expect("read");
        let polls = meetings.polls(&mut connection, &facts.session).await.expect("read");
        let reactions = meetings.reactions(&mut connection, &facts.session).await.expect("read");
        let page = TimePageRequest { limit: 1000, ..TimePageRequest::first() };
        let feedback = meetings.feedback(&mut connection, Some(&facts.session), &page).await.expect("read");
        let transcript = meetings.transcript(&mut connection, &facts.session).await.expect("read");
        let view = meetings.meeting(&mut connection, &facts.session).await.expect("read").expect("known");
        let checked = checked
            .and_then(|()| facts.check_talk(&talk))
            .and_then(|()| facts.check_polls(&polls))
            .and_then(|()| facts.check_reactions(&reactions))
            .and_then(|()| facts.check_feedback(&feedback.items))
            .and_then(|()| facts.check_phrases(&transcript.phrases))
            .and_then(|()| facts.check_marks(&view.marks));
        checked.unwrap_or_else(|report| panic!("{report}"));
        let present = meetings.present(&mut connection, &sitting.fqn).await.expect("read");
        assert!(present.people.is_empty() && present.lobby.is_empty(), "{present:?}");
    }
    let app = &facts.first().expect("a meeting").app;
    let devices = meetings.monthly_devices(&mut connection, app, None, 12).await.expect("read");
    let counts: Vec<_> = devices.iter().map(|one| (one.month.to_string(), one.devices)).collect();
    assert_eq!(counts, [("2026-11".to_owned(), billable_devices(facts).len() as u64)]);
}

/// Everything is kept, names if they are asked for.
pub(crate) fn meetings(names: Names) -> Meetings {
    let key = DeviceKey::new("0123456789abcdef").expect("long enough");
    Meetings::builder().names(names).devices(key).phrases(true).build().expect("built")
}

async fn the_tables_are_what_happened_and_a_full_replay_changes_nothing<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>,
{
    let (deliveries, facts) = day(7, meetings_to_play());
    let meetings = meetings(Names::Drop);
    let begun = std::time::Instant::now();
    let workers = world.work(&meetings, 3);
    world.accept(&deliveries).await;
    world.is_worked_off().await;
    eprintln!("{} events accepted and worked off in {:?}", deliveries.len(), begun.elapsed());
    let begun = std::time::Instant::now();
    check(world, &meetings, &facts).await;
    eprintln!("{} meetings checked in {:?}", facts.len(), begun.elapsed());

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
    let meetings = meetings(Names::Keep);
    world.handle(&meetings, &deliveries).await;
    let mut connection = world.connection().await;
    let before = dump(&mut connection).await;
    assert!(before.iter().any(|line| line.contains("Fatima")), "names are kept");

    for (table, _) in TABLES {
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
