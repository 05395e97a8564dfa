//! Makes a counterexample smaller.

use std::fmt;

use jaas_core::Delivery;

use super::Counterexample;

/// How often the projection runs to make a counterexample smaller.
const RUNS: usize = 20_000;

pub(super) struct Shrinker<'a, F> {
    /// In their right order; an order is a list of indices into it.
    pub(super) deliveries: &'a [Delivery],
    pub(super) project: &'a F,
}

impl<T: PartialEq + fmt::Debug, F: AsyncFn(&[Delivery]) -> T> Shrinker<'_, F> {
    pub(super) async fn project(&self, order: &[usize]) -> T {
        let deliveries: Vec<Delivery> = order.iter().map(|place| self.deliveries[*place].clone()).collect();
        (self.project)(&deliveries).await
    }

    /// The smallest order that still makes a difference, starting from one that does.
    pub(super) async fn counterexample(&self, mut order: Vec<usize>) -> Counterexample {
        let mut runs = RUNS;
        loop {
            let before = order.clone();
            self.drop_events(&mut order, &mut runs).await;
            self.drop_copies(&mut order, &mut runs).await;
            self.sort(&mut order, &mut runs).await;
            if order == before || runs == 0 {
                break;
            }
        }
        Counterexample {
            deliveries: order.iter().map(|place| self.deliveries[*place].clone()).collect(),
            result: format!("{:#?}", self.project(&order).await),
            expected: format!("{:#?}", self.project(&sorted(&order)).await),
        }
    }

    async fn differs(&self, order: &[usize], runs: &mut usize) -> bool {
        if *runs == 0 || order.is_empty() {
            return false;
        }
        *runs -= 1;
        self.project(order).await != self.project(&sorted(order)).await
    }

    /// Removes events completely: halves of them at first, then fewer and fewer.
    async fn drop_events(&self, order: &mut Vec<usize>, runs: &mut usize) {
        let mut at_once = sorted(order).len().div_ceil(2);
        while at_once > 0 {
            let mut from = 0;
            loop {
                let events = sorted(order);
                let Some(dropped) = events.get(from..(from + at_once).min(events.len())) else { break };
                if dropped.is_empty() {
                    break;
                }
                let fewer: Vec<usize> =
                    order.iter().filter(|event| !dropped.contains(event)).copied().collect();
                if self.differs(&fewer, runs).await {
                    *order = fewer;
                } else {
                    from += at_once;
                }
            }
            at_once /= 2;
        }
    }

    /// Removes single copies.
    async fn drop_copies(&self, order: &mut Vec<usize>, runs: &mut usize) {
        let mut index = 0;
        while index < order.len() {
            let mut fewer = order.clone();
            let event = fewer.remove(index);
            if fewer.contains(&event) && self.differs(&fewer, runs).await {
                *order = fewer;
            } else {
                index += 1;
            }
        }
    }

    /// Brings neighbours into their right order.
    async fn sort(&self, order: &mut [usize], runs: &mut usize) {
        let mut index = 0;
        while index + 1 < order.len() {
            if order[index] > order[index + 1] {
                order.swap(index, index + 1);
                if self.differs(order, runs).await {
                    // The earlier event may move further.
                    index = index.saturating_sub(1);
                    continue;
                }
                order.swap(index, index + 1);
            }
            index += 1;
        }
    }
}

/// The same events in their right order, each once.
fn sorted(order: &[usize]) -> Vec<usize> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}
