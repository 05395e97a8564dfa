//! `jaas send` and `jaas simulate`.

use std::collections::BTreeSet;

use jaas_core::event::{Event, EventKind};

use crate::server::{Server, nowhere};
use crate::support::{SECRET, jaas, run};

#[tokio::test]
async fn each_event_of_the_table_can_be_sent_and_is_handled() {
    let server = Server::start().await;
    for kind in EventKind::ALL {
        let ran = jaas(&["send", kind.as_str(), "--url", &server.url]).await.exits(0);
        assert!(ran.stdout.contains(kind.as_str()) && ran.stdout.contains(": 200 in"), "{}", ran.stdout);
    }
    let handled = server.handled(EventKind::ALL.len()).await;
    let methods: BTreeSet<EventKind> = handled.iter().map(|seen| seen.method).collect();
    assert_eq!(methods.into_iter().collect::<Vec<_>>(), EventKind::ALL);
    server.stop().await;
}

#[tokio::test]
async fn fields_can_be_set_and_left_out() {
    let server = Server::start().await;
    let args = [
        "--json",
        "send",
        "participant_joined",
        "--url",
        &server.url,
        "--key",
        "k1",
        "--room",
        "standup",
        "--session",
        "s1",
        "--at",
        "2026-11-23T08:00:00Z",
        "--set",
        "data.name=Ada",
        "--set",
        "data.moderator=\"true\"",
        "--set",
        "data.roles=[1,2]",
        "--without",
        "data.email",
        "--without",
        "appId",
    ];
    let output = jaas(&args).await.exits(0).json();
    assert_eq!((output["idempotencyKey"].as_str(), output["status"].as_u64()), (Some("k1"), Some(200)));
    let handled = server.handled(1).await;
    let (envelope, event) = (&handled[0].delivery.envelope, &handled[0].event);
    let Event::ParticipantJoined(joined) = event else { panic!("{event:?}") };
    assert_eq!(joined.participant.name.as_ref().map(|name| name.expose()), Some("Ada"));
    assert_eq!((joined.participant.moderator, &joined.participant.email), (Some(true), &None));
    assert_eq!(
        (envelope.fqn.room(), envelope.session_id.as_ref().map(|id| id.as_str())),
        ("standup", Some("s1"))
    );
    assert_eq!(envelope.timestamp.map(|at| at.as_millis()), Some(1_795_420_800_000));
    let data: serde_json::Value = handled[0].delivery.data_as().expect("JSON");
    assert_eq!(data["roles"][1], 2);
    server.stop().await;
}

#[tokio::test]
async fn the_same_key_is_the_same_body_unless_another_time_is_asked_for() {
    let body = async |more: &[&str]| {
        let args = ["--json", "send", "PARTICIPANT_JOINED", "--url", "http://127.0.0.1:1/", "--dry-run"];
        let output = jaas(&[&args, more].concat()).await.exits(0).json();
        let body = output["body"].as_str().expect("a body").to_owned();
        // Otherwise two clocks would have to show the same millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        body
    };
    assert_eq!(body(&["--key", "k"]).await, body(&["--key", "k"]).await);
    assert_ne!(body(&["--key", "k"]).await, body(&["--key", "l"]).await);
    assert_ne!(body(&["--key", "k", "--at", "now"]).await, body(&["--key", "k", "--at", "now"]).await);
    let at = ["--key", "k", "--at", "2026-11-23T08:00:00Z"];
    assert_eq!(body(&at).await, body(&at).await);
    assert_ne!(body(&[]).await, body(&[]).await, "without a key it is a new event");
}

#[tokio::test]
async fn a_file_is_sent_byte_for_byte() {
    let server = Server::start().await;
    let body = "{ \"eventType\" : \"WHITEBOARD_OPENED\",\n  \"idempotencyKey\":\"file-1\", \"data\":{\"é\":1e999} }\n";
    let variables = [("JAAS_WEBHOOK_SECRET", SECRET)];
    run(&["send", "--file", "-", "--url", &server.url], &variables, body.as_bytes()).await.exits(0);
    assert_eq!(server.handled(1).await[0].delivery.body(), body);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body.json");
    std::fs::write(&file, body.replace("file-1", "file-2")).expect("written");
    jaas(&["send", "--file", file.to_str().expect("UTF-8"), "--url", &server.url]).await.exits(0);
    assert_eq!(server.handled(2).await[1].delivery.envelope.idempotency_key.as_str(), "file-2");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_says_what_to_check_and_exits_1() {
    let server = Server::start().await;
    let ran =
        jaas(&["send", "ROOM_CREATED", "--url", &server.url, "--secret", "whsec_another"]).await.exits(1);
    assert!(ran.stderr.contains("401") && ran.stderr.contains("secret of that endpoint"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("whsec_another") && !ran.stdout.contains("whsec_another"));
    let elsewhere = server.url.replace("jaas", "elsewhere");
    let ran = jaas(&["send", "ROOM_CREATED", "--url", &elsewhere]).await.exits(1);
    assert!(ran.stderr.contains("no webhook is mounted"), "{}", ran.stderr);
    server.stop().await;
}

#[tokio::test]
async fn no_server_exits_3_and_wrong_usage_exits_2() {
    let url = nowhere();
    let ran = jaas(&["send", "ROOM_CREATED", "--url", &url]).await.exits(3);
    assert!(ran.stderr.contains(&url) && ran.stderr.contains("is the server running"), "{}", ran.stderr);

    for (args, said) in [
        (&["send", "POLL_CREATD", "--url", &url][..], "POLL_CREATED"),
        (&["send", "--url", &url], "required"),
        (&["send", "ROOM_CREATED", "--url", "ftp://example.com"], "neither http nor https"),
        (&["send", "ROOM_CREATED", "--url", "not a url"], "not a URL to post to"),
        (&["send", "ROOM_CREATED", "--url", &url, "--set", "data.conference.x=1"], "set its parent first"),
        (&["send", "--file", "/nonexistent/body.json", "--url", &url], "cannot read /nonexistent/body.json"),
        (&["simulate", "--url", &url, "--duplicates", "120%"], "write 0% to 100%"),
        (&["simulate", "--url", &url, "--participants", "5..2"], "5 is more than 2"),
        (&["simulate"], "--url"),
    ] {
        let ran = jaas(args).await.exits(2);
        assert!(ran.stderr.contains(said), "{said:?} in {}", ran.stderr);
    }
    let ran = run(&["send", "ROOM_CREATED", "--url", &url], &[], b"").await.exits(2);
    assert!(ran.stderr.contains("JAAS_WEBHOOK_SECRET"), "{}", ran.stderr);
    let ran =
        run(&["send", "ROOM_CREATED", "--url", &url], &[("JAAS_WEBHOOK_SECRET", "")], b"").await.exits(2);
    assert!(ran.stderr.contains("the secret is empty"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_simulated_day_is_handled_once_per_event_and_the_same_seed_is_the_same_bytes() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("out.json");
    let args = [
        "--json",
        "simulate",
        "--url",
        &server.url,
        "--meetings",
        "12",
        "--participants",
        "2..6",
        "--rate",
        "5000",
        "--duplicates",
        "5%",
        "--shuffle",
        "30%",
        "--lose-answers",
        "3%",
        "--first-wait",
        "5ms",
        "--seed",
        "7",
        "--expect",
        "--report",
        file.to_str().expect("UTF-8"),
    ];
    let first = jaas(&args).await.exits(0).json();
    let report = &first["report"];
    let events = usize::try_from(report["events"].as_u64().expect("a number")).expect("small");
    assert!(events > 200, "{events}");
    assert_eq!(report["refused"], serde_json::json!({}));
    assert_eq!(report["acknowledgedEvents"], events);
    assert!(report["copies"].as_u64() > Some(0) && report["retries"].as_u64() > Some(0), "{report}");
    assert_eq!(report["unanswered"]["answer_lost"], report["retries"]);
    assert!(report["latencyMs"]["p99"].as_f64() >= report["latencyMs"]["p50"].as_f64());
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).expect("written")).expect("JSON");
    assert_eq!(written, first);

    let handled = server.handled(events).await;
    let keys: BTreeSet<_> =
        handled.iter().map(|seen| seen.delivery.envelope.idempotency_key.to_string()).collect();
    assert_eq!((handled.len(), keys.len()), (events, events), "handled = unique sent");
    // The expected facts are those that arrived.
    let joined = handled.iter().filter(|seen| seen.method == EventKind::ParticipantJoined).count();
    let stays = first["expected"]["meetings"].as_array().expect("a list").iter();
    let stays: usize = stays.map(|meeting| meeting["stays"].as_array().expect("a list").len()).sum();
    assert_eq!(joined, stays);
    let devices: BTreeSet<String> = handled
        .iter()
        .filter_map(|seen| match &seen.event {
            Event::Usage(usage) => Some(usage.0.iter().filter_map(|entry| entry.device_id.clone())),
            _ => None,
        })
        .flatten()
        .map(|device| device.into_exposed())
        .collect();
    assert_eq!(first["expected"]["billableDevices"], devices.len());

    let again = jaas(&args).await.exits(0).json();
    assert_eq!(again["report"]["bodiesSha256"], report["bodiesSha256"]);
    assert_eq!(server.recorder.seen().len(), events, "all of them are duplicates now");
    let mut other = args;
    let seed = other.iter().position(|arg| *arg == "--seed").expect("given") + 1;
    other[seed] = "8";
    let other = jaas(&other).await.exits(0).json();
    assert_ne!(other["report"]["bodiesSha256"], report["bodiesSha256"]);
    server.stop().await;
}

#[tokio::test]
async fn the_closing_table_shows_what_the_report_contains() {
    let server = Server::start().await;
    let ran = jaas(&["simulate", "--url", &server.url, "--meetings", "2", "--expect"]).await.exits(0);
    for word in [
        "meetings",
        "events",
        "sent",
        "acknowledged",
        "duplicates",
        "refused",
        "retries",
        "p50",
        "p95",
        "p99",
        "SHA-256",
        "devices",
        "total",
    ] {
        assert!(ran.stdout.contains(word), "{word} in {}", ran.stdout);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stopped_server_is_retried_and_then_named() {
    let url = nowhere();
    let args =
        ["--json", "simulate", "--url", &url, "--meetings", "1", "--attempts", "3", "--first-wait", "10ms"];
    let ran = jaas(&args).await.exits(3);
    let report = &ran.json()["report"];
    let (events, requests) = (report["events"].as_u64().expect("a number"), report["requests"].as_u64());
    assert_eq!(requests, Some(events * 3));
    assert_eq!(
        (report["unanswered"]["unreachable"].as_u64(), report["givenUp"].as_u64()),
        (requests, Some(events))
    );
    assert!(ran.stderr.contains(&url) && ran.stderr.contains("after 3 attempts each"), "{}", ran.stderr);
    assert!(ran.stderr.contains("is the server running there?"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_wrong_secret_is_reported_with_its_status_and_exits_1() {
    let server = Server::start().await;
    let args = [
        "simulate",
        "--url",
        &server.url,
        "--meetings",
        "1",
        "--attempts",
        "2",
        "--first-wait",
        "1ms",
        "--secret",
        "whsec_another",
    ];
    let ran = jaas(&args).await.exits(1);
    assert!(ran.stdout.lines().any(|line| line.trim_start().starts_with("401 ")), "{}", ran.stdout);
    assert!(ran.stderr.contains("401 means that the signature was refused"), "{}", ran.stderr);
    assert!(server.recorder.seen().is_empty());
    server.stop().await;
}
