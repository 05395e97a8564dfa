//! Every command on each database.

use std::future::Future;
use std::time::Duration;

use jaas_core::drift::{Drift as Found, DriftKind, DriftSighting, DriftStore};
use jaas_core::store::{
    Accepted, AuditAction, ClaimRequest, EventAdmin, EventQuery, EventState, Failure, PageRequest,
};
use jaas_core::{Clock as _, Delivery, SystemClock, Timestamp};
use jaas_diesel::{MysqlStore, PostgresStore, SqliteStore};

use crate::command::running::jaas;
use crate::server;

/// The error of half of the dead letters, which a stranger could have influenced.
const FORGED: &str = "refused \u{1b}[31m\nby the archive";

fn now() -> Timestamp {
    SystemClock.now()
}

fn delivery(key: &str) -> Delivery {
    let body = format!(
        r#"{{"idempotencyKey":"{key}","eventType":"RECORDING_UPLOADED","sessionId":"s {key}","fqn":"app/math",
            "data":{{"preAuthenticatedLink":"https://secret.example"}}}}"#
    );
    Delivery::parse("main", now(), body.into_bytes().into()).expect("an envelope")
}

/// Stores `many` dead letters with this error.
async fn dead_letters<S: EventAdmin>(store: &S, name: &str, many: usize, error: &str) {
    for number in 0..many {
        let accepted = store.accept(delivery(&format!("{name} {number}"))).await.expect("accepted");
        assert_eq!(accepted, Accepted::New);
    }
    let failure = Failure { error: error.into(), retry_in: None, passable: false, next: None };
    let mut dead = 0;
    while dead < many {
        let mut request = ClaimRequest::new("w", now(), 100);
        request.lease = Duration::from_secs(600);
        let claims = store.claim(&request).await.expect("claimed");
        assert!(!claims.is_empty(), "{dead} of {many}");
        for claim in &claims {
            store.fail(claim.lease, &failure, now()).await.expect("recorded");
        }
        dead += claims.len();
    }
}

async fn count<S: EventAdmin>(store: &S, state: EventState) -> u64 {
    store.stats().await.expect("counted").count(state)
}

/// The test, with a store and the address of its database.
async fn every_command_works<S: EventAdmin + DriftStore>(store: S, url: String) {
    let run = async |args: &[&str]| jaas(&url, args).await;
    dead_letters(&store, "other", 2, "another error").await;
    dead_letters(&store, "k", 23, FORGED).await;
    store.accept(delivery("waits")).await.expect("accepted");

    let stats = run(&["inbox", "stats", "--json"]).await.exits(0).json();
    assert_eq!(stats["states"]["dead"]["count"], 25);
    assert_eq!(stats["states"]["waiting"]["count"], 1);

    let listed = run(&["--json", "inbox", "list", "--state", "dead", "--limit", "20"]).await.exits(0).json();
    let events = listed["events"].as_array().expect("a list");
    assert_eq!((events.len(), &events[0]["key"]), (20, &"k 22".into()), "newest first");
    let next = listed["next"].to_string();
    let rest = run(&["--json", "inbox", "list", "--state", "dead", "--after", &next]).await.exits(0).json();
    assert_eq!(rest["events"].as_array().expect("a list").len(), 5);
    let none = run(&["inbox", "list", "--session", "none"]).await.exits(0);
    assert!(none.stdout.ends_with("no event matches\n"), "{}", none.stdout);

    let text = run(&["inbox", "explain", "k 3"]).await.exits(0).stdout;
    assert!(
        text.contains(r"dead, settled at ") && text.contains(r"refused \u{1b}[31m\nby the archive"),
        "{text}"
    );
    assert!(!text.contains('\u{1b}') && !text.contains("secret.example"), "{text}");
    let waits = run(&["--json", "inbox", "explain", "waits", "--endpoint", "main"]).await.exits(0).json();
    assert_eq!(waits["events"][0]["next"]["status"], "due");
    let missing = run(&["inbox", "explain", "nothing"]).await.exits(1);
    assert!(missing.stderr.contains("no event has the key nothing"), "{}", missing.stderr);

    let groups = run(&["inbox", "groups", "--json"]).await.exits(0).json();
    let group = &groups["groups"][0];
    assert_eq!((&group["count"], &group["error"]), (&23.into(), &FORGED.into()));
    let group = group["group"].as_str().expect("a name");
    assert!(!run(&["inbox", "groups"]).await.exits(0).stdout.contains('\u{1b}'));

    // Nobody can be asked, so nothing happens.
    let because = ["--reason", "the archive has space again"];
    let mut words = vec!["inbox", "replay", "--batch", "10", "--group", group, because[0], because[1]];
    let unasked = run(&words).await.exits(2);
    assert!(
        unasked.stderr.contains("pass --yes") && unasked.stderr.contains("23 events"),
        "{}",
        unasked.stderr
    );
    assert_eq!(count(&store, EventState::Dead).await, 25);
    words.push("--yes");
    let replayed = run(&words).await.exits(0);
    assert_eq!(replayed.stdout, "23 events replayed\n");
    assert_eq!((count(&store, EventState::Dead).await, count(&store, EventState::Waiting).await), (2, 24));
    let unknown =
        run(&["inbox", "discard", "--group", "beef", "--yes", because[0], because[1]]).await.exits(1);
    assert!(unknown.stderr.contains("there is no group beef"), "{}", unknown.stderr);

    let discarded =
        run(&["inbox", "discard", "--room", "app/math", "--yes", "--json", because[0], because[1]])
            .await
            .exits(0);
    assert_eq!(discarded.json()["discarded"], 2, "only the dead letters");
    let audit = store.audit(PageRequest::newest()).await.expect("listed").items;
    assert_eq!((audit[0].action, &*audit[0].note.by), (AuditAction::Discarded, "ada"));
    assert_eq!(&*audit[0].note.reason, "the archive has space again");

    let of_key = EventQuery { idempotency_key: Some("waits".into()), ..EventQuery::default() };
    let row = store.events(&of_key).await.expect("listed").items.remove(0).id.to_string();
    one_event(&store, &url, &row).await;
    watched_and_drifted(&store, &url).await;
}

/// What the watch and the radar have found.
async fn watched_and_drifted<S: DriftStore>(store: &S, url: &str) {
    let run = async |args: &[&str]| jaas(url, args).await;
    assert_eq!(run(&["gaps"]).await.exits(0).stdout, "there are no open gaps\n");
    let counts = run(&["gaps", "--counts", "--json"]).await.exits(0).json();
    assert_eq!(counts["counts"].as_array().map(Vec::len), Some(0));
    let unknown = run(&["gaps", "--rule", "nothing"]).await.exits(2);
    assert!(unknown.stderr.contains("recording_not_uploaded"), "{}", unknown.stderr);

    assert_eq!(run(&["drift"]).await.exits(0).stdout, "nothing unknown was seen\n");
    let found = Found::new(DriftKind::Field, "ROOM_CREATED", "data.\u{1b}mood", "string");
    let mut sighting = DriftSighting::new(found, now(), "main", "k".into());
    sighting.fixture = Some(r#"{"eventType": "ROOM_CREATED"}"#.into());
    store.record_drift(&[sighting]).await.expect("recorded");
    let listed = run(&["drift", "--json"]).await.exits(0).json();
    assert_eq!((&listed["drift"][0]["count"], &listed["next"]), (&1.into(), &serde_json::Value::Null));
    let text = run(&["drift"]).await.exits(0).stdout;
    assert!(text.contains(r"data.\u{1b}mood") && !text.contains('\u{1b}'), "{text}");
    let row = listed["drift"][0]["id"].to_string();
    let fixture = run(&["drift", "--fixture", &row]).await.exits(0);
    assert_eq!(fixture.json()["eventType"], "ROOM_CREATED");
    let missing = run(&["drift", "--fixture", "999999"]).await.exits(1);
    assert!(missing.stderr.contains("there is no row 999999"), "{}", missing.stderr);
}

/// What is done to single events.
async fn one_event<S: EventAdmin>(store: &S, url: &str, row: &str) {
    let run = async |args: &[&str]| jaas(url, args).await;
    let audited = async || store.audit(PageRequest::newest()).await.expect("listed").items;
    let before = audited().await.len();
    assert!(!run(&["inbox", "show", row]).await.exits(0).stdout.contains("secret.example"));
    let unreasoned = run(&["inbox", "show", row, "--reveal"]).await.exits(2);
    assert!(unreasoned.stderr.contains("--reason") && unreasoned.stdout.is_empty(), "{}", unreasoned.stderr);
    assert_eq!(audited().await.len(), before, "nothing was revealed");
    let revealed = run(&["inbox", "show", row, "--reveal", "--reason", "asked", "--operator", "bob"]).await;
    assert!(revealed.exits(0).stdout.contains("https://secret.example"));
    let entry = audited().await.remove(0);
    assert_eq!(
        (entry.action, &*entry.note.by, entry.event.to_string()),
        (AuditAction::Revealed, "bob", row.into())
    );

    let waiting = run(&["inbox", "replay", row, "--reason", "r", "--yes"]).await.exits(1);
    assert!(
        waiting.stderr.contains("waiting") && waiting.stderr.contains("0 events replayed"),
        "{}",
        waiting.stderr
    );
    run(&["inbox", "discard", row, "--reason", "r", "--yes"]).await.exits(0);
    let replayed = run(&["inbox", "replay", row, "--reason", "r", "--yes"]).await.exits(0);
    assert_eq!(replayed.stdout, "1 event replayed\n");
    run(&["inbox", "show", "999999"]).await.exits(1);
    run(&["inbox", "replay", "--reason", "r", "--yes"]).await.exits(2);
}

async fn in_time(test: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(300), test).await.expect("the test ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("inbox.sqlite");
    let store = SqliteStore::open(&path).await.expect("opened");
    in_time(every_command_works(store, format!("sqlite:{}", path.display()))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_on_postgresql() {
    let database = crate::server_or_return!(server::Postgres);
    let store = PostgresStore::builder(database.url()).pool_size(2).open().await.expect("opened");
    in_time(every_command_works(store.clone(), database.url())).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_works_on_mysql() {
    let database = crate::server_or_return!(server::Mysql);
    let store = MysqlStore::builder(database.url()).pool_size(2).open().await.expect("opened");
    in_time(every_command_works(store.clone(), database.url())).await;
    store.close().await;
}
