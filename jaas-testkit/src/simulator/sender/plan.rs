//! The schedule of deliveries, before anything is sent.

use std::time::Duration;

use super::Sender;
use crate::simulator::dice::Dice;

/// One planned delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// Which of the bodies, from 0.
    pub body: usize,
    /// Whether this body was planned before, so that the receiver should report a duplicate.
    pub is_copy: bool,
    /// When it is due, after the start.
    pub due: Duration,
}

/// In the order they become due.
pub(super) fn plan(sender: &Sender, bodies: usize) -> Vec<Planned> {
    let mut dice = Dice::fork(sender.seed, 0);
    let mut order: Vec<usize> = (0..bodies).collect();
    // The chosen ones change places with each other; all others keep theirs.
    let chosen: Vec<usize> = (0..bodies).filter(|_| dice.chance(sender.shuffle)).collect();
    let mut places = chosen.clone();
    dice.shuffle(&mut places);
    for (from, to) in chosen.iter().zip(&places) {
        order[*to] = *from;
    }

    // The position of each, in half steps, so that a copy fits between two.
    let mut slots: Vec<(usize, usize)> = Vec::with_capacity(bodies);
    for (place, body) in order.into_iter().enumerate() {
        slots.push((place * 2, body));
        if dice.chance(sender.duplicates) {
            let at_once = dice.percent(50);
            let later = place + dice.below(bodies - place);
            slots.push((if at_once { place } else { later } * 2 + 1, body));
        }
    }
    slots.sort_by_key(|(slot, _)| *slot);

    let mut seen = vec![false; bodies];
    let mut planned: Vec<Planned> = slots
        .into_iter()
        .enumerate()
        .map(|(place, (_, body))| {
            let due = sender.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(place as f64 / rate));
            let (part, by) = sender.late;
            let is_late = dice.chance(part);
            let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX - 1);
            let held_back = Duration::from_millis(dice.between(0..=by));
            let due = if is_late { due.saturating_add(held_back) } else { due };
            Planned { body, is_copy: false, due }
        })
        .collect();
    planned.sort_by_key(|planned| planned.due);
    for planned in &mut planned {
        planned.is_copy = std::mem::replace(&mut seen[planned.body], true);
    }
    planned
}
