//! The database stops and comes back, under load.

use std::time::{Duration, Instant};

use crate::support::check::{self, Figures};
use crate::support::database::Kind;
use crate::support::instance::{Instance, Stop};
use crate::support::load::Load;
use crate::support::process::{Fleet, Plan, warnings};
use crate::support::sender::{Reply, Sender};
use crate::support::{Random, dose, spread, turn, until};

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_is_away_deliveries_are_answered_503_and_nothing_is_lost() {
    outages(Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_mariadb_is_away_deliveries_are_answered_503_and_nothing_is_lost() {
    outages(Kind::Mysql).await;
}

/// No reply takes longer than the store's timeout and a little.
const LONGEST: Duration = Duration::from_secs(6);
/// When the server is reachable again, the first delivery is accepted within this time.
const BACK: Duration = Duration::from_secs(2);
/// And the first event is handled.
const RESUMED: Duration = Duration::from_secs(5);

async fn outages(kind: Kind) {
    let _turn = turn().await;
    let Some(mut instance) = Instance::create(kind).await else { return };
    let database = instance.database();
    let (mut random, seed) = Random::new();
    let (events, outages) = dose((400, 2), (10_000, 10));
    let away = dose([1500, 2500], [1000, 9000]).map(Duration::from_millis);
    let between = dose(Duration::from_millis(1500), Duration::from_secs(4));
    let load = Load::new("o", events, &mut random);
    let plan = Plan { slow: Duration::from_millis(20), ..Plan::new(&database) };
    let fleet = Fleet::start(plan, 2).await;
    let sender = Sender::new(fleet.addresses());
    println!(
        "{outages} outages of {kind:?}: {events} events in {} deliveries, seed {seed}",
        load.deliveries.len()
    );

    let mut times: Vec<(Instant, Instant)> = Vec::new();
    let taking_away = async {
        for number in 0..outages {
            tokio::time::sleep(between).await;
            let how = if number % 2 == 0 { Stop::Fast } else { Stop::Immediate };
            let stopped = Instant::now();
            instance.stop(how).await;
            let pause = random.between(away[0], away[1]);
            tokio::time::sleep(pause).await;
            // Health checks work during the outage: not ready, but live, because a restart would not help.
            assert_eq!((probe(&fleet, "/livez").await, probe(&fleet, "/readyz").await), (200, 503));
            instance.start().await;
            until("the server is reachable", Duration::from_secs(60), async || database.answers().await)
                .await;
            let answers = Instant::now();
            let handled = database.count_handled().await;
            let first = until("a delivery is accepted", Duration::from_secs(30), async || {
                sender.replies().iter().any(|reply| reply.accepted() && reply.ended > answers)
            });
            let resumed = until("events are handled again", Duration::from_secs(30), async || {
                database.count_handled().await > handled
            });
            let (first, resumed) = tokio::join!(first, resumed);
            println!(
                "  {how:?}, away for {pause:.1?}: first accepted after {first:.0?}, first handled after {resumed:.0?}"
            );
            assert!(first < BACK, "accepted again after {first:?}");
            assert!(resumed < RESUMED, "handled again after {resumed:?}");
            times.push((stopped, answers));
        }
    };
    // Longer than the outages take with stopping and starting, so that there is something to send after the last one.
    let over = ((away[0] + away[1]) / 2 + between + Duration::from_secs(4)) * outages;
    tokio::join!(sender.send_all(&load, over), taking_away);
    let drained = check::drained(&database, Duration::from_secs(60)).await;

    let replies = sender.replies();
    let (accepted, refused): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.accepted());
    let took = |replies: &[&Reply]| spread(replies.iter().map(|reply| reply.took()).collect());
    println!(
        "  drained {drained:.1?} after the last delivery; replies {:?}; accepted in {}; refused in {}",
        sender.statuses(),
        took(&accepted),
        took(&refused)
    );
    let figures = Figures::read(&database, load.events.iter().map(|event| event.key.as_str())).await;
    figures.print();
    for reply in &refused {
        assert_eq!(reply.status, Some(503));
        let during = |(stopped, answers): &(Instant, Instant)| {
            reply.ended >= *stopped && reply.ended <= *answers + BACK
        };
        assert!(times.iter().any(during), "refused while the database was there: {reply:?}");
    }
    assert!(!refused.is_empty());
    let longest = replies.iter().map(Reply::took).max().expect("some");
    assert!(longest < LONGEST, "a reply took {longest:?}");
    figures.check();
    assert_eq!(figures.dead_of_crashes + figures.dead_of_failures, 0);
    check::edges(&database, &load.edges).await;
    for (count, warning) in warnings(&fleet.terminate().await).iter().take(6) {
        println!("  logged {count} × {warning}");
    }
}

async fn probe(fleet: &Fleet, path: &str) -> u16 {
    Sender::new(fleet.addresses()).get(path).await
}
