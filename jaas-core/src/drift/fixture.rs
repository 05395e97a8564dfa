//! A body without values, to write a test from.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::found::members;
use crate::delivery::Delivery;
use crate::lenient;

/// Placeholders of the envelope.
const APP: &str = "vpaas-magic-cookie-00000000000000000000000000000000";
const CUSTOMER: &str = "00000000000000000000000000000000";
const SESSION: &str = "00000000-0000-4000-8000-000000000001";
const TIME: i64 = 1_760_000_000_000;

/// How many different elements of a list are kept.
const MOST_ELEMENTS: usize = 20;

/// How many members of an object are kept.
const MOST_MEMBERS: usize = 200;

/// The longest fixture, in bytes.
const MAX_BYTES: usize = 32 * 1024;

/// Returns the body of an event with a placeholder of the same JSON type for every value. Field names, the event type
/// and the words of fields that have a list of words stay, so it decodes to the same event. `None` when the body is too
/// large, nested too deep, or has a number that no usual parser reads.
///
/// A text becomes `text`, a web address another one, a number 1 or another constant. The same value in two places
/// becomes the same or not: nothing of it is left. A name of a field that does not look like one (it has `@`, or many
/// digits, as where people's addresses are the keys) becomes `(odd 1)`. Elements of a list that are equal then are
/// there once.
///
/// ```
/// use jaas_core::drift::fixture;
/// use jaas_core::{Delivery, Timestamp};
///
/// let body = r#"{"idempotencyKey":"k","eventType":"PARTICIPANT_LEFT",
///     "data":{"name":"Ada","disconnectReason":"left"}}"#;
/// let delivery = Delivery::parse("main", Timestamp::from_secs(1_760_000_000), body.into())?;
/// let redacted = fixture(&delivery).unwrap();
/// assert!(redacted.contains(r#""disconnectReason": "left""#) && redacted.contains(r#""name": "text""#));
/// # Ok::<(), jaas_core::Unreadable>(())
/// ```
pub fn fixture(delivery: &Delivery) -> Option<String> {
    let (_, news) = delivery.watched();
    let words = news.words.into_iter().map(|(path, word, _)| (path, word)).collect();
    let redaction = Redaction { words };
    let event_type = &delivery.envelope.event_type;
    let mut body = Map::new();
    let mut parsed = true;
    members(delivery, |name, raw, known| {
        let value = match name {
            "idempotencyKey" => json!(format!("drift-{event_type}")),
            "eventType" => json!(event_type),
            "data" => delivery.data_as().map_or_else(
                |_| {
                    parsed = false;
                    Value::Null
                },
                |data| redaction.of("data", data),
            ),
            _ if lenient::is_nothing(raw) => Value::Null,
            // A value that does not fit keeps its type.
            _ if known && !delivery.envelope.undecoded().contains(&name) => match name {
                "appId" => json!(APP),
                "customerId" => json!(CUSTOMER),
                "sessionId" => json!(SESSION),
                "fqn" => json!(format!("{APP}/room")),
                _ => json!(TIME),
            },
            _ => serde_json::from_str(raw).map_or(Value::Null, |value| redaction.of("", value)),
        };
        if body.len() < MOST_MEMBERS {
            body.insert(name_of(name, &body), value);
        }
    });
    let text = serde_json::to_string_pretty(&body).ok()?;
    (parsed && text.len() <= MAX_BYTES).then_some(text)
}

struct Redaction {
    /// The words that stay, with their paths.
    words: BTreeSet<(String, String)>,
}

impl Redaction {
    fn of(&self, path: &str, value: Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value,
            Value::Number(number) => number_like(&number),
            Value::String(text) if self.words.contains(&(path.to_owned(), text.clone())) => text.into(),
            Value::String(text) => text_like(&text).into(),
            Value::Array(elements) => {
                let mut kept: Vec<Value> = Vec::new();
                for element in elements {
                    let element = self.of(path, element);
                    if kept.len() < MOST_ELEMENTS && !kept.contains(&element) {
                        kept.push(element);
                    }
                }
                kept.into()
            }
            Value::Object(members) => {
                let mut kept = Map::new();
                for (name, value) in members {
                    let odd = lenient::plain(&name) != name;
                    // The values of a map are of one payload under all keys.
                    let value =
                        if odd { self.of(path, value) } else { self.of(&format!("{path}.{name}"), value) };
                    let is_there = odd && kept.values().any(|other| *other == value);
                    if kept.len() < MOST_MEMBERS && !is_there {
                        kept.insert(name_of(&name, &kept), value);
                    }
                }
                kept.into()
            }
        }
    }
}

/// The name of a member, or one in its place that is as odd.
fn name_of(name: &str, among: &Map<String, Value>) -> String {
    if lenient::plain(name) == name { name.to_owned() } else { format!("(odd {})", among.len() + 1) }
}

/// A number of the same kind: whole or not, negative or not, and large enough for a time in ms or not.
fn number_like(number: &serde_json::Number) -> Value {
    match number.as_i64() {
        Some(1_000_000_000_000..) => json!(TIME),
        Some(0..) => json!(1),
        Some(_) => json!(-1),
        None if number.is_u64() => json!(TIME),
        None => json!(0.5),
    }
}

/// A text of the same kind: empty, a bool, a number, a web address, or any other.
fn text_like(text: &str) -> &'static str {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        ""
    } else if trimmed.eq_ignore_ascii_case("true") {
        "true"
    } else if trimmed.eq_ignore_ascii_case("false") {
        "false"
    } else if trimmed.parse::<f64>().is_ok_and(f64::is_finite) {
        "1"
    } else if trimmed.contains("://") {
        "https://files.example/file"
    } else {
        "text"
    }
}
