//! The radar in a stream of events: what it finds, what it logs, and what it does not keep.
#![allow(clippy::expect_used, clippy::panic)]

#[path = "support/lines.rs"]
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::drift::{
    Drift, DriftKind, DriftRecord, DriftRecorder, DriftStore as _, Radar, drifts, fixture,
};
use jaas_core::event::{CallDirection, DisconnectReason, Event, Reaction};
use jaas_core::store::{EventStore as _, MemoryStore, PageRequest};
use jaas_core::telemetry::target;
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerResult, Timestamp};
use jaas_testkit::fixture::{CASES, DOCUMENTED, EVENTS, of, with_key};
use serde_json::{Value, json};

use crate::lines::Lines;

const NOW: Timestamp = Timestamp::from_secs(1_795_420_800);

fn delivery(body: &str) -> Delivery {
    Delivery::parse("main", NOW, body.to_owned().into()).expect("an envelope")
}

fn drift(kind: DriftKind, event_type: &str, field: &str, detail: &str) -> Drift {
    Drift::new(kind, event_type, field, detail)
}

fn data(event_type: &str, data: &Value) -> Delivery {
    delivery(&json!({"idempotencyKey": "k", "eventType": event_type, "data": data}).to_string())
}

/// Counts what it gets.
struct Counts(Arc<std::sync::atomic::AtomicU64>);

#[async_trait]
impl EventHandler for Counts {
    async fn any_event(&self, _: &mut Context<'_>, _: &Event) -> HandlerResult {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Handled::Done)
    }
}

/// A body of this type with one more member: in the envelope, in `data`, or in each element of `data`.
fn with(event_type: &str, place: &str, name: &str, value: Value) -> String {
    let fixture = EVENTS.iter().find(|fixture| fixture.name == event_type).expect("an event");
    let mut body: Value = serde_json::from_str(fixture.body).expect("JSON");
    match place {
        "envelope" => body[name] = value,
        "element" => body["data"][0][name] = value,
        _ => body["data"][name] = value,
    }
    body.to_string()
}

/// What this version does not know, and bodies that have it.
fn invented() -> Vec<(Drift, String)> {
    let of_type = |name: &str| {
        let body = json!({
            "idempotencyKey": "k", "eventType": name, "sessionId": "s", "timestamp": 1_795_420_800_001_i64,
            "data": {"owner": "Zoe Hidden", "zoe.hidden@example.org": {"phone": "15550100999"}},
        });
        (drift(DriftKind::Type, name, "", ""), body.to_string())
    };
    let field = |event_type: &str, place: &str, path: &str, value: Value, json_type: &str| {
        let name = path.rsplit('.').next().expect("a name");
        (drift(DriftKind::Field, event_type, path, json_type), with(event_type, place, name, value))
    };
    vec![
        of_type("WHITEBOARD_OPENED"),
        of_type("HAND_RAISED"),
        of_type("ODD\nTYPE"),
        field("PARTICIPANT_JOINED", "data", "data.mood", json!("Zoe Hidden is glad"), "string"),
        field("PARTICIPANT_LEFT", "data", "data.seat", json!(15_550_100_999_i64), "number"),
        field("ROOM_CREATED", "data", "data.theme", json!({"owner": "zoe.hidden@example.org"}), "object"),
        field("USAGE", "element", "data.plan", json!(["Zoe Hidden"]), "list"),
        field("RECORDING_UPLOADED", "envelope", "region", json!("https://example.org/zoe"), "string"),
    ]
}

#[tokio::test]
async fn in_a_hundred_thousand_events_each_new_thing_is_found_logged_once_and_kept_without_a_value() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let store = Arc::new(MemoryStore::new());
    let new = invented();
    let usual: Vec<Delivery> = EVENTS.iter().map(|fixture| delivery(fixture.body)).collect();
    let variants: BTreeMap<&str, Delivery> =
        new.iter().map(|(drift, body)| (drift.event_type.as_str(), delivery(body))).collect();
    // Their rows are the examples.
    for (number, (_, body)) in new.iter().enumerate() {
        store
            .accept(delivery(&with_key(body, &format!("example-{number}")).expect("a key")))
            .await
            .expect("accepted");
    }

    let handled = Arc::default();
    // Two processes, one after the other, on one store.
    for _ in 0..2 {
        let radar = Radar::new();
        let handler = radar.watch(Counts(Arc::clone(&handled)));
        let recorder = DriftRecorder::new(radar, store.clone()).interval(Duration::from_millis(50));
        let recorder = recorder.spawn().expect("spawned");
        for number in 0..50_000_u64 {
            // A tenth of the events of a type has its new field; a new type is one event in some thousands.
            let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let event = &usual[number as usize % usual.len()];
            let event_type = &*event.envelope.event_type;
            let unknown = ["WHITEBOARD_OPENED", "HAND_RAISED", "ODD\nTYPE"].get(scattered as usize % 5000);
            let event = match unknown {
                Some(event_type) => &variants[event_type],
                None if scattered % 10 == 0 => variants.get(event_type).unwrap_or(event),
                None => event,
            };
            event.handle(&handler, &mut ()).await.expect("handled");
        }
        recorder.stop().await;
    }
    assert_eq!(handled.load(std::sync::atomic::Ordering::Relaxed), 100_000);

    let records = store.drift_records(PageRequest::first()).await.expect("listed").items;
    let kept: BTreeSet<Drift> = records
        .iter()
        .map(|record| drift(record.kind, &record.event_type, &record.field, &record.detail))
        .collect();
    assert_eq!(kept, new.iter().map(|(drift, _)| drift.clone()).collect(), "all of it and nothing else");
    let logged: Vec<String> = lines.of(target::WORK);
    assert_eq!(logged.len(), new.len(), "each once: {logged:#?}");
    let all = logged.join("\n");
    assert!(all.contains(r"ODD\\nTYPE") && all.contains("data.mood") && all.contains("number"), "{all}");
    assert!(!all.to_lowercase().contains("zoe") && !all.contains("155501"), "{all}");
    for record in &records {
        assert_eq!((record.first_seen, record.last_seen), (NOW, NOW));
        assert!(record.count >= 2, "{record:?}");
        loads(record);
    }
}

/// Its fixture is a body as the testkit has them: of the same type, with the same news, and of no person.
fn loads(record: &DriftRecord) {
    let fixture = record.fixture.as_ref().expect("a fixture");
    let body = with_key(fixture, "k-of-a-test").expect("a key");
    let loaded = delivery(&body);
    assert_eq!(loaded.envelope.idempotency_key, "k-of-a-test");
    assert_eq!(loaded.envelope.event_type, record.event_type);
    let wanted = drift(record.kind, &record.event_type, &record.field, &record.detail);
    assert_eq!(drifts(&loaded), [wanted], "{fixture}");
    assert_eq!(loaded.undecoded_fields(), Vec::<&str>::new(), "the fields that are known decode: {fixture}");
    let lower = fixture.to_lowercase();
    for value in ["zoe", "ada", "155501", "c2824d58", "7f4c1a52", "3988218d", "1795420800"] {
        assert!(!lower.contains(value), "{value}: {fixture}");
    }
}

#[test]
fn words_and_json_types_are_news_and_what_means_none_is_not() {
    for (event, expected) in [
        (
            data("PARTICIPANT_LEFT", &json!({"disconnectReason": "teleported"})),
            vec![drift(DriftKind::Word, "PARTICIPANT_LEFT", "data.disconnectReason", "teleported")],
        ),
        (
            data("PARTICIPANT_LEFT", &json!({"disconnectReason": "Ada left, ada@example.org"})),
            vec![drift(DriftKind::Word, "PARTICIPANT_LEFT", "data.disconnectReason", "(odd)")],
        ),
        (
            data("REACTIONS", &json!({"reactions": ["like", "wave", "wave"]})),
            vec![drift(DriftKind::Word, "REACTIONS", "data.reactions", "wave")],
        ),
        (
            data("ROLE_CHANGED", &json!({"grantedTo": {"id": {"a": 1}, "badge": true}})),
            vec![
                drift(DriftKind::Field, "ROLE_CHANGED", "data.grantedTo.badge", "bool"),
                drift(DriftKind::JsonType, "ROLE_CHANGED", "data.grantedTo.id", "object"),
            ],
        ),
        (
            data("ROOM_CREATED", &json!({"isBreakout": 7})),
            vec![drift(DriftKind::JsonType, "ROOM_CREATED", "data.isBreakout", "number")],
        ),
        (
            data("ROOM_CREATED", &json!("text")),
            vec![drift(DriftKind::JsonType, "ROOM_CREATED", "data", "string")],
        ),
        (
            data(
                "SPEAKER_STATS",
                &json!({"a@8x8.vc/1": {"time": 1, "words": 9}, "b@8x8.vc/2": {"words": 8}}),
            ),
            vec![drift(DriftKind::Field, "SPEAKER_STATS", "data.words", "number")],
        ),
        (
            data("ROOM_CREATED", &json!({"ada@example.org": 1})),
            vec![drift(DriftKind::Field, "ROOM_CREATED", "data.(odd)", "number")],
        ),
        (
            data(
                "PARTICIPANT_LEFT",
                &json!({"mood": null, "seat": "", "list": [], "moderator": "true", "name": {}}),
            ),
            vec![],
        ),
    ] {
        assert_eq!(drifts(&event), expected, "{}", event.data());
    }
    let odd = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","timestamp":"soon","data":{}}"#;
    let expected = [drift(DriftKind::JsonType, "ROOM_CREATED", "timestamp", "string")];
    assert_eq!(drifts(&delivery(odd)), expected);
}

#[test]
fn the_testkits_own_events_are_not_news() {
    for fixture in EVENTS {
        assert_eq!(drifts(&delivery(fixture.body)), [], "{}", fixture.name);
    }
    assert_eq!(of(jaas_core::event::EventKind::RoomCreated).name, "ROOM_CREATED");
}

/// Every text of every event that is not the word of a field with words is gone.
#[test]
fn a_fixture_keeps_no_value_and_every_type() {
    let mut redacted = 0;
    for event in EVENTS.iter().chain(DOCUMENTED).chain(CASES) {
        let delivery = delivery(event.body);
        let Some(fixture) = fixture(&delivery) else { continue };
        redacted += 1;
        let kept: Value = serde_json::from_str(&fixture).expect("JSON");
        let new_words: BTreeSet<String> = drifts(&delivery)
            .into_iter()
            .filter(|drift| drift.kind == DriftKind::Word)
            .map(|drift| drift.detail)
            .collect();
        let mut texts = BTreeSet::new();
        collect(&kept["data"], &mut texts);
        for text in texts {
            let placeholder =
                ["", "text", "true", "false", "1", "https://files.example/file"].contains(&text.as_str());
            assert!(
                placeholder || is_word(&text) || new_words.contains(&text),
                "{}: {text:?} in {fixture}",
                event.name
            );
        }
        let again = Delivery::parse("main", NOW, fixture.clone().into()).expect("an envelope");
        let names = |drift: Drift| (drift.kind, drift.field);
        let before: BTreeSet<_> = drifts(&delivery).into_iter().map(names).collect();
        let after: BTreeSet<_> = drifts(&again).into_iter().map(names).collect();
        assert!(after.is_subset(&before), "{}: {after:?} {before:?}", event.name);
    }
    assert!(redacted > 120, "{redacted}");
}

fn is_word(text: &str) -> bool {
    !matches!(DisconnectReason::from(text), DisconnectReason::Other(_))
        || !matches!(Reaction::from(text), Reaction::Other(_))
        || !matches!(CallDirection::from(text), CallDirection::Other(_))
}

fn collect(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(texts.insert(text.clone())),
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, texts)),
        Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
        _ => {}
    }
}

#[tokio::test]
async fn claims_that_the_application_knows_are_not_news_and_a_retry_counts_once() {
    let radar = Radar::new().knows(["department"]).one_in(1);
    let handler = radar.watch(Counts(Arc::default()));
    let event = data("PARTICIPANT_JOINED", &json!({"department": "maths", "mood": "good"}));
    for attempt in 1..4 {
        event.clone().with_attempt(attempt).handle(&handler, &mut ()).await.expect("handled");
    }
    let taken = radar.take();
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert_eq!((taken[0].drift.field.as_str(), taken[0].count), ("data.mood", 1));
    assert_eq!(radar.take(), [], "it was taken");
    radar.observe(&event);
    assert_eq!(radar.take()[0].count, 1, "and is counted again");
}

#[tokio::test]
async fn more_things_than_the_memory_is_for_are_passed_over() {
    let radar = Radar::new();
    for number in 0..3000_u64 {
        // A different name for each, without digits.
        let name: String = (0..6).map(|place| char::from(b'a' + (number >> (2 * place)) as u8 % 4)).collect();
        radar.observe(&data(&format!("NEW_{name}"), &Value::Null));
    }
    assert_eq!(radar.take().len(), 1000);
}
