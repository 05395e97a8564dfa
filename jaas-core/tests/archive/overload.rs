//! When more is to be fetched than can be before the deadlines.

use std::time::Duration;

use jaas_testkit::archive::uploaded;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use crate::archive::world::{Act, HOUR, START, World, pass};

const FILES: usize = 400;
const PLACES: usize = 4;

/// How many files are fetched before their deadlines by so many places, each taking the first of those that are left by
/// this order.
fn fetched(mut files: Vec<(usize, Duration, Duration)>) -> Vec<usize> {
    let mut free = [Duration::ZERO; PLACES];
    let mut done = Vec::new();
    while !files.is_empty() {
        let place = (0..PLACES).min_by_key(|place| free[*place]).expect("a place");
        files.retain(|(_, deadline, _)| *deadline > free[place]);
        if files.is_empty() {
            break;
        }
        let (file, _, takes) = files.remove(0);
        free[place] += takes;
        done.push(file);
    }
    done.sort_unstable();
    done
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_under_overload_is_what_earliest_deadline_first_loses() {
    let world = World::with(|archive| archive.concurrency(PLACES));
    let mut random = ChaCha8Rng::seed_from_u64(7);
    // Ten times more than can be fetched: 400 files of about 6 minutes with 4 places need 10 h, and the last deadline
    // is after 1 h.
    let mut seconds = |from, to| Duration::from_secs(random.random_range(from..to));
    let files: Vec<_> = (0..FILES).map(|file| (file, seconds(60, 3600), seconds(60, 660))).collect();
    for (file, dies_after, takes) in &files {
        let link = format!("https://8x8.vc/p/{file}/token");
        world.fetch.script(&link, [Act::Slow(*takes)]);
        let deadline = START.saturating_add(*dies_after);
        let kind = jaas_core::archive::ArtifactKind::Recording;
        world.accept(uploaded(kind, &file.to_string(), &file.to_string(), &link, START, deadline)).await;
    }
    pass(3 * HOUR).await;
    let mut stored: Vec<usize> = world
        .heard
        .lines()
        .iter()
        .filter_map(|line| line.strip_prefix("stored ")?.split(' ').next()?.parse().ok())
        .collect();
    stored.sort_unstable();
    let lost = world.heard.lines().iter().filter(|line| line.starts_with("lost ")).count();
    assert_eq!(stored.len() + lost, FILES, "each ends once");

    let mut by_deadline = files.clone();
    by_deadline.sort_by_key(|(_, deadline, _)| *deadline);
    let (ideal, fifo) = (fetched(by_deadline), fetched(files));
    println!(
        "stored {}, earliest deadline first {}, first in first out {}",
        stored.len(),
        ideal.len(),
        fifo.len()
    );
    // The first claim may come before the last event was handled, and steps take milliseconds.
    let same = stored.iter().filter(|file| ideal.contains(file)).count();
    assert!(stored.len().abs_diff(ideal.len()) <= PLACES, "{} and {}", stored.len(), ideal.len());
    assert!(ideal.len() - same <= 2 * PLACES, "{same} of {} are the same", ideal.len());
    world.stop(Duration::from_secs(1)).await;
}
