//! What was said, asked and felt, and which devices count.

use jaas_core::meetings::{DeviceKey, Month, TimePageRequest};
use jaas_core::store::{AuditNote, EventAdmin as _};
use jaas_core::{AppId, Clock as _, Delivery, Personal, SessionId, SystemClock};
use jaas_diesel::meetings::{Meetings, Names};
use serde_json::{Value, json};

use crate::meetings::dump::{Line, TABLES, dump, tables_of};
use crate::meetings::world::{World, closed, event, joined, on_all, opened};

on_all! {
    every_question_has_its_answer
    typed_texts_are_kept_only_if_names_are
    an_erased_session_leaves_no_row_in_any_table
}

fn key() -> DeviceKey {
    DeviceKey::new("0123456789abcdef").expect("long enough")
}

fn meetings(names: Names) -> Meetings {
    Meetings::builder().names(names).devices(key()).phrases(true).build().expect("built")
}

/// A session with a row for each table.
fn session(session: &str) -> Vec<Delivery> {
    let about = |kind: &str, secs, data: Value| event(session, kind, secs, &data);
    let chunk = |secs, id: &str, text: &str| {
        let speaker = json!({"id": "p", "userId": "user-p"});
        about(
            "TRANSCRIPTION_CHUNK_RECEIVED",
            secs,
            json!({"messageID": id, "final": text, "participant": speaker}),
        )
    };
    let answer = |secs, ticked: bool| {
        let options = json!([{"key": 1, "name": "Once", "value": ticked}, {"key": 2, "name": "Twice", "value": !ticked}]);
        about(
            "POLL_ANSWER",
            secs,
            json!({"pollId": "poll", "answers": options, "user": {"participantJid": "p@8x8.vc"}}),
        )
    };
    vec![
        opened(session, 1),
        joined(session, 2, "p"),
        about("RECORDING_STARTED", 3, json!({})),
        about("USAGE", 4, json!([{"deviceId": "one"}, {"deviceId": "+15550100"}, {"deviceId": "one"}])),
        chunk(11, "m1", " Hello <all>"),
        chunk(12, "m2", " Good bye"),
        chunk(13, "m1", " Hello all"),
        about(
            "POLL_CREATED",
            20,
            json!({"pollId": "poll", "question": "How often?",
                   "answers": [{"key": 1, "name": "Once"}, {"key": 2, "name": "Twice"}], "user": {"id": "user-p"}}),
        ),
        answer(22, false),
        answer(21, true),
        about("REACTIONS", 30, json!({"participantId": "user-p", "reactions": ["like", "like", "clap"]})),
        about("FEEDBACK", 40, json!({"rating": 5, "comments": "Fine", "userId": "user-p"})),
        about("FEEDBACK", 41, json!({"rating": -1})),
        closed(session, 50),
        about("SPEAKER_STATS", 51, json!({"p@8x8.vc/r": {"time": 4000, "id": "user-p"}})),
        about("AGGREGATED_REACTIONS", 60, json!([{"participantId": "user-p", "reaction": "like"}])),
    ]
}

async fn every_question_has_its_answer<W: World>(world: &W) {
    let meetings = meetings(Names::Keep);
    let mut events = session("s1");
    events.reverse();
    world.handle(&meetings, &events).await;
    world.handle(&meetings, &session("s2")).await;
    let (s1, mut connection) = (SessionId::new("s1"), world.connection().await);
    let connection = &mut connection;

    let talk = meetings.talk_time(connection, &s1).await.expect("read");
    assert_eq!((talk.len(), talk[0].talked.as_secs()), (1, 4));
    let polls = meetings.polls(connection, &s1).await.expect("read");
    assert_eq!(polls[0].votes().into_iter().collect::<Vec<_>>(), [(1, 0), (2, 1)]);
    assert_eq!(polls[0].asked.question.as_ref().map(Personal::expose), Some("How often?"));
    assert_eq!(polls[0].asked.options[1].1.as_ref().map(Personal::expose), Some("Twice"));
    let reactions = meetings.reactions(connection, &s1).await.expect("read");
    let counts: Vec<_> = reactions.iter().map(|one| (one.reaction.as_str(), one.count)).collect();
    assert_eq!(counts, [("like", 2), ("clap", 1)]);

    // Of all sessions, in pages, and of one.
    let mut page = TimePageRequest { limit: 1, ..TimePageRequest::first() };
    let mut given = Vec::new();
    loop {
        let some = meetings.feedback(connection, None, &page).await.expect("read");
        given.extend(some.items.iter().map(|one| (one.at.as_millis() / 1000, one.stars)));
        match some.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(given, [(41, None), (41, None), (40, Some(5)), (40, Some(5))]);
    let of_one = meetings.feedback(connection, Some(&s1), &TimePageRequest::first()).await.expect("read");
    assert_eq!(of_one.items.len(), 2);
    assert_eq!(of_one.items[1].comments.as_ref().map(Personal::expose), Some("Fine"));

    let mut page = TimePageRequest { limit: 2, ..TimePageRequest::first() };
    let first = meetings.phrases(connection, &s1, &page).await.expect("read");
    page.after = first.next;
    let second = meetings.phrases(connection, &s1, &page).await.expect("read");
    assert_eq!((first.items.len(), second.items.len(), second.next), (2, 1, None));
    let transcript = meetings.transcript(connection, &s1).await.expect("read");
    assert_eq!(transcript.to_text(), "[00:00:11] P: Good bye\n[00:00:12] P: Hello all\n");
    assert!(transcript.to_webvtt().contains("<v P>Hello all"), "{}", transcript.to_webvtt());
    assert_eq!(transcript.to_json()[0]["text"], "Good bye");

    let app = AppId::new("VPAAS-magic-cookie-1");
    let devices = meetings.monthly_devices(connection, &app, None, 12).await.expect("read");
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].month, devices[0].devices), (Month::new(1970, 1).expect("a month"), 2));
    let before = Month::new(1970, 1);
    assert_eq!(meetings.monthly_devices(connection, &app, before, 12).await.expect("read"), []);
}

async fn typed_texts_are_kept_only_if_names_are<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>,
{
    let (from, until) = (jaas_core::Timestamp::from_secs(0), jaas_core::Timestamp::from_secs(100));
    world.handle(&meetings(Names::Drop), &session("s1")).await;
    let mut connection = world.connection().await;
    let personal = ["How often", "Twice", "Fine", "15550100", "one"];
    let lines = dump(&mut connection).await;
    assert!(!lines.iter().any(|line| personal.iter().any(|text| line.contains(text))), "{lines:#?}");
    // Phrases are kept because they are asked for, without names.
    assert!(lines.iter().any(|line| line.contains("Good bye")));
    // The choice can be changed for the bodies that are still there.
    meetings(Names::Keep).rebuild(&mut connection, &world.store(), from, until).await.expect("rebuilt");
    let lines = dump(&mut connection).await;
    let kept = |text: &&&str| lines.iter().any(|line| line.contains(**text));
    assert_eq!(personal.iter().filter(kept).count(), 3, "{lines:#?}");
    let none = Meetings::builder().build().expect("built");
    none.rebuild(&mut connection, &world.store(), from, until).await.expect("rebuilt");
    assert_eq!(tables_of(&dump(&mut connection).await, "s1"), TABLES.len() - 2, "no devices, no phrases");
}

async fn an_erased_session_leaves_no_row_in_any_table<W>(world: &W)
where
    W: World,
    diesel::query_builder::SqlQuery: diesel_async::methods::LoadQuery<'static, W::Connection, Line>,
{
    let meetings = meetings(Names::Keep);
    for name in ["s1", "s2", "s3"] {
        world.handle(&meetings, &session(name)).await;
        assert_eq!(tables_of(&dump(&mut world.connection().await).await, name), TABLES.len());
    }
    let (s1, s2) = (SessionId::new("s1"), SessionId::new("s2"));
    let audit = AuditNote::new("test", "asked for");
    world.store().erase_session(&s1, &audit, SystemClock.now()).await.expect("erased");
    meetings.erase(&mut world.connection().await, &s2).await.expect("erased");
    let lines = dump(&mut world.connection().await).await;
    assert_eq!((tables_of(&lines, "s1"), tables_of(&lines, "s2")), (0, 0));
    assert_eq!(tables_of(&lines, "s3"), TABLES.len());
}
