//! Bodies vary as they do on the wire.

use jaas_testkit::simulator::Random;
use serde_json::Value;

/// The description of a shape, and whether the event of this name has it in this `data`.
type Shape = (&'static str, fn(&str, &Value) -> bool);

/// What JaaS sends in more than one shape, and the seeds produce.
#[test]
fn bodies_come_in_every_shape_that_is_seen_on_the_wire() {
    let shapes: &[Shape] = &[
        ("moderator is a bool", |event, data| joined(event) && data["moderator"].is_boolean()),
        ("moderator is a text", |event, data| joined(event) && data["moderator"].is_string()),
        ("moderator is absent", |event, data| joined(event) && data.get("moderator").is_none()),
        ("a guest without id", |event, data| joined(event) && data.get("id").is_none()),
        ("a guest without name", |event, data| joined(event) && data.get("name").is_none()),
        ("null means none", |event, data| joined(event) && data.get("email") == Some(&Value::Null)),
        ("an empty text means none", |event, data| joined(event) && data["email"] == ""),
        ("the id is a number", |event, data| joined(event) && data["id"].is_number()),
        ("a claim is an object", |event, data| joined(event) && data["context"].is_object()),
        ("group is an object", |event, data| joined(event) && data["group"].is_object()),
        ("hidden-from-recorder is a text", |event, data| {
            joined(event) && data["hidden-from-recorder"].is_string()
        }),
        ("hidden-from-recorder is a bool", |event, data| {
            joined(event) && data["hidden-from-recorder"].is_boolean()
        }),
        ("a visitor without endpoint id", |event, data| {
            joined(event) && data["isVisitor"] == true && data.get("participantId").is_none()
        }),
        ("a visitor leaves without reason", |event, data| {
            event == "PARTICIPANT_LEFT" && data["isVisitor"] == true && data.get("disconnectReason").is_none()
        }),
        ("a join without isBreakout", |event, data| joined(event) && data.get("isBreakout").is_none()),
        ("a join without conference", |event, data| joined(event) && data.get("conference").is_none()),
        ("breakoutRoomId is null", |_, data| data.get("breakoutRoomId") == Some(&Value::Null)),
        ("the call moves to another device", |event, data| joined(event) && data["flip"] == true),
        ("a lobby event without isBreakout", |event, data| {
            event == "PARTICIPANT_JOINED_LOBBY" && data.get("isBreakout").is_none()
        }),
        ("a participant kicked without id", |event, data| {
            event == "PARTICIPANT_LEFT" && data["disconnectReason"] == "kicked" && data.get("id").is_none()
        }),
        ("a lost connection", |event, data| {
            event == "PARTICIPANT_LEFT" && data["disconnectReason"] == "unknown"
        }),
        ("a change of rooms", |event, data| {
            event == "PARTICIPANT_LEFT" && data["disconnectReason"] == "switch_room"
        }),
        ("media types", |event, data| event == "ROOM_DESTROYED" && data["mediaTypes"].is_array()),
        ("media types, an empty object", |event, data| {
            event == "ROOM_DESTROYED" && data["mediaTypes"].is_object()
        }),
        ("no media types", |event, data| event == "ROOM_DESTROYED" && data.get("mediaTypes").is_none()),
        ("a role with ids", |event, data| {
            event == "ROLE_CHANGED" && data["grantedTo"].get("participantId").is_some()
        }),
        ("a role without ids", |event, data| {
            event == "ROLE_CHANGED" && data["grantedTo"].get("participantId").is_none()
        }),
        ("two devices at the same time", |event, data| {
            event == "USAGE" && data.as_array().is_some_and(|list| list.len() == 2)
        }),
        ("a visitor's device", |event, data| event == "USAGE" && any(data, |item| item["visitor"] == true)),
        ("a phone", |event, data| event == "USAGE" && any(data, |item| item.get("callDirection").is_some())),
        ("a device with email null", |event, data| {
            event == "USAGE" && any(data, |item| item.get("email") == Some(&Value::Null))
        }),
        ("a call without full address", |event, data| {
            event == "DIAL_IN_STARTED" && data.get("participantFullJid").is_none()
        }),
        ("a dialled phone hangs up for a reason", |event, data| {
            event == "DIAL_OUT_ENDED" && data.get("disconnectReason").is_some()
        }),
        ("a SIP device hangs up for a reason", |event, data| {
            event == "SIP_CALL_IN_ENDED" && data.get("disconnectReason").is_some()
        }),
        ("a recording without expiration", |event, data| {
            event == "RECORDING_UPLOADED" && data.get("linkExpiration").is_none()
        }),
        ("a recording without initiator", |event, data| {
            event == "RECORDING_UPLOADED" && data.get("initiatorId").is_none()
        }),
        ("a recording without start", |event, data| {
            event == "RECORDING_UPLOADED" && data.get("startTimestamp").is_none()
        }),
        ("a recording without share", |event, data| {
            event == "RECORDING_UPLOADED" && data.get("share").is_none()
        }),
        ("a poll user with an empty id", |event, data| event == "POLL_ANSWER" && data["user"]["id"] == ""),
        ("a poll user without current name", |event, data| {
            event == "POLL_ANSWER" && data["user"].get("currentName").is_none()
        }),
        ("a speaker who is only a time", |event, data| {
            let lone = |stat: &Value| stat.as_object().is_some_and(|stat| stat.len() == 1);
            event == "SPEAKER_STATS" && data.as_object().is_some_and(|all| all.values().any(lone))
        }),
        ("no rating is -1", |event, data| event == "FEEDBACK" && data["rating"] == -1),
        ("no rating is absent", |event, data| event == "FEEDBACK" && data.get("rating").is_none()),
        ("a phrase without the speaker's name", |event, data| {
            event == "TRANSCRIPTION_CHUNK_RECEIVED" && data["participant"].get("name").is_none()
        }),
        ("a short language", |event, data| {
            event == "TRANSCRIPTION_CHUNK_RECEIVED" && data["language"] == "en"
        }),
        ("a full language", |event, data| {
            event == "TRANSCRIPTION_CHUNK_RECEIVED" && data["language"] == "en-US"
        }),
        ("screenshots without the second link", |event, data| {
            event == "SCREEN_SHARING_HISTORY" && data.get("preAuthenticatedLinkV2").is_none()
        }),
        ("statistics without a user", |event, data| {
            event == "RTCSTATS_UPLOADED" && data.get("participantId").is_none()
        }),
    ];
    let mut missing: Vec<&str> = shapes.iter().map(|(shape, _)| *shape).collect();
    let (mut odd_keys, mut no_app, mut upload_before_the_end) = (0, 0, 0);
    for seed in 0..300 {
        let meeting = Random::new(seed).meeting();
        let ended = meeting.facts().ended_at.expect("ended").as_millis();
        for event in meeting.events() {
            let body = event.json();
            let name = body["eventType"].as_str().expect("a type");
            missing.retain(|shape| {
                let (_, has) = shapes.iter().find(|(known, _)| known == shape).expect("known");
                !has(name, &body["data"])
            });
            odd_keys += usize::from(body["idempotencyKey"].as_str().expect("a key").len() != 36);
            no_app += usize::from(body.get("appId").is_none());
            let early = body["timestamp"].as_i64().expect("a time") < ended;
            upload_before_the_end += usize::from(name == "RECORDING_UPLOADED" && early);
        }
    }
    assert_eq!(missing, Vec::<&str>::new());
    assert!(odd_keys > 0 && no_app > 0 && upload_before_the_end > 0);
}

fn joined(event: &str) -> bool {
    event == "PARTICIPANT_JOINED"
}

fn any(list: &Value, has: impl Fn(&Value) -> bool) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(has))
}
