//! Random choices from a seed, the same on every machine and with every version.

use std::ops::RangeInclusive;

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};

/// Uses only the generator's raw numbers, whose values are guaranteed never to change; this file decides how they
/// become a choice.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

/// A copy returns what the original would have returned.
impl Clone for Dice {
    fn clone(&self) -> Self {
        Self(ChaCha8Rng::deserialize_state(&self.0.serialize_state()))
    }
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Independent dice for number `label`: drawing from one does not change what the others return.
    pub(crate) fn fork(seed: u64, label: u64) -> Self {
        let mut dice = Self::new(seed);
        dice.0.set_stream(label);
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // 64 bits times a number of 32 make the bias too small to matter.
        let scaled = (u128::from(self.next()) * end as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let span = usize::try_from(range.end().saturating_sub(*range.start())).unwrap_or(usize::MAX);
        range.start() + self.below(span.saturating_add(1)) as u64
    }

    /// Whether something happens that happens this often, from 0 (never) to 1 (always).
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        // A double distinguishes 53 bits; the number is drawn in any case.
        let drawn = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }

    pub(crate) fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < usize::from(percent)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end + 1));
        }
    }

    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next()));
        }
        text.truncate(digits);
        text
    }

    pub(crate) fn uuid(&mut self) -> String {
        let h = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_returns_the_same_forever() {
        let mut dice = Dice::new(7);
        let answers = (dice.next(), dice.below(1000), dice.chance(0.5), dice.uuid());
        let expected = (2910824217569608635, 167, false, "ba0bb7b6-093e-4ae3-a9ec-1c5f1237db88".to_owned());
        assert_eq!(answers, expected);
        assert_eq!(dice.clone().next(), dice.next(), "a copy continues from the same place");
        let (mut one, mut other) = (Dice::fork(7, 1), Dice::fork(7, 2));
        assert_ne!(one.next(), other.next());
    }

    #[test]
    fn numbers_stay_within_their_range_and_reach_its_ends() {
        let mut dice = Dice::new(1);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| dice.between(3..=6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!((dice.below(0), dice.below(1), dice.between(5..=5)), (0, 0, 5));
        assert!(!dice.chance(0.0) && dice.chance(1.0));
        assert_eq!(dice.pick::<u8>(&[]), None);
    }
}
