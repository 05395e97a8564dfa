//! `jaas verify`, `fixtures`, `completions`, `--dry-run` and `--help`: everything that needs no server.

use jaas_core::event::EventKind;
use jaas_core::signature::{Secret, SignatureError, Tolerance, verify};
use jaas_core::{Envelope, SystemClock};
use jaas_testkit::fixture;
use serde_json::Value;

use crate::support::{SECRET, jaas, run};

#[tokio::test]
async fn verify_names_the_mistakes_of_every_vector() {
    let file: Value = serde_json::from_str(include_str!("../doubles/doctor.json")).expect("JSON");
    for vector in file["vectors"].as_array().expect("a list") {
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let mut args: Vec<String> = ["--json", "verify", "--body", "-"].map(str::to_owned).to_vec();
        args.extend([
            "--header".to_owned(),
            text(&vector["header"]),
            "--now".to_owned(),
            vector["now"].to_string(),
        ]);
        for (option, list) in [("--secret", &vector["secrets"]), ("--other-secret", &vector["others"])] {
            for secret in list.as_array().expect("a list") {
                args.extend([option.to_owned(), text(secret)]);
            }
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = run(&args, &[], text(&vector["body"]).as_bytes()).await;
        let output = ran.json();
        let found: Vec<_> =
            output["mistakes"].as_array().expect("a list").iter().map(|found| &found["mistake"]).collect();
        let expected = vector["expected"].as_array().cloned();
        // The command removes the header's name by itself.
        let copied = vector["case"] == "header name and value";
        let expected = if copied { Some(Vec::new()) } else { expected };
        assert_eq!(found, expected.iter().flatten().collect::<Vec<_>>(), "{}", vector["case"]);
        let valid = expected.is_some_and(|expected| expected.is_empty());
        assert_eq!(
            (ran.code, output["valid"].as_bool()),
            (i32::from(!valid), Some(valid)),
            "{}",
            vector["case"]
        );
    }
}

#[tokio::test]
async fn verify_prints_which_secret_matched_or_what_to_do() {
    let body = "{}";
    let header = "t=1760000000,v1=".to_owned() + &signed(SECRET, "1760000000.{}");
    let base = ["verify", "--body", "-", "--header", &header, "--now", "1760000001"];
    let variables = [("JAAS_WEBHOOK_SECRET", "whsec_other,whsec_9635df66714a4cf088ee9d0979dd3bf6")];
    let ran = run(&base, &variables, body.as_bytes()).await.exits(0);
    assert_eq!(ran.stdout, "valid: signed at 2025-10-09T08:53:20.000Z, with secret 2 of 2\n");
    let ran = run(&base, &[("JAAS_WEBHOOK_SECRET", "9635df66714a4cf088ee9d0979dd3bf6")], body.as_bytes())
        .await
        .exits(1);
    assert!(
        ran.stdout.contains("prefix_stripped\n") && ran.stdout.contains("lacks its `whsec_`"),
        "{}",
        ran.stdout
    );
    let ran = run(&base, &[], body.as_bytes()).await.exits(2);
    assert!(ran.stderr.contains("JAAS_WEBHOOK_SECRET"), "{}", ran.stderr);
}

/// The base64 of a MAC, taken from a header that the core signs.
fn signed(secret: &str, message: &str) -> String {
    let (t, body) = message.split_once('.').expect("t and body");
    let at = jaas_core::Timestamp::from_secs(t.parse().expect("seconds"));
    let header = jaas_core::signature::sign(&Secret::new(secret).expect("good"), at, body.as_bytes());
    header.split_once(",v1=").expect("a v1").1.to_owned()
}

#[tokio::test]
async fn fixtures_lists_and_prints_every_event() {
    let list = jaas(&["--json", "fixtures"]).await.exits(0).json();
    let listed: Vec<_> = list.as_array().expect("a list").iter().map(|entry| entry["name"].clone()).collect();
    assert_eq!(listed, EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    assert!(list[0]["about"] == "A room or breakout room opened.");
    for kind in [EventKind::Usage, EventKind::SpeakerStats] {
        let ran = jaas(&["fixtures", &kind.as_str().to_lowercase().replace('_', "-")]).await.exits(0);
        assert_eq!(ran.stdout, fixture::of(kind).body);
    }
    let ran = jaas(&["fixtures", "POLL_CREATED", "--key", "k1"]).await.exits(0);
    assert_eq!(Envelope::parse(ran.stdout.as_bytes()).expect("readable").idempotency_key.as_str(), "k1");
    let ran = jaas(&["fixtures", "moderator-string"]).await.exits(0);
    assert!(ran.stdout.contains("\"moderator\": \"true\""), "{}", ran.stdout);
    let cases = jaas(&["fixtures", "--of", "cases"]).await.exits(0);
    assert_eq!(cases.stdout.lines().count(), fixture::CASES.len());
    let documented = jaas(&["fixtures", "USAGE", "--of", "documented"]).await.exits(0);
    assert_ne!(documented.stdout, fixture::of(EventKind::Usage).body);
    let ran = jaas(&["fixtures", "NOTHING"]).await.exits(2);
    assert!(ran.stderr.contains("`jaas fixtures` lists"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_dry_run_prints_what_would_be_sent() {
    let args = ["simulate", "--meetings", "3", "--seed", "7", "--dry-run", "--duplicates", "20%"];
    // It needs neither server nor secret.
    let first = run(&args, &[], b"").await.exits(0);
    assert_eq!(
        first.stdout,
        run(&args, &[], b"").await.exits(0).stdout,
        "the same seed twice gives the same bytes"
    );
    let keys: Vec<_> = first
        .stdout
        .lines()
        .map(|line| Envelope::parse(line.as_bytes()).expect("readable").idempotency_key.to_string())
        .collect();
    let different = keys.iter().collect::<std::collections::BTreeSet<_>>().len();
    assert!(different < keys.len() && different > 30, "{different} of {}", keys.len());
    let expected = run(&[&args[..], &["--expect"]].concat(), &[], b"").await.exits(0);
    assert!(expected.stdout.contains("Your application should have learned"), "{}", expected.stdout);

    let shown = jaas(&["--json", "send", "ROOM_CREATED", "--url", "http://localhost:1/x", "--dry-run"])
        .await
        .exits(0)
        .json();
    let header = shown["headers"]["X-Jaas-Signature"].as_str().expect("a header");
    let secret = Secret::new(SECRET).expect("good");
    let now = jaas_core::Clock::now(&SystemClock);
    let body = shown["body"].as_str().expect("a body").as_bytes();
    verify(header, body, &[secret], now, Tolerance::default()).expect("genuine");
    let old = jaas(&[
        "--json",
        "send",
        "ROOM_CREATED",
        "--url",
        "http://localhost:1/x",
        "--dry-run",
        "--signed-at",
        "1700000000",
    ]);
    let old = old.await.exits(0).json();
    let (header, body) =
        (old["headers"]["X-Jaas-Signature"].as_str(), old["body"].as_str().expect("a body").as_bytes());
    let checked = verify(
        header.expect("a header"),
        body,
        &[Secret::new(SECRET).expect("good")],
        now,
        Tolerance::default(),
    );
    assert!(matches!(checked, Err(SignatureError::TooOld { .. })), "{checked:?}");
}

#[tokio::test]
async fn every_command_has_help_with_examples_and_completions() {
    for command in ["send", "simulate", "settings", "verify", "fixtures", "rtcstats", "completions"] {
        let ran = jaas(&[command, "--help"]).await.exits(0);
        assert!(
            ran.stdout.contains("Examples:") && ran.stdout.contains(&format!("jaas {command}")),
            "{}",
            ran.stdout
        );
        assert!(!ran.stdout.contains(SECRET), "the secret of the environment is not shown");
    }
    let help = jaas(&["--help"]).await.exits(0);
    assert!(help.stdout.contains("Exit codes:") && help.stdout.contains("Examples:"), "{}", help.stdout);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = jaas(&["completions", shell]).await.exits(0).stdout;
        assert!(script.contains("simulate") && script.contains("lose-answers"), "{shell}");
    }
}
