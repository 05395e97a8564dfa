//! Each field separately: none is lost, and an odd one does no harm.

use std::sync::LazyLock;

use jaas_core::event::{Event, EventKind};
use jaas_testkit::fixture;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::parsing::*;

/// A fixture with a hole for one value anywhere in its `data`.
struct Hole {
    kind: EventKind,
    /// Where it is, as a JSON pointer.
    pointer: String,
    before: String,
    after: String,
    /// The original value.
    value: Value,
}

impl Hole {
    fn filled_with(&self, raw: &str) -> Event {
        let delivery = read(&format!("{}{raw}{}", self.before, self.after));
        assert_eq!((delivery.envelope.kind, text(&delivery.envelope.app_id)), (self.kind, Some(APP)));
        delivery.event()
    }

    /// The event without the field or element.
    fn removed(&self) -> Event {
        let mut body: Value =
            serde_json::from_str(&format!("{}null{}", self.before, self.after)).expect("JSON");
        let (parent, last) = self.pointer.rsplit_once('/').expect("a pointer");
        match body.pointer_mut(parent).expect("the parent") {
            Value::Object(fields) => drop(fields.remove(&last.replace("~1", "/").replace("~0", "~"))),
            Value::Array(elements) => drop(elements.remove(last.parse().expect("an index"))),
            other => panic!("{other} has no parts"),
        }
        read(&body.to_string()).event()
    }

    fn original(&self) -> Event {
        self.filled_with(&self.value.to_string())
    }
}

/// Every value inside the `data` of every fixture; `data` itself is not among them.
static HOLES: LazyLock<Vec<Hole>> = LazyLock::new(|| {
    let mut holes = Vec::new();
    for fixture in fixture::EVENTS {
        let body: Value = serde_json::from_str(fixture.body).expect("JSON");
        let mut pointers = Vec::new();
        pointers_in(&body["data"], "/data", &mut pointers);
        for pointer in pointers {
            let mut body = body.clone();
            let value = std::mem::replace(body.pointer_mut(&pointer).expect("a value"), "@hole@".into());
            let text = body.to_string();
            let (before, after) = text.split_once("\"@hole@\"").expect("the hole");
            let kind = EventKind::from_wire(fixture.name);
            holes.push(Hole { kind, pointer, before: before.to_owned(), after: after.to_owned(), value });
        }
    }
    holes
});

fn pointers_in(value: &Value, at: &str, pointers: &mut Vec<String>) {
    let parts: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), value))
            .collect(),
        Value::Array(elements) => {
            elements.iter().enumerate().map(|(n, value)| (format!("{at}/{n}"), value)).collect()
        }
        _ => Vec::new(),
    };
    for (pointer, value) in parts {
        pointers_in(value, &pointer, pointers);
        pointers.push(pointer);
    }
}

#[test]
fn every_value_of_every_fixture_is_in_the_typed_event() {
    for hole in HOLES.iter() {
        // `isBreakout` adds nothing to a `breakoutRoomId`, and `false` is what its absence means.
        if hole.value.is_null() || hole.pointer.ends_with("/isBreakout") {
            continue;
        }
        assert_ne!(hole.removed(), hole.original(), "{} {} is not decoded", hole.kind, hole.pointer);
    }
    assert!(HOLES.len() > 250, "only {} values were found", HOLES.len());
}

#[test]
fn removing_any_field_leaves_a_typed_event() {
    for hole in HOLES.iter() {
        assert_eq!(hole.removed().kind(), hole.kind, "{}", hole.pointer);
    }
}

#[test]
fn null_means_the_same_as_absent() {
    for hole in HOLES.iter() {
        assert_eq!(hole.filled_with("null"), hole.removed(), "{} {}", hole.kind, hole.pointer);
    }
}

#[test]
fn an_empty_text_means_the_same_as_absent() {
    for hole in HOLES.iter().filter(|hole| hole.value.is_string()) {
        assert_eq!(hole.filled_with("\"\""), hole.removed(), "{} {}", hole.kind, hole.pointer);
    }
}

#[test]
fn a_value_of_a_shape_that_fits_no_field_means_the_same_as_absent() {
    for hole in HOLES.iter().filter(|hole| !hole.value.is_object() && !hole.value.is_array()) {
        for raw in ["[1]", r#"{"a":[1]}"#, "[[[[[[]]]]]]"] {
            assert_eq!(hole.filled_with(raw), hole.removed(), "{} {} as {raw}", hole.kind, hole.pointer);
        }
    }
}

/// Any JSON value as text, including values that `serde_json::Value` cannot hold.
fn json() -> impl Strategy<Value = String> {
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).expect("JSON"));
    let odd = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "\"true\"",
        "0",
        "-0",
        "-1",
        "1e999",
        "-1E-999",
        "1.5",
        "\"\"",
        "\"1e5\"",
        "\" 7 \"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00x\"",
        "\"://@/\"",
        "[]",
        "{}",
        "[null]",
        "{\"\":null}",
        "18446744073709551616",
        "9223372036854775807",
        "-9223372036854775808",
        "\"9223372036854775808\"",
    ]);
    let leaf = prop_oneof![
        4 => odd.prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
        2 => text.clone(),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))),
            vec((text.clone(), inner), 0..4).prop_map(|fields| {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("{{{}}}", fields.join(" , "))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_one_field_may_be_any_value(raw in json()) {
        for hole in HOLES.iter() {
            let event = hole.filled_with(&raw);
            prop_assert_eq!(event.kind(), hole.kind, "{} as {}", hole.pointer, raw);
        }
    }

    #[test]
    fn claims_nobody_knows_change_nothing(name in "x-[a-z]{0,8}", raw in json()) {
        for fixture in fixture::EVENTS {
            // Here the names in `data` are addresses, so none is unknown.
            if fixture.name == EventKind::SpeakerStats.as_str() {
                continue;
            }
            let known = read(fixture.body);
            for (n, _) in known.data().match_indices('{') {
                let (before, after) = known.data().split_at(n + 1);
                let data = format!("{before}\"{name}\":{raw},{after}");
                prop_assert_eq!(Event::parse(known.envelope.kind, &data), known.event(), "{}", data);
            }
        }
    }

    #[test]
    fn data_itself_may_be_any_value(raw in json()) {
        for fixture in fixture::EVENTS {
            let kind = EventKind::from_wire(fixture.name);
            let event = Event::parse(kind, &raw);
            prop_assert!([kind, EventKind::Unknown].contains(&event.kind()));
            let body = format!("{{\"idempotencyKey\":\"k\",\"eventType\":\"{}\",\"data\": {raw} }}", fixture.name);
            let delivery = read(&body);
            prop_assert_eq!(delivery.data(), raw.as_str());
            prop_assert_eq!(delivery.event(), event);
        }
    }
}
