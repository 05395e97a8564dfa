//! Tables, pictures and transcripts.

use jaas_core::event::EventKind;
use jaas_core::meetings::{Attendance, Edge, Mark, Phrase, Sitting, Timeline, Transcript, stays};
use jaas_core::{Delivery, SessionId, Timestamp};
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{at, edge, event, left};

/// 2020-09-24T12:00:00Z
const NOON: i64 = 1_600_948_800;

fn edges(name: &str) -> Vec<Edge> {
    let who = json!({"participantId": "p", "id": "ada", "name": name, "email": "ada@example.org"});
    vec![
        edge("ROOM_CREATED", NOON, &json!({})),
        edge("PARTICIPANT_JOINED", NOON + 90, &who),
        left(NOON + 1890, "p", None, "left"),
        edge("DIAL_IN_STARTED", NOON + 100, &json!({"participantId": "c", "nick": "+4930 (+4930)"})),
        edge("ROOM_DESTROYED", NOON + 1900, &json!({})),
    ]
}

fn attendance(edges: &[Edge]) -> Attendance {
    Attendance::of(&Sitting::of(edges).expect("a sitting"), &stays(edges), at(NOON + 4000))
}

/// The cells of a table, read as RFC 4180 says.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut characters = csv.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut cell)),
            '\r' if !quoted && characters.next_if_eq(&'\n').is_some() => {
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            other => cell.push(other),
        }
    }
    assert!(line.is_empty() && cell.is_empty() && !quoted, "the last line is not ended: {csv}");
    lines
}

#[test]
fn attendance_is_a_table_with_a_line_of_names() {
    let csv = attendance(&edges("Ada")).to_csv();
    assert_eq!(
        csv,
        "user_id,name,first_joined,last_left,minutes,stays,estimated,late_by_minutes,via,visitor,presence,email\r\n\
         ada,Ada,2020-09-24T12:01:30.000Z,2020-09-24T12:31:30.000Z,30.00,1,false,1.50,participant,false,p,ada@example.org\r\n\
         ,'+4930,2020-09-24T12:01:40.000Z,2020-09-24T12:31:40.000Z,30.00,1,true,1.67,dial_in,false,c,\r\n"
    );
}

#[test]
fn a_table_has_the_times_of_the_zone_that_was_asked_for() {
    let csv = attendance(&edges("Ada")).to_csv_in(&TimeZone::fixed(Offset::constant(2)));
    assert!(csv.contains("2020-09-24T14:01:30.000+02:00"), "{csv}");
}

#[test]
fn the_same_as_json() {
    let json = attendance(&edges("Ada")).to_json();
    assert_eq!((&json["session_id"], &json["room"]), (&json!("s"), &json!("math")));
    assert_eq!(json["ended_at"], "2020-09-24T12:31:40.000Z");
    assert_eq!(json["people"][0]["minutes"], json!(30.0));
    assert_eq!(
        json["people"][0]["intervals"],
        json!([["2020-09-24T12:01:30.000Z", "2020-09-24T12:31:30.000Z"]])
    );
    assert_eq!((&json["people"][1]["user_id"], &json["people"][1]["visitor"]), (&Value::Null, &json!(false)));
}

proptest! {
    #[test]
    fn whatever_the_name_the_table_is_read_back_and_is_no_formula(name in "[-=+@\"',;\\r\\n\\t a-c\u{a0}<&]{1,12}") {
        let table = attendance(&edges(&name));
        let read = cells(&table.to_csv());
        prop_assert_eq!(read.len(), 3);
        prop_assert!(read.iter().all(|line| line.len() == 12));
        let cell = &read[1][1];
        prop_assert!(*cell == name || *cell == format!("'{name}"), "{cell:?} of {name:?}");
        prop_assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell:?}");
        // Neither is the picture broken by it.
        let edges = edges(&name);
        let svg = Timeline::of(&table, &stays(&edges), at(NOON + 4000)).to_string();
        let texts = svg.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "").replace("&quot;", "");
        prop_assert!(!texts.contains('&'));
        prop_assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}

#[test]
fn the_timeline_has_a_bar_for_each_stay() {
    let edges = edges("Ada <3");
    let timeline = Timeline::of(&attendance(&edges), &stays(&edges), at(NOON + 4000));
    let svg = timeline.in_zone(TimeZone::fixed(Offset::constant(1))).to_string();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<title>main room").count(), 2);
    assert_eq!(svg.matches("end estimated").count(), 1, "the phone never hung up");
    assert!(svg.contains(">Ada &lt;3<") && svg.contains("main room 13:01–13:31"), "{svg}");
}

#[test]
fn a_meeting_without_length_has_a_timeline_too() {
    let edges = [edge("ROOM_CREATED", NOON, &json!({}))];
    let svg = Timeline::of(&attendance(&edges), &[], at(NOON)).to_string();
    assert!(svg.contains("math") && !svg.contains("NaN"), "{svg}");
}

#[test]
fn the_timeline_shows_recordings_and_other_moments_below_the_people() {
    let edges = edges("Ada");
    let mark = |kind, secs| Mark::new(SessionId::new("s-1"), at(secs), kind);
    let marks = [
        mark(EventKind::RecordingUploaded, NOON + 7200),
        mark(EventKind::RecordingEnded, NOON + 1200),
        mark(EventKind::RecordingStarted, NOON + 600),
        mark(EventKind::TranscriptionStarted, NOON + 900),
        mark(EventKind::ChatUploaded, 0),
    ];
    let timeline = Timeline::of(&attendance(&edges), &stays(&edges), at(NOON + 4000)).marks(&marks);
    let svg = timeline.ticks("Events", [(at(NOON + 60), "<b> done".to_owned())]).to_string();
    assert!(svg.contains("<title>Recording 12:10–12:20</title>"), "{svg}");
    assert!(svg.contains("<title>Transcription 12:15–14:00</title>"), "it has no end: {svg}");
    assert!(svg.contains("<title>14:00 RECORDING_UPLOADED</title>"), "after the meeting: {svg}");
    assert!(
        svg.contains(r##"<path d="M180 "##) && svg.contains("00:00 CHAT_UPLOADED"),
        "a clock of 1970: {svg}"
    );
    assert!(svg.contains("main room 12:01–12:31"), "{svg}");
    assert!(svg.contains("<title>12:01 &lt;b&gt; done</title>") && !svg.contains("Live stream"), "{svg}");
}

fn chunk(secs: i64, id: &str, text: &str, speaker: &Value) -> Delivery {
    event(
        "TRANSCRIPTION_CHUNK_RECEIVED",
        secs,
        &json!({"final": text, "language": "en", "messageID": id, "participant": speaker}),
    )
}

fn transcript(deliveries: &[Delivery]) -> Transcript {
    let who = edges("Ada");
    Transcript::of(at(NOON), deliveries.iter().filter_map(Phrase::of), &stays(&who))
}

#[test]
fn phrases_are_in_order_each_once_and_named_from_the_stay() {
    let deliveries = [
        chunk(NOON + 130, "m2", " Fish & <chips>.", &json!({"id": "x", "name": "Ben"})),
        chunk(NOON + 100, "m1", " Let us\nbegin.", &json!({"id": "p"})),
        chunk(NOON + 130, "m2", " Fish & <chips>.", &json!({"id": "x", "name": "Ben"})),
        chunk(NOON + 131, "m3", "Yes.", &json!({"userId": "ada"})),
        chunk(NOON + 150, "m4", "Who am I?", &json!({"id": "nobody"})),
        chunk(NOON + 160, "m5", "  ", &json!({"id": "p"})),
    ];
    let transcript = transcript(&deliveries);
    assert_eq!(
        transcript.to_text(),
        "[00:01:40] Ada: Let us begin.\n[00:02:10] Ben: Fish & <chips>.\n[00:02:11] Ada: Yes.\n\
         [00:02:30] guest: Who am I?\n"
    );
    assert_eq!(
        transcript.to_webvtt(),
        "WEBVTT\n\n00:01:39.000 --> 00:01:40.000\n<v Ada>Let us begin.\n\n\
         00:02:09.000 --> 00:02:10.000\n<v Ben>Fish &amp; &lt;chips&gt;.\n\n\
         00:02:10.000 --> 00:02:11.000\n<v Ada>Yes.\n\n00:02:29.000 --> 00:02:30.000\n<v guest>Who am I?\n"
    );
    let json = transcript.to_json();
    assert_eq!((&json[0]["message_id"], &json[0]["name"]), (&json!("m1"), &json!("Ada")));
    assert_eq!(json[0]["at"], "2020-09-24T12:01:40.000Z");
}

proptest! {
    #[test]
    fn a_transcript_is_the_same_in_any_order_and_its_captions_do_not_overlap(
        said in prop::collection::vec((0_i64..30, 0_u8..6, "[a-c]{1,80}"), 0..12)
    ) {
        let mut deliveries: Vec<Delivery> = said
            .iter()
            .map(|(secs, id, text)| chunk(NOON + secs, &format!("m{id}"), text, &json!({"id": "p"})))
            .collect();
        let one = transcript(&deliveries);
        deliveries.reverse();
        deliveries.extend(deliveries.clone());
        let other = transcript(&deliveries);
        prop_assert_eq!(&one, &other);
        let vtt = one.to_webvtt();
        let mut last = String::new();
        for line in vtt.lines().filter(|line| line.contains(" --> ")) {
            let (start, end) = line.split_once(" --> ").expect("two times");
            prop_assert!(last.as_str() <= start && start < end, "{}", vtt);
            last = end.to_owned();
        }
    }
}

#[test]
fn a_phrase_hides_what_was_said() {
    let phrase = Phrase::of(&chunk(1, "m", "my PIN is 1234", &json!({"name": "Ada"}))).expect("a phrase");
    let shown = format!("{phrase:?}");
    assert!(!shown.contains("PIN") && !shown.contains("Ada"), "{shown}");
    assert_eq!(phrase.at, Timestamp::from_secs(1));
}
