//! Events that never come.

use std::collections::BTreeMap;

use jaas_core::Delivery;
use jaas_core::event::EventKind;

use super::dice::Dice;

/// Which events never come, chosen by a seed. Those that are lost are returned too, so that a test can compute how many
/// of them are noticed.
///
/// ```
/// use jaas_core::event::EventKind;
/// use jaas_testkit::simulator::{Loss, Random};
///
/// let all = Random::new(7).meeting().deliveries();
/// let (came, lost) = Loss::new(7).of(EventKind::ParticipantLeft, 0.5).split(all.clone());
/// assert_eq!(came.len() + lost.len(), all.len());
/// assert!(lost.iter().all(|lost| lost.envelope.kind == EventKind::ParticipantLeft));
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Loss {
    seed: u64,
    every_kind: f64,
    kinds: BTreeMap<&'static str, f64>,
}

impl Loss {
    /// Nothing is lost yet.
    pub fn new(seed: u64) -> Self {
        Self { seed, every_kind: 0.0, kinds: BTreeMap::new() }
    }

    /// This share of the events of a kind is lost, from 0 to 1. Defaults to 0.
    pub fn of(mut self, kind: EventKind, share: f64) -> Self {
        self.kinds.insert(kind.as_str(), share);
        self
    }

    /// This share of the events of each kind is lost, except for kinds that have their own. Defaults to 0.
    pub fn of_each_kind(mut self, share: f64) -> Self {
        self.every_kind = share;
        self
    }

    /// The deliveries that come, and those that are lost, each in their order.
    pub fn split(&self, deliveries: Vec<Delivery>) -> (Vec<Delivery>, Vec<Delivery>) {
        let mut dice = Dice::fork(self.seed, 5);
        deliveries.into_iter().partition(|delivery| {
            let share = self.kinds.get(delivery.envelope.kind.as_str()).copied();
            !dice.chance(share.unwrap_or(self.every_kind))
        })
    }
}
