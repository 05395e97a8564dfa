//! The application as a process, with JaaS, an operator, Prometheus and a collector around it.
#![cfg(unix)]

mod support;

use std::collections::BTreeSet;

use jaas_core::telemetry::METRICS;
use jaas_testkit::event;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Application, Collector, TOKEN, database};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn joined(key: &str, room: &str) -> String {
    event::participant_joined().key(key).in_room(room).in_session(key).named("Ada").text()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_routes_need_its_token_and_the_webhook_does_not() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    for (method, path) in [
        (Method::GET, "/api/rooms/math/attendance"),
        (Method::PUT, "/api/rooms/math"),
        (Method::GET, "/admin/dead-letters"),
        (Method::POST, "/admin/dead-letters/1/replay"),
    ] {
        for token in [None, Some("a-token-of-a-stranger"), Some("a-token-of-this-tes")] {
            let answer = app.ask_as(token, method.clone(), path, None).await;
            assert_eq!(answer.status(), 401, "{method} {path} with {token:?}");
            assert_eq!(answer.json::<Value>().await.unwrap(), json!({"error": "a valid token is needed"}));
        }
    }
    assert_eq!(app.ask(Method::GET, "/api/rooms/math/attendance", None).await.status(), 200);
    assert_eq!(app.ask(Method::POST, "/admin/dead-letters/1/replay", None).await.status(), 404);

    assert_eq!(app.deliver(&joined("k", "math"), &[]).await, 200, "the signature is enough");
    let unsigned = app.ask(Method::POST, "/hooks/jaas", Some(json!({"idempotencyKey": "forged"}))).await;
    assert_eq!(unsigned.status(), 401, "and the token is not a signature");
    for path in ["/livez", "/readyz"] {
        assert_eq!(app.ask_as(None, Method::GET, path, None).await.status(), 200);
    }
    app.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_an_unknown_room_is_a_dead_letter_until_an_operator_replays_it() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(app.deliver(&joined("k", "Math"), &[("traceparent", &trace)]).await, 200);
    let dead = app.until("/admin/dead-letters", Some(TOKEN), |text| text != "[]").await;
    let dead: Value = serde_json::from_str(&dead).unwrap();
    assert_eq!(
        (&dead[0]["key"], &dead[0]["attempts"], &dead[0]["trace"]),
        (&json!("k"), &json!(1), &json!(TRACE))
    );
    assert!(dead[0]["error"].as_str().unwrap().contains("the room is not known here"), "{dead}");
    assert!(!dead.to_string().contains("Ada"), "no names: {dead}");
    let next = app.ask(Method::GET, &format!("/admin/dead-letters?after={}", dead[0]["id"]), None).await;
    assert_eq!(next.text().await.unwrap(), "[]", "there is one page");

    let room = json!({"title": "Mathematics"});
    assert_eq!(app.ask(Method::PUT, "/api/rooms/math", Some(room)).await.status(), 204);
    let replay = format!("/admin/dead-letters/{}/replay", dead[0]["id"]);
    assert_eq!(app.ask(Method::POST, &replay, None).await.status(), 204);
    let attendance = "/api/rooms/math/attendance";
    let attended = app.until(attendance, Some(TOKEN), |text| text != "[]").await;
    let attended: Value = serde_json::from_str(&attended).unwrap();
    assert_eq!((attended.as_array().unwrap().len(), &attended[0]["name"]), (1, &json!("Ada")));
    assert_eq!(app.until("/admin/dead-letters", Some(TOKEN), |text| text == "[]").await, "[]");

    // A second run would write a second row if the key did not prevent it.
    assert_eq!(app.deliver(&joined("k", "Math"), &[]).await, 200);
    assert_eq!(app.ask(Method::POST, &replay, None).await.status(), 204, "what is done can be replayed");
    let left = event::participant_left().key("left").in_room("Math").in_session("k").text();
    assert_eq!(app.deliver(&left, &[]).await, 200);
    app.until("/metrics", None, |text| {
        text.contains(r#"jaas_events_total{kind="PARTICIPANT_LEFT",outcome="handled"} 1"#)
    })
    .await;
    app.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_needs_a_name_and_the_token_and_the_audit_has_the_name() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    assert_eq!(app.deliver(&joined("the-key", "math"), &[]).await, 200);
    app.until("/admin/dead-letters", Some(TOKEN), |text| text != "[]").await;

    let stranger = app.ask_as(None, Method::GET, "/ops/inbox", None).await;
    assert_eq!(stranger.status(), 401);
    assert!(stranger.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    assert_eq!(
        stranger.json::<Value>().await.unwrap(),
        json!({"error": "a name and a valid token are needed"})
    );
    for login in [("", TOKEN), ("ada", "a-token-of-a-stranger"), ("ada", "")] {
        for path in ["/ops/", "/ops/overview", "/ops/inbox"] {
            let refused = app.browse(Method::GET, path, login).await;
            assert_eq!(refused.status(), 401, "{path} with {login:?}");
            assert!(!refused.text().await.unwrap().contains("the-key"));
        }
    }
    let bearer = app.ask(Method::GET, "/ops/overview", None).await;
    assert_eq!(bearer.status(), 401, "a program's token does not name an operator");

    let ada = ("ada", TOKEN);
    let overview = app.browse(Method::GET, "/ops/", ada).await;
    assert_eq!((overview.status(), overview.url().path()), (reqwest::StatusCode::OK, "/ops/overview"));
    let text = overview.text().await.unwrap();
    assert!(text.contains("Signed in as ada") && text.contains("the room is not known here"), "{text}");
    assert_eq!(app.browse(Method::POST, "/ops/replay", ada).await.status(), 403, "it is not from a page");
    app.terminate().await;
}

const STARTED: i64 = 1_783_497_600_000;

/// One participant goes from the main room to a breakout room and back, with the same id. That makes three stays in any order
/// of arrival; `examples/quickstart` tries all permutations.
#[tokio::test(flavor = "multi_thread")]
async fn a_trip_to_a_breakout_room_is_three_stays_in_any_order() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    let main = json!({"isBreakout": false});
    let breakout = json!({"isBreakout": true, "breakoutRoomId": "b1"});
    let events: Vec<_> = [
        ("PARTICIPANT_JOINED", 0, &main),
        ("PARTICIPANT_LEFT", 1200, &main),
        ("PARTICIPANT_JOINED", 1203, &breakout),
        ("PARTICIPANT_LEFT", 2400, &breakout),
        ("PARTICIPANT_JOINED", 2403, &main),
        ("PARTICIPANT_LEFT", 3600, &main),
    ]
    .into_iter()
    .collect();
    for (number, order) in
        [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [4, 1, 3, 0, 5, 2], [1, 3, 5, 4, 2, 0]].iter().enumerate()
    {
        let room = format!("room-{number}");
        let put = app.ask(Method::PUT, &format!("/api/rooms/{room}"), Some(json!({"title": "A room"}))).await;
        assert_eq!(put.status(), 204);
        for event in order {
            let (event_type, second, place) = events[*event];
            let mut data = place.clone();
            data["participantId"] = json!("5f2c1a9e");
            data["name"] = json!("Guest");
            let body = json!({
                "idempotencyKey": format!("{room}-{second}"), "eventType": event_type, "sessionId": room,
                "timestamp": STARTED + 1000 * second, "fqn": format!("vpaas-magic-cookie-1/{room}"),
                "data": data,
            });
            assert_eq!(app.deliver(&body.to_string(), &[]).await, 200);
        }
        let expected = json!([
            [0, 1200, "main room", "Guest"],
            [1203, 2400, "breakout room b1", "Guest"],
            [2403, 3600, "main room", "Guest"],
        ]);
        let path = format!("/api/rooms/{room}/attendance");
        app.until(&path, Some(TOKEN), |text| {
            let stays: Vec<Value> = serde_json::from_str(text).unwrap();
            let seconds = |at: &Value| at.as_i64().map(|at| (at - STARTED) / 1000);
            let stay = |stay: &Value| {
                json!([seconds(&stay["joined_at"]), seconds(&stay["left_at"]), stay["place"], stay["name"]])
            };
            Value::from_iter(stays.iter().map(stay)) == expected
        })
        .await;
    }
    app.terminate().await;
}

/// A participant who vanishes is there until the meeting ends, because no leave comes. Visitors have no participant id.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_are_kept_and_those_who_vanish_leave_with_the_meeting() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    let put = app.ask(Method::PUT, "/api/rooms/math", Some(json!({"title": "Mathematics"}))).await;
    assert_eq!(put.status(), 204);
    let visitor = json!({"participantJid": "v1@visitors.meet.jitsi", "role": "visitor", "name": "Grace"});
    let vanishes = json!({"participantId": "5f2c1a9e", "participantJid": "a1@8x8.vc", "name": "Ada"});
    let deliver = async |event_type: &str, second: i64, data: &Value| {
        let body = json!({
            "idempotencyKey": format!("k-{second}"), "eventType": event_type, "sessionId": "s",
            "timestamp": STARTED + 1000 * second, "fqn": "vpaas-magic-cookie-1/math", "data": data,
        });
        assert_eq!(app.deliver(&body.to_string(), &[]).await, 200);
    };
    let attended = async |expected: &Value| {
        app.until("/api/rooms/math/attendance", Some(TOKEN), |text| {
            let stays: Vec<Value> = serde_json::from_str(text).unwrap();
            let seconds = |at: &Value| at.as_i64().map(|at| (at - STARTED) / 1000);
            let stay =
                |stay: &Value| json!([stay["name"], seconds(&stay["joined_at"]), seconds(&stay["left_at"])]);
            Value::from_iter(stays.iter().map(stay)) == *expected
        })
        .await;
    };
    deliver("PARTICIPANT_LEFT", 60, &visitor).await;
    deliver("PARTICIPANT_JOINED", 10, &visitor).await;
    deliver("PARTICIPANT_JOINED", 0, &vanishes).await;
    deliver("ROOM_DESTROYED", 120, &json!({"isBreakout": true, "breakoutRoomId": "b1"})).await;
    attended(&json!([["Ada", 0, null], ["Grace", 10, 60]])).await;
    deliver("ROOM_DESTROYED", 300, &json!({"isBreakout": false})).await;
    attended(&json!([["Ada", 0, 300], ["Grace", 10, 60]])).await;
    app.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_a_column_does_not_take_become_no_dead_letters() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    assert_eq!(
        app.ask(Method::PUT, "/api/rooms/math", Some(json!({"title": "Mathematics"}))).await.status(),
        204
    );
    let long = "x".repeat(5000);
    for (number, id) in ["p\0q", &long].into_iter().enumerate() {
        let body = json!({
            "idempotencyKey": format!("k-{number}"), "eventType": "PARTICIPANT_JOINED", "sessionId": "s",
            "timestamp": STARTED, "fqn": "vpaas-magic-cookie-1/math",
            "data": {"participantId": id, "name": id, "isBreakout": true, "breakoutRoomId": id},
        });
        assert_eq!(app.deliver(&body.to_string(), &[]).await, 200);
    }
    app.until("/api/rooms/math/attendance", Some(TOKEN), |text| {
        serde_json::from_str::<Vec<Value>>(text).unwrap().len() == 2
    })
    .await;
    assert_eq!(app.until("/admin/dead-letters", Some(TOKEN), |text| text == "[]").await, "[]");
    app.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_the_documented_metrics_and_no_others() {
    let Some(database) = database().await else { return };
    let app = Application::start(&database.url, &[]).await;
    let room = json!({"title": "Mathematics"});
    assert_eq!(app.ask(Method::PUT, "/api/rooms/math", Some(room)).await.status(), 204);
    assert_eq!(app.deliver(&joined("good", "math"), &[]).await, 200);
    assert_eq!(app.deliver(&joined("dead", "elsewhere"), &[]).await, 200);
    assert_eq!(app.ask(Method::POST, "/hooks/jaas", Some(json!({}))).await.status(), 401);
    let metrics = app.until("/metrics", None, |text| text.contains("jaas_dead_letters_total{")).await;
    assert!(!metrics.contains("Ada") && !metrics.contains("math"), "no people, no rooms: {metrics}");

    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    for (name, kind) in types.clone() {
        let documented = METRICS.iter().find(|metric| metric.name == name);
        let documented = documented.unwrap_or_else(|| panic!("{name} is not documented"));
        assert_eq!(kind, documented.kind.as_str(), "{name}: a histogram has its buckets");
    }
    let there: BTreeSet<&str> = types.map(|(name, _)| name).collect();
    for name in [
        "jaas_deliveries_total",
        "jaas_refused_total",
        "jaas_authentic_total",
        "jaas_signature_age_seconds",
        "jaas_accept_seconds",
        "jaas_queue_events",
        "jaas_queue_oldest_seconds",
        "jaas_wait_seconds",
        "jaas_handler_seconds",
        "jaas_events_total",
        "jaas_event_attempts",
        "jaas_dead_letters_total",
    ] {
        assert!(there.contains(name), "{name} is not in {metrics}");
    }
    app.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_every_span_in_the_trace_that_the_delivery_came_in() {
    let Some(database) = database().await else { return };
    let collector = Collector::start();
    let app = Application::start(&database.url, &["--otlp", &collector.endpoint]).await;
    let room = json!({"title": "Mathematics"});
    assert_eq!(app.ask(Method::PUT, "/api/rooms/math", Some(room)).await.status(), 204);
    let trace = format!("00-{TRACE}-00f067aa0ba902b7-01");
    assert_eq!(app.deliver(&joined("k", "math"), &[("traceparent", &trace)]).await, 200);
    app.until("/api/rooms/math/attendance", Some(TOKEN), |text| text != "[]").await;
    // The process sends the remaining spans when it ends.
    app.terminate().await;
    let spans = collector.stop().await;
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    let of = |name: &str| {
        let found = spans.iter().find(|span| span.name == name && hex(&span.trace_id) == TRACE);
        found.unwrap_or_else(|| panic!("no {name} of that trace in {names:?}"))
    };
    let (delivery, accept, event, handle) =
        (of("jaas.delivery"), of("jaas.accept"), of("jaas.event"), of("jaas.handle"));
    assert_eq!(hex(&delivery.parent_span_id), "00f067aa0ba902b7", "the sender's span is its parent");
    assert_eq!(accept.parent_span_id, delivery.span_id);
    assert_eq!(handle.parent_span_id, event.span_id);
    assert!(!format!("{spans:?}").contains("Ada"), "no names");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_token_or_a_secret_it_does_not_start() {
    let command = tokio::process::Command::new(env!("CARGO_BIN_EXE_existing-app"))
        .env("APP_TOKEN", "short")
        .env("JAAS_WEBHOOK_SECRET", support::SECRET)
        .output();
    let output = tokio::time::timeout(support::SOON, command).await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("APP_TOKEN must have 16 characters or more"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
