//! What the tests have in common.

pub(crate) mod check;
pub(crate) mod database;
pub(crate) mod instance;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod sender;

use std::io::Write as _;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Whether this is the full run.
pub(crate) fn full() -> bool {
    std::env::var("JAAS_HARNESS").is_ok_and(|dose| dose == "full")
}

/// Returns the first value in the short run, the second in the full run.
pub(crate) fn dose<T>(bounded: T, full_dose: T) -> T {
    if full() { full_dose } else { bounded }
}

/// Waits until there is room for another test. Two at a time share the servers' connections; in the full run each test
/// has the machine to itself.
pub(crate) async fn turn() -> SemaphorePermit<'static> {
    static TURNS: Semaphore = Semaphore::const_new(2);
    TURNS.acquire_many(dose(1, 2)).await.expect("never closed")
}

/// Prints why something is not tested, directly, because the test harness captures `eprintln!`.
pub(crate) fn not_tested(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED here: {what}, because {why}");
}

/// Repeats the check until it returns true, and returns how long that took.
pub(crate) async fn until(what: &str, limit: Duration, mut yes: impl AsyncFnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !yes().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}

/// Returns the median, the 99th percentile, and the longest.
pub(crate) fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last());
    let [middle, most, longest] =
        [0.5, 0.99, 1.0].map(|share| at(share).copied().unwrap_or_default().as_millis());
    format!("{middle} ms, 99 % {most} ms, longest {longest} ms")
}

/// Random choices that can be repeated (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// Seeded by `JAAS_HARNESS_SEED`, or else randomly.
    pub(crate) fn new() -> (Self, u64) {
        use std::hash::{BuildHasher as _, RandomState};
        let given = std::env::var("JAAS_HARNESS_SEED").ok();
        let seed = given.map_or_else(
            || RandomState::new().hash_one(0) % 1_000_000,
            |seed| seed.parse().expect("JAAS_HARNESS_SEED is a number"),
        );
        (Self(seed), seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below this one.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Returns true in this many of a hundred cases.
    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + (most - least).mul_f64(self.below(1000) as f64 / 1000.0)
    }
}
