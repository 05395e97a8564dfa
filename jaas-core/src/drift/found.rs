//! Comparing an event with what this version names.

use serde::Serialize;

use crate::delivery::Delivery;
use crate::event::{Event, EventKind, UnknownReason};
use crate::lenient::{self, News};
use crate::named::named_enum;

named_enum! {
    /// What is not known.
    #[non_exhaustive]
    pub enum DriftKind {
        /// The event type.
        Type = "type",
        /// A field of a known event type.
        Field = "field",
        /// The JSON type of a known field: its value does not fit, and is absent in the payload.
        JsonType = "json_type",
        /// A word of a known field that has a list of words, such as `disconnectReason`.
        Word = "word",
    }
}

/// One thing that this version does not know. It has no value of an event except a word, and that only if it looks like
/// one that a programmer chose: letters, digits, `-` and `_`, at most 64. Everything else is `(odd)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Drift {
    /// What is not known.
    pub kind: DriftKind,
    /// The `eventType`, as it came.
    pub event_type: String,
    /// Where: the names of the fields, joined by `.`. Those of the payload begin with `data.`; a place in a list or map
    /// is left out. Empty for an event type.
    pub field: String,
    /// The JSON type of the value (`object`, `list`, `string`, `number`, `bool`), or the word. Empty for an event type.
    pub detail: String,
}

impl Drift {
    /// Creates a description of a thing that is not known.
    pub fn new(
        kind: DriftKind,
        event_type: impl Into<String>,
        field: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, event_type: event_type.into(), field: field.into(), detail: detail.into() }
    }
}

/// Returns what this version does not know about an event. Costs about twice as much as decoding it.
///
/// Of an unknown type it reports the type and unknown fields of the envelope; its `data` is unknown as a whole. A value
/// that means "none" (`null`, empty) is never news.
///
/// ```
/// use jaas_core::drift::{Drift, DriftKind, drifts};
/// use jaas_core::{Delivery, Timestamp};
///
/// let body = r#"{"idempotencyKey":"k","eventType":"PARTICIPANT_LEFT",
///     "data":{"name":"Ada","mood":7,"moderator":[1]}}"#;
/// let delivery = Delivery::parse("main", Timestamp::from_secs(1_760_000_000), body.into())?;
/// let found = drifts(&delivery);
/// assert_eq!(found[0], Drift::new(DriftKind::Field, "PARTICIPANT_LEFT", "data.mood", "number"));
/// assert_eq!(found[1], Drift::new(DriftKind::JsonType, "PARTICIPANT_LEFT", "data.moderator", "list"));
/// # Ok::<(), jaas_core::Unreadable>(())
/// ```
pub fn drifts(delivery: &Delivery) -> Vec<Drift> {
    let (event, news) = delivery.watched();
    let new = |kind, field, detail| Drift::new(kind, &*delivery.envelope.event_type, field, detail);
    let mut found = Vec::new();
    if delivery.envelope.kind == EventKind::Unknown {
        found.push(new(DriftKind::Type, String::new(), String::new()));
    }
    members(delivery, |name, raw, known| {
        if lenient::is_nothing(raw) {
            return;
        }
        let json_type = lenient::type_name(raw).to_owned();
        if !known {
            found.push(new(DriftKind::Field, lenient::plain(name).to_owned(), json_type));
        } else if delivery.envelope.undecoded().contains(&name) {
            found.push(new(DriftKind::JsonType, name.to_owned(), json_type));
        }
    });
    if let Event::Unknown(UnknownReason::Data(_)) = event {
        let json_type = lenient::type_name(delivery.data()).to_owned();
        found.push(new(DriftKind::JsonType, "data".to_owned(), json_type));
    }
    let News { fields, types, words, .. } = news;
    let fields =
        fields.into_iter().map(|(path, json_type)| new(DriftKind::Field, path, json_type.to_owned()));
    found.extend(fields);
    let types =
        types.into_iter().map(|(path, json_type)| new(DriftKind::JsonType, path, json_type.to_owned()));
    found.extend(types);
    let words = words.into_iter().filter(|(.., known)| !known);
    found.extend(words.map(|(path, word, _)| new(DriftKind::Word, path, word)));
    found
}

/// Gives the members of a body: name, raw value, and whether this version knows the name.
pub(super) fn members(delivery: &Delivery, mut each: impl FnMut(&str, &str, bool)) {
    const KNOWN: [&str; 8] =
        ["idempotencyKey", "eventType", "appId", "customerId", "sessionId", "fqn", "timestamp", "data"];
    let Ok(body) = std::str::from_utf8(delivery.body()) else { return };
    // An error cannot be: the envelope was parsed from the same text.
    let _ =
        lenient::members_of(lenient::without_bom(body), |name, raw| each(name, raw, KNOWN.contains(&name)));
}
