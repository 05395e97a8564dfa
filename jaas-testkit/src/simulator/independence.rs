//! Tests that a projection does not depend on the order of events, nor on how often each comes.

mod difference;
mod shrink;

use std::fmt;

use jaas_core::Delivery;

use self::shrink::Shrinker;
use super::dice::Dice;

/// Runs your projection on the same events in many orders, with copies, and compares the results.
///
/// A *projection* is anything you build from events: rows, a list, a number. Here it is a function from deliveries, in
/// their order of arrival, to a value that can be compared: create fresh state in it, process the deliveries, and
/// return the result.
///
/// ```
/// use jaas_core::event::Event;
/// use jaas_testkit::simulator::{Independence, Random};
/// use std::collections::BTreeSet;
///
/// let meeting = Random::new(7).meeting();
/// let who_joined = |deliveries: &[jaas_core::Delivery]| -> BTreeSet<_> {
///     let joined = deliveries.iter().filter_map(|delivery| match delivery.event() {
///         Event::ParticipantJoined(joined) => joined.participant.participant_id,
///         _ => None,
///     });
///     joined.collect()
/// };
/// Independence::of(meeting.deliveries()).check(who_joined).unwrap();
///
/// // A count grows with every copy, and the report shows the one event that it takes to see that.
/// let counted = Independence::of(meeting.deliveries()).check(|deliveries| deliveries.len());
/// assert_eq!(counted.unwrap_err().deliveries.len(), 2);
/// ```
///
/// With a handler, give each delivery to it with [`Delivery::handle`] in [`check_async`](Self::check_async).
#[derive(Debug, Clone)]
#[must_use]
pub struct Independence {
    deliveries: Vec<Delivery>,
    seed: u64,
    orders: usize,
    copies: bool,
}

impl Independence {
    /// Creates a check of these events, for example [those of a meeting](super::Meeting::deliveries). Their right order
    /// is that of their `timestamp`.
    pub fn of(deliveries: impl IntoIterator<Item = Delivery>) -> Self {
        let mut deliveries: Vec<Delivery> = deliveries.into_iter().collect();
        deliveries.sort_by_key(Delivery::occurred_at);
        Self { deliveries, seed: 0, orders: 50, copies: true }
    }

    /// Sets the seed of the orders to try. Defaults to 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how many orders to try. Defaults to 50.
    pub fn orders(mut self, orders: usize) -> Self {
        self.orders = orders;
        self
    }

    /// Delivers each event once. For projections that write in the transaction they get, and whose effects the
    /// framework makes happen once.
    pub fn without_copies(mut self) -> Self {
        self.copies = false;
        self
    }

    /// Checks a synchronous projection.
    ///
    /// # Errors
    /// The smallest counterexample that was found.
    pub fn check<T: PartialEq + fmt::Debug>(
        &self,
        project: impl Fn(&[Delivery]) -> T,
    ) -> Result<(), Counterexample> {
        use futures_util::FutureExt as _;
        // A future that waits for nothing is ready immediately.
        self.check_async(async |deliveries: &[Delivery]| project(deliveries)).now_or_never().unwrap_or(Ok(()))
    }

    /// Checks a projection that is asynchronous, such as one through an `EventHandler`.
    ///
    /// ```
    /// use jaas_testkit::simulator::{Independence, Random};
    /// use jaas_testkit::Recorder;
    /// use std::collections::BTreeSet;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let methods = async |deliveries: &[jaas_core::Delivery]| {
    ///     let handler = Recorder::new();
    ///     for delivery in deliveries {
    ///         delivery.handle(&handler, &mut ()).await.unwrap();
    ///     }
    ///     handler.seen().into_iter().map(|seen| seen.method).collect::<BTreeSet<_>>()
    /// };
    /// Independence::of(Random::new(7).meeting().deliveries()).check_async(methods).await.unwrap();
    /// # });
    /// ```
    ///
    /// # Errors
    /// The smallest counterexample that was found.
    pub async fn check_async<T: PartialEq + fmt::Debug>(
        &self,
        project: impl AsyncFn(&[Delivery]) -> T,
    ) -> Result<(), Counterexample> {
        let shrinker = Shrinker { deliveries: &self.deliveries, project: &project };
        let sorted: Vec<usize> = (0..self.deliveries.len()).collect();
        let expected = shrinker.project(&sorted).await;
        let mut dice = Dice::new(self.seed);
        for number in 0..self.orders {
            let order = self.order(number, &sorted, &mut dice);
            if shrinker.project(&order).await != expected {
                return Err(shrinker.counterexample(order).await);
            }
        }
        Ok(())
    }

    /// The first few orders find most mistakes; all others are random.
    fn order(&self, number: usize, sorted: &[usize], dice: &mut Dice) -> Vec<usize> {
        let mut order = sorted.to_vec();
        match number {
            0 => order.reverse(),
            1 if self.copies => order = sorted.iter().flat_map(|event| [*event, *event]).collect(),
            2 if self.copies => order.extend_from_slice(sorted),
            _ => {
                if self.copies {
                    let copied = sorted.iter().filter(|_| dice.percent(25)).copied();
                    order.extend(copied.collect::<Vec<_>>());
                }
                dice.shuffle(&mut order);
            }
        }
        order
    }
}

/// Events that show that a projection depends on their order, or on how often they come: as few as were found, and as
/// near to their right order as still shows it.
///
/// Its `Display`, and its `Debug`, which `unwrap` shows, are written for people.
#[derive(Clone)]
#[non_exhaustive]
pub struct Counterexample {
    /// The deliveries in the order that makes a difference, copies included.
    pub deliveries: Vec<Delivery>,
    /// The result of the projection, in its `Debug` form.
    pub result: String,
    /// The result for the same events in their right order, each once.
    pub expected: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the result depends on the order of the events, or on how often they come. In this order:"
        )?;
        for (index, delivery) in self.deliveries.iter().enumerate() {
            let key = &delivery.envelope.idempotency_key;
            let copy = self.deliveries[..index].iter().any(|before| before.envelope.idempotency_key == *key);
            let copy = if copy { ", a copy" } else { "" };
            writeln!(
                f,
                "  {}. {} {}{copy} ({key})",
                index + 1,
                delivery.occurred_at(),
                delivery.envelope.event_type
            )?;
        }
        writeln!(f, "the result (-) differs from the result in the order of time, each event once (+):")?;
        f.write_str(&difference::lines(&self.result, &self.expected))
    }
}

impl fmt::Debug for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Counterexample {}
