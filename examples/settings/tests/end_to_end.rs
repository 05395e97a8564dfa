//! The real program, queried over HTTP.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, clippy::panic)]

mod support;

use std::path::Path;
use std::time::Duration;

use jaas_core::settings::{SettingsFailure, SettingsLog as _, SettingsQuery, SettingsRecord, SettingsSource};
use jaas_core::{Clock as _, Fqn, SystemClock};
use jaas_diesel::SqliteStore;
use serde_json::json;

use self::support::{EVENTS, SETTINGS, SOON, Server, command};

/// The timeout of the settings service is 1.5 s; JaaS waits 3 s.
const DEADLINE: Duration = Duration::from_millis(1500);
const JAAS_WAITS: Duration = Duration::from_secs(3);

async fn records(database: &Path, query: &SettingsQuery) -> Vec<SettingsRecord> {
    let store = SqliteStore::open(database).await.expect("opened");
    store.settings_records(query).await.expect("listed").items
}

#[tokio::test(flavor = "multi_thread")]
async fn each_room_gets_its_settings_and_trouble_closes_the_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/rooms.toml");
    let server =
        Server::start(&database, &[("JAAS_SETTINGS_FILE", file), ("JAAS_VIP_PASSCODE", "918273645")]).await;
    let started = SystemClock.now();

    for path in [EVENTS, SETTINGS] {
        let vip = server.ask(path, "app/Team%2DVIP").await;
        let wanted = json!({"lobbyEnabled": true, "lobbyType": "WAIT_FOR_APPROVAL", "passcode": "918273645"});
        assert_eq!((vip.status, serde_json::Value::from(vip.keys)), (200, wanted));
        let board = server.ask(path, "app/board").await;
        assert_eq!((&board.keys["lobbyEnabled"], &board.keys["maxOccupants"]), (&json!(true), &json!(12)));
        let lecture = server.ask(path, "app/lecture-7").await;
        assert_eq!(lecture.keys["transcriberType"], "EGHT_WHISPER");
        let other = server.ask(path, "app/math").await;
        assert_eq!(serde_json::Value::from(other.keys), json!({"maxOccupants": 50}));
    }
    for (room, least) in [("slow", DEADLINE), ("broken", Duration::ZERO), ("panics", Duration::ZERO)] {
        let answer = server.ask(EVENTS, &format!("app/{room}")).await;
        assert_eq!((answer.status, &answer.keys["lobbyEnabled"]), (200, &json!(true)), "{room}");
        assert_eq!(answer.keys["passcode"].as_str().map(str::len), Some(10), "{room}");
        assert!(answer.took >= least && answer.took < JAAS_WAITS, "{room}: {:?}", answer.took);
    }
    // An event is an event on either path.
    for (key, path) in [("k-1", EVENTS), ("k-2", SETTINGS)] {
        let event = format!(
            r#"{{"idempotencyKey":"{key}","eventType":"ROOM_CREATED","fqn":"app/math","data":{{}}}}"#
        );
        assert_eq!(server.post_signed(path, &event).await, (200, Vec::new()));
    }
    assert_eq!((server.get("/livez").await, server.get("/readyz").await), (200, 200));

    let (code, log) = server.terminate().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("918273645"), "no passcode in the log, not even at DEBUG");
    for expected in
        ["exceeded its timeout", "provider failed", "provider panicked", "credentials=\"signature\""]
    {
        assert!(log.contains(expected), "{expected:?} in {log}");
    }

    // The record of each decision.
    let all = records(&database, &SettingsQuery::default()).await;
    assert_eq!(all.len(), 11);
    assert!(all.iter().all(|record| !record.answer.contains("918273645")));
    let of = |room: &str| SettingsQuery {
        fqn: Some(Fqn::new(format!("APP/{room}"))),
        from: Some(started),
        ..SettingsQuery::default()
    };
    for (room, failure) in [
        ("slow", SettingsFailure::TimedOut),
        ("broken", SettingsFailure::Failed),
        ("panics", SettingsFailure::Panicked),
    ] {
        let found = records(&database, &of(room)).await;
        assert_eq!(
            (found.len(), found[0].source, found[0].failure),
            (1, SettingsSource::FailClosed, Some(failure))
        );
    }
    let vip = records(&database, &of("team-vip")).await;
    assert_eq!((vip.len(), vip[0].decided_by.as_deref()), (2, Some("the name ends in -vip")));

    let printed = command(&database, &[]).args(["--records", "app/board"]).output();
    let printed = tokio::time::timeout(SOON, printed).await.expect("in time").expect("ran");
    let printed = String::from_utf8(printed.stdout).expect("UTF-8");
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert!(printed.contains(r#"the rule "board""#), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refuse_and_last_known_good_can_be_chosen() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("jaas.sqlite");
    let server = Server::start(&database, &[("JAAS_SETTINGS_FAILURE", "refuse")]).await;
    let answer = server.ask(EVENTS, "app/broken").await;
    assert_eq!((answer.status, &answer.keys["messageKey"]), (400, &json!("settings.provisioning.exception")));
    assert_eq!(server.ask(EVENTS, "app/math").await.keys["maxOccupants"], 50);
    server.terminate().await;
    let server = Server::start(&database, &[("JAAS_SETTINGS_FAILURE", "last-known-good")]).await;
    assert_eq!(server.ask(EVENTS, "app/broken").await.keys["lobbyEnabled"], true, "nothing was good before");
    server.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_without_a_signature_is_refused_and_logged_and_its_authorization_can_be_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let question = r#"{"fqn":"app/math"}"#;
    let event = r#"{"idempotencyKey":"k","eventType":"ROOM_CREATED","fqn":"app/math","data":{}}"#;
    let value = [("Authorization", "Bearer 4711")];

    let server = Server::start(&folder.path().join("strict.sqlite"), &[]).await;
    for path in [EVENTS, SETTINGS] {
        assert_eq!(server.post(path, &value, question).await, (401, Vec::new()));
        assert_eq!(server.post(path, &[], question).await, (401, Vec::new()));
    }
    let (_, log) = server.terminate().await;
    for arrived in ["credentials=\"authorization\"", "credentials=\"none\""] {
        assert!(log.contains(arrived), "the log says what arrived: {log}");
    }
    assert!(log.contains("a settings question was refused") && !log.contains("4711"), "{log}");

    let database = folder.path().join("either.sqlite");
    let server = Server::start(&database, &[("JAAS_AUTHORIZATION", "Bearer 4711")]).await;
    for path in [EVENTS, SETTINGS] {
        let (status, body) = server.post(path, &value, question).await;
        assert_eq!((status, &*body), (200, &br#"{"maxOccupants":50}"#[..]));
        assert_eq!(server.post(path, &value, event).await.0, 401, "an event needs its signature");
        assert_eq!(server.post_signed(path, question).await.0, 200, "a signature is accepted too");
    }
    server.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_file_is_reported_at_the_start_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text, expected) in [
        (
            "rooms.toml",
            "[[rules]]\nroom = \"a\"\n[rules.settings]\npasscode = \"12x4\"\n",
            "rooms.toml, line 4: the passcode may hold the digits 0 to 9 only",
        ),
        (
            "rooms.json",
            "{\"default\":\n{\"maxOccupants\": 1000}}",
            "rooms.json, line 2: maxOccupants is 1000, and must be 2 to 500",
        ),
        ("rooms.yaml", "", "ends in .toml or .json"),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("written");
        let file = file.to_str().expect("UTF-8");
        let database = folder.path().join("jaas.sqlite");
        let output = command(&database, &[("JAAS_SETTINGS_FILE", file)]).output();
        let output = tokio::time::timeout(SOON, output).await.expect("ended in time").expect("ran");
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && log.contains(expected) && !log.contains("12x4"), "{log}");
        assert!(!database.exists(), "nothing was created");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demonstration_prints_the_answers_and_their_reasons() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(&folder.path().join("jaas.sqlite"), &[]);
    let output = command.env_remove("JAAS_WEBHOOK_SECRET").arg("--once").output();
    let output = tokio::time::timeout(SOON, output).await.expect("ended in time").expect("ran");
    let printed = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for part in
        ["math       200", "board-vip  200", "slow       200", "timed_out", "panicked: a bug in the provider"]
    {
        assert!(printed.contains(part), "{part:?} in {printed}");
    }
}
