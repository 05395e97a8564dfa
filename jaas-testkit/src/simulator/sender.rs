//! The sender's side of the wire.

#[cfg(feature = "http")]
mod http;
mod plan;
mod report;
mod run;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::{Backoff, Clock, SystemClock};

#[cfg(feature = "http")]
pub use self::http::{HttpError, HttpTarget};
pub use self::plan::Planned;
pub use self::report::{Latency, Report, Undelivered};
pub use self::target::{NoResponse, Target};
use crate::signer::Signer;

/// Delivers bodies as JaaS does: signed, and repeatedly until a 2xx comes back, each wait about twice as long as the
/// one before. As configured, it also delivers in another order, more than once, late, and over a bad connection.
///
/// ```
/// use jaas_core::store::MemoryStore;
/// use jaas_core::{Auth, Inbox, Receiver};
/// use jaas_testkit::simulator::{Random, Sender};
/// use jaas_testkit::Signer;
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let secret = "whsec_00000000000000000000000000000000";
/// let store = Arc::new(MemoryStore::new());
/// let receiver = Receiver::builder("main", Auth::signature([secret])?, Inbox::new(store)).build()?;
///
/// let sender = Sender::new(Signer::new(secret)?, 7).duplicates(0.05).shuffle(0.3);
/// let report = sender.send(&receiver, Random::new(7).meeting().bodies()).await;
/// assert!(report.is_complete() && report.refused.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # What is known of the real one
/// It is documented that anything but a 2xx is delivered again with exponential back-off, that duplicates happen and
/// that order is not guaranteed. It was seen in the sender's modules that it posts a body a second time under the same
/// key over a fallback route. It is not published how often it tries, how long it waits for a response, whether a
/// repeated request is signed again, and whether it respects `Retry-After`: here you set that, and `Retry-After` is
/// ignored.
///
/// # Determinism
/// All random choices come from the seed, separately for each delivery, so that one does not change another. With a
/// [`concurrency`](Self::concurrency) of 1 the requests of two runs are identical, except for the times in their
/// signatures. Those come from the [`clock`](Self::clock), and all waits use tokio's clock, which a test can pause.
#[derive(Clone)]
#[must_use]
pub struct Sender {
    signer: Signer,
    seed: u64,
    duplicates: f64,
    shuffle: f64,
    late: (f64, Duration),
    lost_requests: f64,
    lost_answers: f64,
    repeats: SignRepeats,
    rate: Option<f64>,
    concurrency: usize,
    backoff: Backoff,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    progress: Option<Arc<dyn Fn(Progress) + Send + Sync>>,
}

/// Which time the signature of a repeated request carries, and that of a copy; what JaaS does is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignRepeats {
    /// The time of the repetition: the request is signed again.
    #[default]
    Anew,
    /// The time of the first request: it is identical, byte for byte.
    AsBefore,
}

/// The progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// How many deliveries there are to make.
    pub planned: usize,
    /// How many are over: acknowledged or not delivered.
    pub over: usize,
    /// How many requests were made so far.
    pub requests: usize,
}

impl Sender {
    /// Creates a sender without faults: each body once, in the order given, up to 16 at the same time.
    pub fn new(signer: Signer, seed: u64) -> Self {
        Self {
            signer,
            seed,
            duplicates: 0.0,
            shuffle: 0.0,
            late: (0.0, Duration::ZERO),
            lost_requests: 0.0,
            lost_answers: 0.0,
            repeats: SignRepeats::default(),
            rate: None,
            concurrency: 16,
            backoff: Backoff::default()
                .initial_delay(Duration::from_millis(500))
                .max_delay(Duration::from_secs(60))
                .max_failures(8),
            timeout: Duration::from_secs(15),
            clock: Arc::new(SystemClock),
            progress: None,
        }
    }

    /// The share of the bodies that is delivered a second time under the same key, from 0 to 1: half of the copies
    /// right after the original, the others any time later. Defaults to 0.
    pub fn duplicates(mut self, part: f64) -> Self {
        self.duplicates = part;
        self
    }

    /// The share of the bodies that change places with each other, from 0 to 1 (any order). Defaults to 0.
    pub fn shuffle(mut self, part: f64) -> Self {
        self.shuffle = part;
        self
    }

    /// The share of the deliveries that is held back, from 0 to 1, and up to how long. Defaults to none.
    pub fn late(mut self, part: f64, by: Duration) -> Self {
        self.late = (part, by);
        self
    }

    /// The share of the requests that never arrives, from 0 to 1; each is repeated like a refused one. Defaults to 0.
    pub fn lose_requests(mut self, part: f64) -> Self {
        self.lost_requests = part;
        self
    }

    /// The share of the responses that never comes back, from 0 to 1: the request arrived, and is still repeated.
    /// Defaults to 0.
    pub fn lose_answers(mut self, part: f64) -> Self {
        self.lost_answers = part;
        self
    }

    /// The time with which a repeated request, or a copy, is signed. Defaults to [`SignRepeats::Anew`].
    pub fn sign_repeats(mut self, repeats: SignRepeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// How many deliveries begin per second. Defaults to no limit.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second).filter(|rate| *rate > 0.0);
        self
    }

    /// How many requests are in flight at the same time, at least 1. Defaults to 16.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = requests.max(1);
        self
    }

    /// How long to wait before each repetition, and after how many failures a delivery is abandoned. Defaults to 0.5 s,
    /// twice as long each time up to 60 s, each plus a random part of up to the same length, and 8 failures.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The timeout of a request. Defaults to 15 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The clock for the times of the signatures. Defaults to [`SystemClock`]; in a test with paused time use
    /// [`TokioClock`](crate::TokioClock).
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Called after every request.
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    /// What is delivered in which order, as far as it is known before any response. `bodies` is the number of bodies.
    ///
    /// ```
    /// use jaas_testkit::{simulator::Sender, Signer};
    ///
    /// let sender = Sender::new(Signer::new("whsec_1")?, 7).duplicates(1.0);
    /// let plan = sender.plan(100);
    /// assert_eq!(plan.iter().filter(|planned| planned.is_copy).count(), 100);
    /// # Ok::<(), jaas_core::ConfigError>(())
    /// ```
    pub fn plan(&self, bodies: usize) -> Vec<Planned> {
        plan::plan(self, bodies)
    }

    /// Delivers these bodies, and returns when each was acknowledged or abandoned. Dropping the future stops
    /// immediately.
    pub async fn send(&self, target: &dyn Target, bodies: impl IntoIterator<Item = Bytes>) -> Report {
        let bodies: Vec<Bytes> = bodies.into_iter().collect();
        run::run(self, target, &bodies).await
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("seed", &self.seed)
            .field("duplicates", &self.duplicates)
            .field("shuffle", &self.shuffle)
            .field("late", &self.late)
            .field("lost_requests", &self.lost_requests)
            .field("lost_answers", &self.lost_answers)
            .field("repeats", &self.repeats)
            .field("rate", &self.rate)
            .field("concurrency", &self.concurrency)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}
