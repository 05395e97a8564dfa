//! A bound on how much goes on at once, for those who do not wait for a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many places. Unlike a semaphore it has no queue, and so no lock.
#[derive(Debug)]
pub(crate) struct Places(Arc<AtomicUsize>);

impl Places {
    /// A larger number is treated as no bound.
    pub(crate) const MOST: usize = usize::MAX >> 3;

    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(places)))
    }

    /// A place until it is dropped, if one is free.
    pub(crate) fn take(&self) -> Option<Place> {
        let one_less = |free: usize| free.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).ok()?;
        Some(Place(self.0.clone()))
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of the places.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_dropped() {
        let places = Places::new(2);
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some() && places.take().is_none());
        drop(one);
        assert_eq!(places.free(), 1);
        assert!(places.take().is_some());
    }
}
