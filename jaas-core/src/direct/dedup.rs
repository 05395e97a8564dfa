//! Which keys have been handled, as far back as memory allows.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::delivery::Delivery;

/// A bounded set of keys in two generations: when the newer one is full it becomes the older one, and the older one is
/// dropped. So between `capacity` and twice as many of the latest keys are known.
///
/// Keys that are being handled are separate and never dropped; their number is bounded by how many may run.
#[derive(Debug)]
pub(super) struct Dedup {
    capacity: usize,
    in_progress: HashMap<KeyHash, InProgress>,
    newer: HashMap<KeyHash, Known>,
    older: HashMap<KeyHash, Known>,
}

/// An event's key and body, as hashes: 16 bytes of SHA-256 each, whatever their length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    key: KeyHash,
    body: BodyHash,
}

type KeyHash = [u8; 16];
type BodyHash = [u8; 16];

#[derive(Debug)]
struct InProgress {
    body: BodyHash,
    attempt: u32,
    completed: Vec<Arc<str>>,
}

#[derive(Debug)]
enum Known {
    Settled {
        body: BodyHash,
    },
    /// Failed, and will be delivered again.
    Again {
        body: BodyHash,
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

impl Key {
    pub(super) fn of(delivery: &Delivery) -> Self {
        let endpoint = delivery.endpoint.as_bytes();
        let key = Sha256::new()
            .chain_update(endpoint.len().to_le_bytes())
            .chain_update(endpoint)
            .chain_update(delivery.envelope.idempotency_key.as_str())
            .finalize();
        Self { key: half(&key), body: half(&delivery.body_hash()) }
    }
}

fn half(hash: &[u8]) -> [u8; 16] {
    std::array::from_fn(|at| hash[at])
}

impl Dedup {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, in_progress: HashMap::new(), newer: HashMap::new(), older: HashMap::new() }
    }

    pub(super) fn begin(&mut self, Key { key, body }: Key) -> Begun {
        if let Some(running) = self.in_progress.get(&key) {
            return if running.body == body { Begun::InProgress } else { Begun::Conflict };
        }
        let (attempt, completed) = match self.newer.get(&key).or_else(|| self.older.get(&key)) {
            Some(Known::Settled { body: first } | Known::Again { body: first, .. }) if *first != body => {
                return Begun::Conflict;
            }
            Some(Known::Settled { .. }) => return Begun::Duplicate,
            Some(Known::Again { attempts, completed, .. }) => (attempts + 1, completed.clone()),
            None => (1, Vec::new()),
        };
        self.in_progress.insert(key, InProgress { body, attempt, completed: completed.clone() });
        Begun::Run { attempt, completed }
    }

    pub(super) fn finish(&mut self, Key { key, .. }: Key, finished: Finished) {
        let Some(running) = self.in_progress.remove(&key) else { return };
        let known = match finished {
            Finished::Settled => Known::Settled { body: running.body },
            Finished::Again { completed } => {
                Known::Again { body: running.body, attempts: running.attempt, completed }
            }
        };
        if self.newer.len() >= self.capacity && !self.newer.contains_key(&key) {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, known);
    }

    /// The run ended without a result: it counts as an attempt.
    pub(super) fn cut_off(&mut self, key: Key) {
        if let Some(running) = self.in_progress.get_mut(&key.key) {
            let completed = std::mem::take(&mut running.completed);
            self.finish(key, Finished::Again { completed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        Key { key: [n; 16], body: [1; 16] }
    }

    fn run(attempt: u32) -> Begun {
        Begun::Run { attempt, completed: vec![] }
    }

    #[test]
    fn a_second_copy_is_in_progress_then_a_duplicate() {
        let mut dedup = Dedup::new(10);
        assert_eq!(dedup.begin(key(1)), run(1));
        assert_eq!(dedup.begin(key(1)), Begun::InProgress);
        dedup.finish(key(1), Finished::Settled);
        assert_eq!(dedup.begin(key(1)), Begun::Duplicate);
        assert_eq!(dedup.begin(Key { body: [2; 16], ..key(1) }), Begun::Conflict);
    }

    #[test]
    fn an_aborted_run_can_run_again() {
        let mut dedup = Dedup::new(10);
        assert_eq!(dedup.begin(key(1)), run(1));
        dedup.cut_off(key(1));
        assert_eq!(dedup.begin(key(1)), run(2));
        dedup.finish(key(1), Finished::Settled);
        dedup.cut_off(key(1));
        assert_eq!(dedup.begin(key(1)), Begun::Duplicate);
    }

    #[test]
    fn memory_is_bounded_and_the_latest_keys_are_known() {
        let mut dedup = Dedup::new(10);
        for n in 0..100 {
            assert_eq!(dedup.begin(key(n)), run(1));
            dedup.finish(key(n), Finished::Settled);
            assert!(dedup.newer.len() + dedup.older.len() <= 20);
        }
        for n in 90..100 {
            assert_eq!(dedup.begin(key(n)), Begun::Duplicate, "{n}");
        }
    }
}
