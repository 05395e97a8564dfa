//! A store that fails as databases fail, to test the code that relies on it.

mod faults;
mod store;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::Timestamp;
use jaas_core::store::{ClaimRequest, EventQuery, StoreError, StoreErrorKind};
use parking_lot::{Mutex, MutexGuard};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use tokio::time::sleep;

pub use self::faults::{Fault, Faults, Op};

/// Wraps a store and makes its operations fail: at random, from a seed, or as scripted. Without faults it changes
/// nothing, and passes [`store_conformance!`](crate::store_conformance) as the store inside does.
///
/// ```
/// use jaas_core::store::{EventStore, MemoryStore};
/// use jaas_core::{Disposition, Dispatcher, Inbox};
/// use jaas_testkit::{event, Fault, FaultyStore, Op};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = FaultyStore::new(MemoryStore::new());
/// let inbox = Inbox::new(store.clone());
/// let created = event::room_created();
///
/// // The row is committed, and the connection breaks before the response arrives.
/// store.script(Op::Accept, Fault::After);
/// assert!(inbox.dispatch(created.received()).await.is_err());
/// assert_eq!(inbox.dispatch(created.received()).await?, Disposition::Duplicate);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// At random:
///
/// ```
/// use jaas_core::store::MemoryStore;
/// use jaas_testkit::{Faults, FaultyStore, Op};
/// use std::time::Duration;
///
/// let faults = Faults::none()
///     .latency(0.5, Duration::from_millis(20))
///     .error_before(0.05)
///     .error_after(0.05)
///     .torn(0.05)
///     .stall(0.01, Duration::from_secs(10))
///     .clock_jump(0.01, Duration::from_secs(2));
/// let store = FaultyStore::new(MemoryStore::new()).seeded(7, faults);
/// // … use it, and to see that everything recovers:
/// store.mend();
/// assert_eq!(store.injected(Op::Accept), 0);
/// ```
///
/// The decisions follow from the seed and the order of the calls. Waits use tokio's timers, so with paused time a test
/// takes no time.
///
/// Faults are like real ones: an operation that is not done is not done at all or, for [`Fault::Torn`], one element of
/// the batch after the other; errors are [`Unavailable`](StoreErrorKind::Unavailable). Events that
/// `PostgresStore` claims for a worker as it accepts them go from that store directly to the worker.
///
/// Clones share the store, the faults and the counts.
pub struct FaultyStore<S> {
    store: Arc<S>,
    state: Arc<Mutex<State>>,
}

struct State {
    random: ChaCha8Rng,
    faults: Faults,
    scripts: HashMap<Op, VecDeque<Fault>>,
    outage: HashMap<Op, Fault>,
    /// The error of the store's clock, in ms.
    clock: i64,
    calls: BTreeMap<Op, u64>,
    injected: BTreeMap<Op, u64>,
}

/// What happens to one call.
struct Fate {
    latency: Duration,
    fault: Option<Fault>,
    /// For a torn batch, the part that is done.
    part: f64,
    clock: i64,
}

impl<S> FaultyStore<S> {
    /// Wraps a store, initially without faults.
    pub fn new(store: S) -> Self {
        let state = State {
            random: ChaCha8Rng::seed_from_u64(0),
            faults: Faults::none(),
            scripts: HashMap::new(),
            outage: HashMap::new(),
            clock: 0,
            calls: BTreeMap::new(),
            injected: BTreeMap::new(),
        };
        Self { store: Arc::new(store), state: Arc::new(Mutex::new(state)) }
    }

    /// Enables these faults from now on, at random from the seed.
    #[must_use]
    pub fn seeded(self, seed: u64, faults: Faults) -> Self {
        self.lock().random = ChaCha8Rng::seed_from_u64(seed);
        self.set_faults(faults);
        self
    }

    /// Enables these faults from now on, at random.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Makes the next call of this operation fail this way, whatever else is set. Several calls queue up: the first
    /// concerns the next call, the second the one after it, and so on.
    pub fn script(&self, op: Op, fault: Fault) {
        self.lock().scripts.entry(op).or_default().push_back(fault);
    }

    /// Makes every call of these operations fail this way, until it is [mended](Self::mend).
    pub fn outage(&self, ops: impl IntoIterator<Item = Op>, fault: Fault) {
        self.lock().outage.extend(ops.into_iter().map(|op| (op, fault)));
    }

    /// Stops all faults from now on, and corrects the clock.
    pub fn mend(&self) {
        let mut state = self.lock();
        state.faults = Faults::none();
        state.scripts.clear();
        state.outage.clear();
        state.clock = 0;
    }

    /// The store inside, without the faults.
    pub fn inner(&self) -> &Arc<S> {
        &self.store
    }

    /// How often the operation was called.
    pub fn calls(&self, op: Op) -> u64 {
        self.lock().calls.get(&op).copied().unwrap_or(0)
    }

    /// How many of those calls had a fault. Latency alone does not count.
    pub fn injected(&self, op: Op) -> u64 {
        self.lock().injected.get(&op).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn fate(&self, op: Op) -> Fate {
        let mut state = self.lock();
        *state.calls.entry(op).or_default() += 1;
        let scripted = state.scripts.get_mut(&op).and_then(VecDeque::pop_front);
        let chosen = scripted.or_else(|| state.outage.get(&op).copied());
        let State { random, faults, clock, .. } = &mut *state;
        let mut fate = faults.draw(op, random, clock);
        fate.fault = chosen.or(fate.fault);
        if fate.fault.is_some() {
            *state.injected.entry(op).or_default() += 1;
        }
        fate
    }
}

impl Fate {
    /// The time as the store has it.
    fn now(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add(self.clock))
    }

    /// How much of a batch is done.
    fn part_of(&self, batch: usize) -> usize {
        if self.fault == Some(Fault::Torn) { (batch as f64 * self.part) as usize } else { batch }
    }

    /// How many of up to `limit` are done.
    fn limit(&self, limit: u32) -> u32 {
        if self.fault == Some(Fault::Torn) { (f64::from(limit) * self.part).ceil() as u32 } else { limit }
    }

    /// A claim as the store has it.
    fn request(&self, request: &ClaimRequest) -> ClaimRequest {
        let mut request = request.clone();
        request.now = self.now(request.now);
        request.limit = self.part_of(request.limit);
        request
    }

    /// The query for the part of a batch that is done.
    fn in_part(&self, query: &EventQuery) -> EventQuery {
        let mut query = query.clone();
        query.page.limit = self.limit(query.page.limit);
        query
    }

    /// Makes the call, or does not.
    async fn befall<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let unavailable = |how| {
            let message = format!("{op:?} failed, as scripted by a test: {how}");
            StoreError::new(StoreErrorKind::Unavailable, message)
        };
        if !self.latency.is_zero() {
            sleep(self.latency).await;
        }
        match self.fault {
            None => return call.await,
            Some(Fault::Before) => return Err(unavailable("nothing happened")),
            Some(Fault::After) => drop(call.await?),
            Some(Fault::Torn) => {
                call.await?;
                return Err(unavailable("a part of it happened"));
            }
            Some(Fault::StallBefore(how_long)) => {
                sleep(how_long).await;
                return Err(unavailable("no response, and nothing happened"));
            }
            Some(Fault::StallAfter(how_long)) => {
                call.await?;
                sleep(how_long).await;
            }
        }
        Err(unavailable("it happened, but the response was lost"))
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), state: self.state.clone() }
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("FaultyStore")
            .field("store", &self.store)
            .field("faults", &state.faults)
            .field("injected", &state.injected)
            .finish_non_exhaustive()
    }
}
