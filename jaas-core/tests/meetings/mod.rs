//! Meetings from their events: stays, sittings, attendance, presence, and what is made of them.
#![allow(clippy::expect_used, clippy::panic)]

mod exports;
mod facts;
mod rules;

use jaas_core::meetings::Edge;
use jaas_core::{Delivery, Timestamp};
use serde_json::{Value, json};

/// An event of the session `s`, so many seconds after the epoch.
fn event(kind: &str, secs: i64, data: &Value) -> Delivery {
    let body = json!({
        "idempotencyKey": format!("{kind}-{secs}-{data}"), "eventType": kind, "sessionId": "s",
        "fqn": "vpaas-magic-cookie-1/math", "timestamp": secs * 1000, "data": data,
    });
    Delivery::parse("main", Timestamp::from_secs(secs), body.to_string().into()).expect("an envelope")
}

fn joined(secs: i64, presence: &str, room: Option<&str>) -> Edge {
    let data = json!({"participantId": presence, "id": format!("user-{presence}"), "breakoutRoomId": room});
    edge("PARTICIPANT_JOINED", secs, &data)
}

fn left(secs: i64, presence: &str, room: Option<&str>, reason: &str) -> Edge {
    let data = json!({"participantId": presence, "breakoutRoomId": room, "disconnectReason": reason});
    edge("PARTICIPANT_LEFT", secs, &data)
}

fn edge(kind: &str, secs: i64, data: &Value) -> Edge {
    Edge::of(&event(kind, secs, data)).expect("an edge")
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}
