//! Each role by itself and with the other, on each database; and the error of a process that cannot start.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::timeout;

use crate::support::check;
use crate::support::database::{Database, Kind};
use crate::support::load::join;
use crate::support::process::{Fleet, Plan};
use crate::support::sender::Sender;
use crate::support::{spread, turn, until};

/// The default interval at which a worker polls.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The rest of the way from receiver to worker, on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

/// A receiver notifies the workers of other processes.
#[tokio::test(flavor = "multi_thread")]
async fn receiver_and_worker_share_the_work_on_postgres() {
    roles(Kind::Postgres, POLL_INTERVAL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_and_worker_share_the_work_on_mysql() {
    roles(Kind::Mysql, POLL_INTERVAL + SLACK).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receiver_and_worker_share_the_work_on_sqlite() {
    roles(Kind::Sqlite, POLL_INTERVAL + SLACK).await;
}

async fn roles(kind: Kind, longest: Duration) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let plan = Plan::new(&database);

    // A receiver alone: stored, and nothing more.
    let receiver = Plan { role: "receiver", ..plan.clone() }.start().await;
    let sender = Sender::to(&receiver.address);
    assert_eq!((sender.get("/livez").await, sender.get("/readyz").await), (200, 200));
    assert!(sender.send(&join("first"), 0).await.accepted());
    assert_eq!((database.unsettled().await, database.count_handled().await), (1, 0));

    // A worker alone: waiting events are handled, and there is no webhook to send to.
    let worker = Plan { role: "worker", ..plan.clone() }.start().await;
    let health = Sender::to(&worker.address);
    assert_eq!((health.get("/livez").await, health.get("/readyz").await), (200, 200));
    assert_eq!(health.send(&join("nowhere"), 0).await.status, Some(404));
    until("what waited is handled", SLACK + POLL_INTERVAL, async || database.count_handled().await == 1)
        .await;

    // Together: from the reply of one to the row of the other.
    let mut ways = Vec::new();
    for number in 0..5 {
        let key = format!("together-{number}");
        assert!(sender.send(&join(&key), 0).await.accepted());
        let replied = Instant::now();
        until("it is handled", Duration::from_secs(10), async || {
            database.count_handled().await == number + 2
        })
        .await;
        ways.push(replied.elapsed());
    }
    println!("roles on {kind:?}: from a receiver's 200 to the row of a worker in {}", spread(ways.clone()));
    assert!(ways.iter().all(|way| *way < longest), "{ways:?}");
    receiver.terminate().await;
    for row in database.handled().await {
        assert!(worker.is(&row.worker) && row.attempt == 1, "{row:?}");
        let session = Some(format!("s-{}", row.key));
        assert!(row.kind == "PARTICIPANT_JOINED" && row.session == session, "{row:?}");
    }
    worker.terminate().await;

    // Both in one: two of them, started at the same time.
    let both = Fleet::start(plan, 2).await;
    let sender = Sender::new(both.addresses());
    for number in 0..10 {
        assert!(sender.send(&join(&format!("both-{number}")), number).await.accepted());
    }
    check::drained(&database, Duration::from_secs(10)).await;
    assert_eq!(database.count_handled().await, 6 + 10);
    both.terminate().await;
}

/// Processes that start at the same time on a new database take turns.
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_do_not_fall_over_each_others_tables() {
    for kind in [Kind::Postgres, Kind::Mysql, Kind::Sqlite] {
        let _turn = turn().await;
        let Some(database) = Database::create(kind).await else { continue };
        Fleet::start(Plan::new(&database), 5).await.terminate().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_start_names_the_cause_and_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let sqlite = format!("sqlite://{}/jaas.sqlite", folder.path().display());
    let secret = [("JAAS_WEBHOOK_SECRET", "whsec_not-told")];
    let logged = async |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workers"));
        for variable in ["DATABASE_URL", "JAAS_WEBHOOK_SECRET", "JAAS_BIND", "JAAS_LEASE_MS", "RUST_LOG"] {
            command.env_remove(variable);
        }
        command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(Duration::from_secs(20), command.output()).await.expect("ended in time");
        let output = output.expect("ran");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let url = |url: &'static str| [("DATABASE_URL", url), secret[0]];
    // Arguments, variables, and the texts that the error must contain.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 12] = [
        (&[], &secret, &["DATABASE_URL is not set", "postgres://", "mysql://", "sqlite://path"]),
        (&[], &url("oracle://not-told@host"), &["DATABASE_URL begins with oracle://", "postgres://"]),
        (&[], &url("not-told"), &["DATABASE_URL has no scheme"]),
        (&[], &url("sqlite://"), &["DATABASE_URL names no SQLite file"]),
        (&[], &[("DATABASE_URL", &sqlite)], &["JAAS_WEBHOOK_SECRET is not set", "JaaS console"]),
        (&["--role", "boss"], &url("sqlite://x"), &["--role \"boss\" is not known", "receiver|worker|both"]),
        (&["--slow-ms", "few"], &url("sqlite://x"), &["--slow-ms \"few\" is not a number"]),
        (&["--role"], &url("sqlite://x"), &["--role needs a value"]),
        (&[], &url("postgres://u:not-told@127.0.0.1:1/x"), &["DATABASE_URL", "refused", "check that"]),
        (&[], &url("mysql://u:not-told@127.0.0.1:1/x"), &["DATABASE_URL", "refused", "check that"]),
        (&[], &url("sqlite:///nowhere/told/x.sqlite"), &["DATABASE_URL", "cannot open", "check that"]),
        (&[], &[("DATABASE_URL", &sqlite), secret[0], ("JAAS_BIND", "nowhere")], &["JAAS_BIND", "nowhere"]),
    ];
    let mut errors = BTreeSet::new();
    for (arguments, variables, parts) in cases {
        let log = logged(arguments, variables).await;
        assert!(!log.contains("not-told"), "{log}");
        for part in parts {
            assert!(log.contains(part), "{part:?} in {log}");
        }
        errors.insert(log);
    }
    assert_eq!(errors.len(), 12, "each error is different");
}
