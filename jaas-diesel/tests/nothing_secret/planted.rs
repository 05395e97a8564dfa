//! The values that are planted, and the search for them.

use serde_json::{Map, Value, json};

/// The part that every planted value contains.
pub(crate) const PLANTED: &str = "Pl4nted";
pub(crate) const SECRET: &str = "whsec_Pl4nted0000000000000000000000000";
pub(crate) const AUTHORIZATION: &str = "Bearer Pl4nted";
pub(crate) const LINK: &str =
    "https://Pl4nted:Pl4nted@files.example/p/Pl4nted/file.mp4?token=Pl4nted&e=1#Pl4nted";
/// Digits only, as JaaS requires.
pub(crate) const PASSCODE: &str = "918273645546372819";
pub(crate) const PHONE: &str = "+491888777666555";

/// Fields that a payload shows, because they are words or ids that reveal nothing about a person. No value planted in another
/// field may be shown.
const SHOWN: &[&str] = &[
    "breakoutRoomId",
    "callDirection",
    "customerId",
    "direction",
    "disconnectReason",
    "endpointId",
    "fileId",
    "group",
    "isBreakout",
    "kid",
    "language",
    "mediaTypes",
    "messageID",
    "moderator",
    "pollId",
    "reaction",
    "reactions",
    "recordingSessionId",
    "role",
];

pub(crate) fn shown_ids() -> &'static [&'static str] {
    SHOWN
}

/// A body with planted values in the meeting's name and in every text of `data`, and with claims of a JWT beside them.
/// `None` if it is not a JSON value.
pub(crate) fn planted_body(body: &str, key: &str) -> Option<String> {
    let mut body: Map<String, Value> = serde_json::from_str(body).ok()?;
    let event_type = body.get("eventType").and_then(Value::as_str).unwrap_or_default().to_owned();
    body.insert("idempotencyKey".to_owned(), key.into());
    body.insert("sessionId".to_owned(), format!("session of {key}").into());
    body.insert("fqn".to_owned(), format!("vpaas-magic-cookie-1/{PLANTED}-room").into());
    if let Some(data) = body.get_mut("data") {
        plant(data, "data", &event_type);
    }
    Some(Value::from(body).to_string())
}

fn plant(value: &mut Value, field: &str, event_type: &str) {
    match value {
        Value::Object(fields) => {
            let planted = std::mem::take(fields).into_iter().map(|(name, mut value)| {
                plant(&mut value, &name, event_type);
                // What speaks for itself is somebody's address.
                let name = if name.contains('@') { format!("{PLANTED}{name}") } else { name };
                (name, value)
            });
            *fields = planted.collect();
            fields.insert("customClaim".to_owned(), PLANTED.into());
            fields.insert("context".to_owned(), json!({ "user": { "name": PLANTED, PLANTED: [PLANTED] } }));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| plant(value, field, event_type)),
        Value::String(text) if !is_shown(field, event_type) => {
            *text = match field {
                "preAuthenticatedLink" | "preAuthenticatedLinkV2" | "statsUrl" | "avatar" | "avatarUrl" => {
                    LINK.to_owned()
                }
                _ if text.contains('@') => format!("{PLANTED}@8x8.vc/{PLANTED}"),
                _ => format!("{PLANTED} {field}"),
            };
        }
        _ => {}
    }
}

/// The same name can be a participant's id in one event and the user's in another.
fn is_shown(field: &str, event_type: &str) -> bool {
    match field {
        "participantId" => !["REACTIONS", "AGGREGATED_REACTIONS", "RTCSTATS_UPLOADED"].contains(&event_type),
        "id" => event_type == "TRANSCRIPTION_CHUNK_RECEIVED",
        _ => SHOWN.contains(&field),
    }
}

/// Fails, and says where, when any planted value is in this text.
pub(crate) fn assert_nothing_in(what: &str, text: &str) {
    let lower = text.to_lowercase();
    for planted in [&PLANTED.to_lowercase(), PASSCODE, PHONE, &PHONE[1..]] {
        if let Some(at) = lower.find(planted) {
            let from = lower[..at].char_indices().rev().nth(300).map_or(0, |(at, _)| at);
            let until = lower[at..].char_indices().nth(300).map_or(lower.len(), |(end, _)| at + end);
            panic!("{planted} is in {what}: …{}…", &lower[from..until]);
        }
    }
}
