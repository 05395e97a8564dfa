//! Proof that a projection does not depend on the order of events, nor on how often each comes.

mod difference;
mod shrink;

use std::fmt;

use jaas_core::Delivery;

use self::shrink::Shrinker;
use super::dice::Dice;

/// Runs a projection of yours on the same events in many orders, with copies, and compares what comes out.
///
/// A *projection* is whatever you make of events: rows, a list, a number. Here it is a function from deliveries, in the
/// order they arrive, to a value that can be compared: build your state anew in it, give it the deliveries, and answer
/// what it came to.
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
    /// With these events, for example [those of a meeting](super::Meeting::deliveries). Their right order is that of their
    /// `timestamp`.
    pub fn of(deliveries: impl IntoIterator<Item = Delivery>) -> Self {
        let mut deliveries: Vec<Delivery> = deliveries.into_iter().collect();
        deliveries.sort_by_key(Delivery::occurred_at);
        Self { deliveries, seed: 0, orders: 50, copies: true }
    }

    /// Which orders are tried. Defaults to 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many orders are tried. Defaults to 50.
    pub fn orders(mut self, orders: usize) -> Self {
        self.orders = orders;
        self
    }

    /// Lets each event come once. For projections that write in the transaction they are given, and whose effects the
    /// framework makes happen once.
    pub fn without_copies(mut self) -> Self {
        self.copies = false;
        self
    }

    /// Checks a projection that need not wait for anything.
    ///
    /// # Errors
    /// The smallest counterexample that was found.
    pub fn check<T: PartialEq + fmt::Debug>(
        &self,
        project: impl Fn(&[Delivery]) -> T,
    ) -> Result<(), Counterexample> {
        use futures_util::FutureExt as _;
        // A future that waits for nothing is ready at once.
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

    /// The first few are the ones that find most mistakes; all others are left to chance.
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

/// Events that show that a projection depends on their order, or on how often they come; as few as were found, and as
/// near to their right order as still shows it.
///
/// Its `Display`, and its `Debug`, which is what `unwrap` shows, are for people to read.
#[derive(Clone)]
#[non_exhaustive]
pub struct Counterexample {
    /// The deliveries in the order that makes a difference, copies included.
    pub deliveries: Vec<Delivery>,
    /// What the projection made of them, as its `Debug` shows it.
    pub result: String,
    /// What it makes of the same events in their right order, each once.
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
        writeln!(f, "the result (-) differs from that of the order of their time, each once (+):")?;
        f.write_str(&difference::lines(&self.result, &self.expected))
    }
}

impl fmt::Debug for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Counterexample {}
