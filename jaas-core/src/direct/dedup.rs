//! Which keys have been handled, as far back as memory allows.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::delivery::Delivery;
use crate::generations::Generations;

/// A bounded set of keys in two generations: when the newer one is full it becomes the older one, and the older one is
/// dropped. So between `capacity` and twice as many of the latest keys are known.
///
/// Keys that are being handled are separate and never dropped; their number is bounded by how many may run.
///
/// The keys are spread over shards, each behind its own lock. A generation ends in all of them together: each shard
/// notices when it is next used.
#[derive(Debug)]
pub(super) struct Dedup {
    capacity: usize,
    fingerprints: Fingerprints,
    /// How many generations have ended, and how many keys the newer one has.
    ended: AtomicUsize,
    settled: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
}

/// So many threads hardly ever meet in one.
const SHARDS: usize = 16;

#[derive(Debug, Default)]
struct Shard {
    /// How many generations had ended when it was used last.
    ended: usize,
    in_progress: HashMap<Fingerprint, InProgress, Spread>,
    settled: Generations<Fingerprint, Known, Spread>,
}

/// An event's key and body, as fingerprints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    key: Fingerprint,
    body: Fingerprint,
}

/// 128 bits of SipHash, under a key that is new in each process. Nothing here outlives the process or is shown to anybody,
/// so it need not be a hash that others can compute; and who does not know the key cannot make two bodies that share it.
type Fingerprint = u128;

#[derive(Debug)]
struct Fingerprints(u64, u64);

impl Fingerprints {
    fn new() -> Self {
        Self(RandomState::new().hash_one(0), RandomState::new().hash_one(1))
    }

    fn of(&self, bytes: &[u8]) -> Fingerprint {
        SipHasher13::new_with_keys(self.0, self.1).hash(bytes).as_u128()
    }

    /// Two parts, and where one ends.
    fn of_two(&self, one: &[u8], other: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(&one.len().to_le_bytes());
        hasher.write(one);
        hasher.write(other);
        hasher.finish128().as_u128()
    }
}

/// A fingerprint is as good as random, and needs no hashing to be spread over a table.
type Spread = BuildHasherDefault<LowHalf>;

#[derive(Default)]
struct LowHalf(u64);

impl Hasher for LowHalf {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
}

#[derive(Debug)]
struct InProgress {
    body: Fingerprint,
    attempt: u32,
    completed: Vec<Arc<str>>,
}

#[derive(Debug)]
enum Known {
    Settled {
        body: Fingerprint,
    },
    /// Failed, and will be delivered again.
    Again {
        body: Fingerprint,
        attempts: u32,
        completed: Vec<Arc<str>>,
    },
}

/// What to do with a delivery.
#[derive(Debug, PartialEq)]
pub(super) enum Begun {
    Run { attempt: u32, completed: Vec<Arc<str>> },
    InProgress,
    Duplicate,
    Conflict,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Finished {
    Settled,
    Again { completed: Vec<Arc<str>> },
}

impl Dedup {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            fingerprints: Fingerprints::new(),
            ended: AtomicUsize::new(0),
            settled: AtomicUsize::new(0),
            shards: Default::default(),
        }
    }

    pub(super) fn key(&self, delivery: &Delivery) -> Key {
        let (endpoint, key) = (&delivery.endpoint, delivery.envelope.idempotency_key.as_str());
        Key {
            key: self.fingerprints.of_two(endpoint.as_bytes(), key.as_bytes()),
            body: self.fingerprints.of(delivery.body()),
        }
    }

    pub(super) fn begin(&self, Key { key, body }: Key) -> Begun {
        let mut shard = self.shard(key);
        if let Some(running) = shard.in_progress.get(&key) {
            return if running.body == body { Begun::InProgress } else { Begun::Conflict };
        }
        let (attempt, completed) = match shard.settled.get(&key) {
            Some(Known::Settled { body: first } | Known::Again { body: first, .. }) if *first != body => {
                return Begun::Conflict;
            }
            Some(Known::Settled { .. }) => return Begun::Duplicate,
            Some(Known::Again { attempts, completed, .. }) => (attempts + 1, completed.clone()),
            None => (1, Vec::new()),
        };
        shard.in_progress.insert(key, InProgress { body, attempt, completed: completed.clone() });
        Begun::Run { attempt, completed }
    }

    pub(super) fn finish(&self, Key { key, .. }: Key, finished: Finished) {
        self.finish_in(&mut self.shard(key), key, finished);
    }

    /// The run ended without saying how: it counts as an attempt.
    pub(super) fn cut_off(&self, Key { key, .. }: Key) {
        let mut shard = self.shard(key);
        if let Some(running) = shard.in_progress.get_mut(&key) {
            let completed = std::mem::take(&mut running.completed);
            self.finish_in(&mut shard, key, Finished::Again { completed });
        }
    }

    fn finish_in(&self, shard: &mut Shard, key: Fingerprint, finished: Finished) {
        let Some(running) = shard.in_progress.remove(&key) else { return };
        let known = match finished {
            Finished::Settled => Known::Settled { body: running.body },
            Finished::Again { completed } => {
                Known::Again { body: running.body, attempts: running.attempt, completed }
            }
        };
        if !shard.settled.is_new(&key) {
            let one_more = |settled| if settled < self.capacity { settled + 1 } else { 1 };
            let settled =
                self.settled.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(one_more(n)));
            if settled == Ok(self.capacity) {
                // The newer generation is full. This key begins another.
                self.ended.fetch_add(1, Ordering::Relaxed);
                self.turn(shard);
            }
        }
        shard.settled.insert(key, known);
    }

    /// Drops from a shard the keys of generations that have ended.
    fn turn(&self, shard: &mut Shard) {
        let ended = self.ended.load(Ordering::Relaxed);
        match ended.wrapping_sub(shard.ended) {
            0 => {}
            1 => shard.settled.end(),
            _ => shard.settled = Generations::default(),
        }
        shard.ended = ended;
    }

    /// The shard of a key, of this generation. No code panics while it holds the lock, so there is nothing half-done to see.
    fn shard(&self, key: Fingerprint) -> MutexGuard<'_, Shard> {
        // Other bits than those that the tables use.
        let place = (key >> 64) as usize % SHARDS;
        let mut shard = self.shards[place].lock();
        self.turn(&mut shard);
        shard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u16) -> Key {
        // Spread over the shards, as fingerprints are.
        Key { key: u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835), body: 1 }
    }

    fn run(attempt: u32) -> Begun {
        Begun::Run { attempt, completed: vec![] }
    }

    #[test]
    fn a_second_copy_is_in_progress_then_a_duplicate() {
        let dedup = Dedup::new(10);
        assert_eq!(dedup.begin(key(1)), run(1));
        assert_eq!(dedup.begin(key(1)), Begun::InProgress);
        dedup.finish(key(1), Finished::Settled);
        assert_eq!(dedup.begin(key(1)), Begun::Duplicate);
        assert_eq!(dedup.begin(Key { body: 2, ..key(1) }), Begun::Conflict);
    }

    #[test]
    fn an_aborted_run_can_run_again() {
        let dedup = Dedup::new(10);
        assert_eq!(dedup.begin(key(1)), run(1));
        dedup.cut_off(key(1));
        assert_eq!(dedup.begin(key(1)), run(2));
        dedup.finish(key(1), Finished::Settled);
        dedup.cut_off(key(1));
        assert_eq!(dedup.begin(key(1)), Begun::Duplicate);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_keys_are_known() {
        let dedup = Dedup::new(1_000);
        for n in 0..10_000 {
            assert_eq!(dedup.begin(key(n)), run(1));
            dedup.finish(key(n), Finished::Settled);
        }
        let known = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.settled.len()
        };
        assert!(dedup.shards.iter().map(known).sum::<usize>() <= 2_000);
        for n in 9_000..10_000 {
            assert_eq!(dedup.begin(key(n)), Begun::Duplicate, "{n}");
        }
        assert_eq!(dedup.begin(key(0)), run(1));
    }

    #[test]
    fn events_and_bodies_that_differ_in_anything_have_different_fingerprints() {
        let dedup = Dedup::new(10);
        let of = |endpoint: &str, key: &str, more: &str| {
            let body = format!(r#"{{"idempotencyKey":"{key}","eventType":"X","more":"{more}"}}"#);
            let now = crate::timestamp::Timestamp::from_secs(0);
            dedup.key(&Delivery::parse(endpoint, now, body.into()).expect("readable"))
        };
        let (one, other) = (of("main", "k", "a"), of("main", "k", "b"));
        assert!(one.key == other.key && one.body != other.body);
        assert_eq!(one.body, of("other", "k", "a").body);
        for different in [of("main", "l", "a"), of("other", "k", "a"), of("mai", "nk", "a")] {
            assert_ne!(one.key, different.key);
        }
        assert_ne!(one.key, Dedup::new(10).fingerprints.of_two(b"main", b"k"));
    }
}
