//! What can go wrong, and how often.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;

use super::Fate;

/// Generates the list of operations from the methods of the two traits, which it gets one after the other.
macro_rules! operations {
    ($($op:ident $method:ident($($args:tt)*) -> $result:tt;)*) => {
        jaas_core::store::tools::event_admin_methods!(operations with { $($op,)* }, TxWork<()>);
    };
    ({ $($op:ident,)* } $($admin:ident $method:ident($($args:tt)*) -> $result:tt;)*) => {
        /// An operation of an [`EventStore`](jaas_core::store::EventStore) or an
        /// [`EventAdmin`](jaas_core::store::EventAdmin).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        #[allow(missing_docs)]
        pub enum Op {
            $($op,)*
            $($admin,)*
        }
    };
}

jaas_core::store::tools::event_store_methods!(operations, TxWork<()>);

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing happens, and the call returns an error.
    Before,
    /// It happens, and the call returns an error: the connection broke after the commit.
    After,
    /// Nothing happens, and the call returns an error after this long.
    StallBefore(Duration),
    /// It happens, but the call returns an error after this long.
    StallAfter(Duration),
    /// Of several claims, renewals, releases, replays or deletions only some happen, and the call returns an error. For
    /// an operation without a batch the same as [`After`](Self::After).
    ///
    /// No worker knows of a claim that happened this way: its event waits until the lease ends, which counts as a
    /// crash. Allow for it with [`max_crashes`](jaas_core::WorkerBuilder::max_crashes).
    Torn,
}

/// Which faults happen at random, and how often. Chances are between 0 and 1 for each call. At most one fault happens
/// to a call, so together they must not exceed 1.
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Faults {
    latency: Option<(f64, Duration)>,
    before: f64,
    after: f64,
    torn: f64,
    stall: Option<(f64, Duration)>,
    pub(super) jump: Option<(f64, Duration)>,
    only: Option<Vec<Op>>,
}

impl Faults {
    /// No fault.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes calls take longer, up to this long.
    pub fn latency(mut self, chance: f64, up_to: Duration) -> Self {
        self.latency = Some((chance, up_to));
        self
    }

    /// [`Fault::Before`].
    pub fn error_before(mut self, chance: f64) -> Self {
        self.before = chance;
        self
    }

    /// [`Fault::After`].
    pub fn error_after(mut self, chance: f64) -> Self {
        self.after = chance;
        self
    }

    /// [`Fault::StallBefore`] and [`Fault::StallAfter`], half of each.
    pub fn stall(mut self, chance: f64, how_long: Duration) -> Self {
        self.stall = Some((chance, how_long));
        self
    }

    /// [`Fault::Torn`].
    pub fn torn(mut self, chance: f64) -> Self {
        self.torn = chance;
        self
    }

    /// Makes the store's clock jump, to anywhere between this much too late and this much too early, and stay there
    /// until it jumps again. It does not count as a fault of a call.
    ///
    /// A store that uses the time of its database does not notice. For others, a jump longer than the rest of a lease
    /// lets another worker take over live work: its effects may happen again, its completion may not.
    pub fn clock_jump(mut self, chance: f64, up_to: Duration) -> Self {
        self.jump = Some((chance, up_to));
        self
    }

    /// Restricts all of this to some operations.
    pub fn only(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.only = Some(ops.into_iter().collect());
        self
    }

    /// Decides one call. The clock is moved in place.
    pub(super) fn draw(&self, op: Op, random: &mut ChaCha8Rng, clock: &mut i64) -> Fate {
        let mut fate = Fate { latency: Duration::ZERO, fault: None, part: 0.5, clock: *clock };
        if *self == Self::none() || self.only.as_ref().is_some_and(|ops| !ops.contains(&op)) {
            return fate;
        }
        fate.part = random.random();
        if let Some((chance, up_to)) = self.latency
            && random.random::<f64>() < chance
        {
            fate.latency = up_to.mul_f64(random.random());
        }
        if let Some((chance, up_to)) = self.jump
            && random.random::<f64>() < chance
        {
            let up_to = i64::try_from(up_to.as_millis()).unwrap_or(i64::MAX);
            *clock = random.random_range(-up_to..=up_to);
            fate.clock = *clock;
        }
        let (stall, how_long) = self.stall.unwrap_or_default();
        let mut drawn: f64 = random.random();
        for (chance, fault) in [
            (self.before, Fault::Before),
            (self.after, Fault::After),
            (self.torn, Fault::Torn),
            (stall / 2.0, Fault::StallBefore(how_long)),
            (stall / 2.0, Fault::StallAfter(how_long)),
        ] {
            if drawn < chance {
                fate.fault = Some(fault);
                break;
            }
            drawn -= chance;
        }
        fate
    }
}
