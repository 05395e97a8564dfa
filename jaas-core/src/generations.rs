//! A map that forgets in generations.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};

/// A map in two generations. When [`end`](Self::end) is called, the newer generation becomes the older one, and the older one
/// is forgotten. So the entries of at least the last generation are known.
#[derive(Debug)]
pub(crate) struct Generations<K, V, S = RandomState> {
    newer: HashMap<K, V, S>,
    older: HashMap<K, V, S>,
}

impl<K, V, S: Default> Default for Generations<K, V, S> {
    fn default() -> Self {
        Self { newer: HashMap::default(), older: HashMap::default() }
    }
}

impl<K: Eq + Hash, V, S: BuildHasher + Default> Generations<K, V, S> {
    /// The value of either generation.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Whether the newer generation has this key.
    pub(crate) fn is_new(&self, key: &K) -> bool {
        self.newer.contains_key(key)
    }

    /// How many keys the newer generation has.
    pub(crate) fn newer_len(&self) -> usize {
        self.newer.len()
    }

    /// Writes to the newer generation.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.newer.insert(key, value);
    }

    /// Ends the newer generation.
    pub(crate) fn end(&mut self) {
        self.older = std::mem::take(&mut self.newer);
    }

    /// Forgets a key in both generations.
    pub(crate) fn remove(&mut self, key: &K) {
        self.newer.remove(key);
        self.older.remove(key);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.newer.clear();
        self.older.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.newer.len() + self.older.len()
    }
}
