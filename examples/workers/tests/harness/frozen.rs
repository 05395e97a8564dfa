//! A process is frozen in the middle of a handler, for longer than its lease.

use std::time::Duration;

use jaas_core::store::{AttemptOutcome, EventState};

use crate::support::database::{Database, Kind};
use crate::support::load::join;
use crate::support::process::{Plan, Process};
use crate::support::sender::Sender;
use crate::support::{dose, turn, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_cannot_settle_what_another_has_taken_over_on_postgres() {
    frozen(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_process_cannot_settle_what_another_has_taken_over_on_mysql() {
    frozen(Kind::Mysql).await;
}

/// What a worker says when it finds that it has lost an event: when it renews, or when it settles.
const REFUSED: [&str; 2] =
    ["lease lost; the handler is aborted", "outcome not recorded; another worker has taken over"];

async fn frozen(kind: Kind) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let lease = Duration::from_secs(2);
    for round in 0..dose(1, 5) {
        let plan = Plan { lease: Some(lease), ..Plan::new(&database) };
        let slow = Plan { slow: Duration::from_secs(1), ..plan.clone() }.start().await;
        let key = format!("frozen-{round}");
        let sender = Sender::to(&slow.address);
        assert!(sender.send(&join(&key), 0).await.accepted());
        until("it is being handled", lease, async || is_run_by(&database, &slow, &key).await).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        slow.freeze().await;

        let quick = Plan { role: "worker", ..plan }.start().await;
        let taken = until("another process has handled it", Duration::from_secs(15), async || {
            database.handled().await.iter().any(|row| row.key == key)
        });
        let taken = taken.await;
        slow.thaw().await;
        let mut said = None;
        let noticed = until("the first process notices", Duration::from_secs(10), async || {
            said = slow.says(&REFUSED);
            said.is_some()
        });
        let noticed = noticed.await;

        // It goes on with other events as if nothing had been.
        let after = format!("after-{round}");
        assert!(sender.send(&join(&after), 0).await.accepted());
        until("the next event is handled", Duration::from_secs(10), async || {
            database.handled().await.iter().any(|row| row.key == after)
        })
        .await;
        slow.terminate().await;
        let rows: Vec<_> = database.handled().await.into_iter().filter(|row| row.key == key).collect();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(quick.is(&rows[0].worker) && rows[0].attempt == 2, "{rows:?}");
        quick.terminate().await;
        let events = database.events().await;
        let event = events.iter().find(|event| event.idempotency_key == *key).expect("stored");
        assert_eq!((event.state, event.crashes, event.failures), (EventState::Done, 1, 0), "{event:?}");
        let attempts = database.attempts().await;
        let outcomes: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.event == event.id)
            .map(|attempt| attempt.outcome)
            .collect();
        assert_eq!(outcomes, [AttemptOutcome::Crashed]);
        println!(
            "frozen on {kind:?}: taken over after {taken:.1?} (lease {lease:?}); noticed {noticed:.0?} after it went on: {:?}",
            said.unwrap_or_default()
        );
    }
}

async fn is_run_by(database: &Database, process: &Process, key: &str) -> bool {
    database.events().await.iter().any(|event| {
        event.idempotency_key == *key
            && event.state == EventState::Running
            && event.worker.as_deref().is_some_and(|worker| process.is(worker))
    })
}
