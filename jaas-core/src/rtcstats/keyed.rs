//! Lists with names, found quickly when they are requested in their order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The number of names from which a hash index is kept; below it, a linear search is faster.
const INDEXED: usize = 48;

/// How far ahead to look for a name before parsing it.
const AHEAD: usize = 12;

/// How far ahead to look before using the index.
const NEAR: usize = 8;

/// Values by name, in their order of insertion.
#[derive(Debug, Clone)]
pub(super) struct Keyed<V> {
    items: Vec<(Arc<str>, V)>,
    /// Whether the JSON form of some name may differ from the name.
    escaped: bool,
    index: Option<HashMap<Arc<str>, usize>>,
}

impl<V> Default for Keyed<V> {
    fn default() -> Self {
        Self { items: Vec::new(), escaped: false, index: None }
    }
}

impl<V> Keyed<V> {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.items.iter().map(|(name, value)| (&**name, value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&V> {
        self.find(name, 0).map(|at| &self.items[at].1)
    }

    pub(super) fn at(&mut self, at: usize) -> &mut V {
        &mut self.items[at].1
    }

    pub(super) fn item(&self, at: usize) -> (&str, &V) {
        let (name, value) = &self.items[at];
        (name, value)
    }

    /// Returns the index of this name. The sender writes the same list in the same order each time, so the next
    /// requested name is a little after the last one found.
    pub(super) fn find(&self, name: &str, after: usize) -> Option<usize> {
        let after = after.min(self.items.len());
        let is_it = |(key, _): &(Arc<str>, V)| **key == *name;
        let (before, ahead) = self.items.split_at(after);
        match &self.index {
            None => {
                ahead.iter().position(is_it).map(|at| after + at).or_else(|| before.iter().position(is_it))
            }
            Some(index) => ahead
                .iter()
                .take(NEAR)
                .position(is_it)
                .map(|at| after + at)
                .or_else(|| index.get(name).copied()),
        }
    }

    /// Returns the next of the names, from this one on, for which `is_next` is true; it is only called for names whose
    /// JSON form is the name itself. This saves parsing the name.
    pub(super) fn find_ahead(&self, after: usize, mut is_next: impl FnMut(&str) -> bool) -> Option<usize> {
        if self.escaped {
            return None;
        }
        let ahead = self.items.get(after..).unwrap_or_default();
        ahead.iter().take(AHEAD).position(|(name, _)| is_next(name)).map(|at| after + at)
    }

    /// Adds a value under a new name.
    pub(super) fn push(&mut self, name: Arc<str>, value: V) -> usize {
        let at = self.items.len();
        self.escaped |= name.contains(['"', '\\']);
        if let Some(index) = &mut self.index {
            index.insert(name.clone(), at);
        }
        self.items.push((name, value));
        if self.index.is_none() && self.items.len() > INDEXED {
            self.reindex();
        }
        at
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<V> {
        let at = self.find(name, 0)?;
        let (_, value) = self.items.remove(at);
        self.reindex();
        Some(value)
    }

    /// Keeps only the values for which this is true.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&str, &V) -> bool) {
        let before = self.items.len();
        self.items.retain(|(name, value)| keep(name, value));
        if self.items.len() < before {
            self.reindex();
            self.items.shrink_to(self.items.len() * 2);
        }
    }

    fn reindex(&mut self) {
        let names = || self.items.iter().enumerate().map(|(at, (name, _))| (name.clone(), at));
        self.index = (self.items.len() > INDEXED).then(|| names().collect());
    }
}

/// Names that many lists share, stored once.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    /// The number at which unused names are next removed.
    sweep_at: usize,
}

impl Names {
    const FEW: usize = 1024;

    pub(super) fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at.max(Self::FEW) {
            self.known.retain(|name| Arc::strong_count(name) > 1);
            self.known.shrink_to(Self::FEW);
            self.sweep_at = self.known.len() * 2;
        }
        let name: Arc<str> = name.into();
        self.known.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_from_everywhere_in_short_and_long_lists() {
        for len in [0, 1, INDEXED, INDEXED + 1, 300] {
            let mut list = Keyed::default();
            for at in 0..len {
                assert_eq!(list.push(at.to_string().into(), at), at);
            }
            for after in [0, 1, len / 2, len, len + 5] {
                assert!((0..len).all(|at| list.find(&at.to_string(), after) == Some(at)));
                assert_eq!(list.find("x", after), None);
            }
            list.retain(|_, at| at % 3 == 0);
            assert!((0..len).all(|at| list.get(&at.to_string()).copied() == (at % 3 == 0).then_some(at)));
            assert_eq!(list.remove("0"), (len > 0).then_some(0));
            assert!((1..len).all(|at| list.get(&at.to_string()).copied() == (at % 3 == 0).then_some(at)));
        }
    }

    #[test]
    fn unused_names_are_not_kept() {
        let mut names = Names::default();
        let kept = names.shared("kept");
        for name in 0..100_000 {
            names.shared(&name.to_string());
        }
        assert!(names.known.len() <= Names::FEW + 1, "{}", names.known.len());
        assert!(Arc::ptr_eq(&kept, &names.shared("kept")));
    }
}
