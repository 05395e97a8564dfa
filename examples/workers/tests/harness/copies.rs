//! The same deliveries arrive many times in parallel, at several processes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::check::{self, Figures};
use crate::support::database::{Database, Kind};
use crate::support::load::join;
use crate::support::process::{Fleet, Plan, warnings};
use crate::support::sender::Sender;
use crate::support::{dose, spread, turn};

#[tokio::test(flavor = "multi_thread")]
async fn eight_copies_at_once_to_two_processes_are_handled_once_on_postgres() {
    copies(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_copies_at_once_to_two_processes_are_handled_once_on_mysql() {
    copies(Kind::Mysql).await;
}

const COPIES: usize = 8;

async fn copies(kind: Kind) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let keys: Vec<String> = (0..dose(400, 10_000)).map(|number| format!("c-{number}")).collect();
    let fleet = Fleet::start(Plan::new(&database), 2).await;
    let sender = Sender::new(fleet.addresses());
    let started = Instant::now();
    let at_once = Arc::new(Semaphore::new(16));
    let mut sending = JoinSet::new();
    let mut others = 0;
    for (number, key) in keys.iter().enumerate() {
        let room = at_once.clone().acquire_owned().await.expect("never closed");
        // For some keys, a different body comes among the copies. The first one is kept, and the other is a conflict.
        let other = (number % 20 == 0).then(|| join(key).replace("p1", "p2"));
        others += usize::from(other.is_some());
        let (sender, body) = (sender.clone(), join(key));
        sending.spawn(async move {
            let bodies = std::iter::repeat_n(body, COPIES).chain(other).enumerate();
            let mut replies = JoinSet::new();
            for (copy, body) in bodies {
                let sender = sender.clone();
                replies.spawn(async move { sender.send(&body, copy).await });
            }
            let replies = replies.join_all().await;
            drop(room);
            replies
        });
    }
    let replies: Vec<_> = sending.join_all().await.into_iter().flatten().collect();
    let sent = started.elapsed();
    let drained = check::drained(&database, Duration::from_secs(120)).await;
    println!(
        "copies on {kind:?}: {} keys, {} requests in {sent:.1?} ({:.0}/s), drained {drained:.1?} later; replies {:?} in {}",
        keys.len(),
        replies.len(),
        replies.len() as f64 / sent.as_secs_f64(),
        sender.statuses(),
        spread(replies.iter().map(|reply| reply.took()).collect())
    );
    let figures = Figures::read(&database, keys.iter().map(String::as_str)).await;
    figures.print();
    figures.check();
    let conflicts = database.conflicts().await;
    println!("  {others} keys also had a different body; {} conflicts are listed", conflicts.len());
    assert_eq!(conflicts.len(), others);
    for conflict in conflicts {
        let number: usize = conflict.idempotency_key.as_str()["c-".len()..].parse().expect("a number");
        assert_eq!(number % 20, 0);
    }
    // The different body names another participant, so only one of the two can have been handled.
    assert_eq!(database.edges().await.len(), keys.len());
    for (count, warning) in warnings(&fleet.terminate().await).iter().take(6) {
        println!("  logged {count} × {warning}");
    }
    assert_eq!(figures.attempts, [0; 3]);
    assert_eq!(replies.iter().filter(|reply| reply.status == Some(200)).count(), replies.len());
}
