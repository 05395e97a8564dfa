//! Processes are repeatedly killed and restarted.

use std::time::{Duration, Instant};

use crate::support::check::{self, Figures};
use crate::support::database::{Database, Kind};
use crate::support::load::Load;
use crate::support::process::{Fleet, Plan, warnings};
use crate::support::sender::Sender;
use crate::support::{Random, dose, full, spread, turn};

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_at_three_processes_loses_and_doubles_nothing_on_postgres() {
    kills(Kind::Postgres, 3, Duration::from_millis(40)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_at_three_processes_loses_and_doubles_nothing_on_mysql() {
    kills(Kind::Mysql, 3, Duration::from_millis(40)).await;
}

/// One process: on SQLite, one handler runs at a time.
#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_at_one_process_loses_and_doubles_nothing_on_sqlite() {
    kills(Kind::Sqlite, 1, Duration::from_millis(1)).await;
}

async fn kills(kind: Kind, processes: usize, slow: Duration) {
    let _turn = turn().await;
    let Some(database) = Database::create(kind).await else { return };
    let (mut random, seed) = Random::new();
    let (events, kills) = dose((600, 6), (20_000, 100));
    let apart = dose((400, 800), (500, 1500));
    let apart = [apart.0, apart.1].map(Duration::from_millis);
    let load = Load::new("k", events, &mut random);
    let lease = if full() { None } else { Some(Duration::from_millis(1500)) };
    let mut fleet = Fleet::start(Plan { slow, lease, ..Plan::new(&database) }, processes).await;
    println!(
        "kills on {kind:?}: {processes} processes, {} events in {} deliveries, {kills} kills, seed {seed}",
        load.events.len(),
        load.deliveries.len()
    );

    let started = Instant::now();
    let sender = Sender::new(fleet.addresses());
    let over = (apart[0] + apart[1]) / 2 * kills;
    let killing = async {
        for _ in 0..kills {
            tokio::time::sleep(random.between(apart[0], apart[1])).await;
            fleet.kill_and_restart(random.below(fleet.len())).await;
        }
    };
    tokio::join!(sender.send_all(&load, over), killing);
    let sent = started.elapsed();
    let drained = check::drained(&database, dose(Duration::from_secs(15), Duration::from_secs(300))).await;
    let accepted =
        sender.replies().iter().filter(|reply| reply.accepted()).map(|reply| reply.took()).collect();
    println!(
        "  sent in {sent:.1?}, drained {drained:.1?} later; replies (0: connection lost) {:?}; accepted in {}",
        sender.statuses(),
        spread(accepted)
    );

    let keys = || load.events.iter().map(|event| event.key.as_str());
    let figures = Figures::read(&database, keys()).await;
    figures.print();
    figures.check();
    assert_eq!(figures.dead_of_failures, 0);

    // Events that were dead-lettered because of crashes are not lost: replayed, each is handled once, too.
    database.replay_dead().await;
    check::drained(&database, Duration::from_secs(60)).await;
    let replayed = Figures::read(&database, keys()).await;
    replayed.check();
    assert_eq!(replayed.dead_of_crashes + replayed.dead_of_failures, 0);
    check::edges(&database, &load.edges).await;
    for (count, warning) in warnings(&fleet.terminate().await).iter().take(6) {
        println!("  logged {count} × {warning}");
    }
}
