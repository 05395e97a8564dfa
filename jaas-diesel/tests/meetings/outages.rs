//! The server goes away and comes back while a worker and an announcer run: the tables are those of a run without outages, and
//! each end is announced once.
//!
//! `JAAS_TEST_OUTAGES` is how many times; 3 unless it is set.

use std::env;
use std::time::Duration;

use crate::meetings::killed::{Readable, Scene, start};
use crate::meetings::seeded::Dice;
use crate::meetings::world::{Mysql, Postgres, stop};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_and_the_announcements_survive_outages_of_postgres() {
    outages::<Postgres>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_and_the_announcements_survive_outages_of_mysql() {
    outages::<Mysql>().await;
}

async fn outages<W: Readable>() {
    let Some(world) = W::start().await else { return };
    let outages: usize = env::var("JAAS_TEST_OUTAGES").map_or(3, |number| number.parse().expect("a number"));
    let scene = Scene::new(12);
    scene.prepare(&world).await;
    let proxy = Proxy::start(&world.url()).await;
    // The proxy reads what goes through it.
    let plain = if world.url().starts_with("postgres") { "&sslmode=disable" } else { "" };
    let through = proxy.address(&world.url()) + plain;
    let (worker, announcer) = start::<W>(W::open(through.clone()).await, through);
    let mut dice = Dice(5);
    for slice in scene.deliveries.chunks(scene.deliveries.len().div_ceil(outages)) {
        world.accept(slice).await;
        tokio::time::sleep(Duration::from_millis(20 + dice.below(180))).await;
        proxy.set_away(true);
        tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
        proxy.set_away(false);
    }
    world.is_worked_off().await;
    scene.is_announced(&world).await;
    stop(vec![worker]).await;
    announcer.stop().await;
    scene.is_as_if_nothing_had_happened(&world).await;
}
