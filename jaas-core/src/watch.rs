//! Noticing events that should have come and did not.
//!
//! A webhook that never came is noticed by nobody until the recording is gone. A recording can still be downloaded by
//! hand in the JaaS user interface for 24 h (documented), so an alarm that is early enough saves it. Each [`Rule`]
//! says what was seen, what should follow, and within how long:
//!
//! 1. The [`WatchHandler`], a transactional handler, writes down [what each event shows](Sighting), and that its
//!    session is to be audited.
//! 2. The auditor takes sessions that are due, and compares [what should have followed](expectations()) with the gaps
//!    that are known.
//! 3. The application's [`GapHandler`] is called once for each gap, in its transaction: when it is found, and when
//!    what was missing comes after all.
//!
//! What the receivers of this process see of their [`Endpoints`] is audited in the same way.
//!
//! What should follow is a pure function of the *set* of what was seen: the order in which events come makes no
//! difference, and neither do copies. Nothing that is written down names a person: visitors, who have no endpoint id,
//! are there as a hash of their address.
//!
//! ```
//! use jaas_core::store::MemoryStore;
//! use jaas_core::watch::{GapHandler, GapQuery, GapStore, Rule, Rules, Watch};
//! use jaas_core::{Handlers, Worker};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! struct OnGap;
//! impl GapHandler for OnGap {}
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let store = Arc::new(MemoryStore::new());
//! // No endpoint is subscribed to USAGE.
//! let rules = Rules::default().off(Rule::UsageNotSent).off(Rule::JoinNotSent);
//! let watch = Watch::builder(store.clone()).rules(rules).build()?;
//! let handlers = Handlers::new().transactional("watch", watch.handler());
//! let worker = Worker::builder(store.clone(), handlers).build()?.spawn();
//! let auditor = watch.spawn(OnGap);
//! assert!(store.gaps(&GapQuery::default()).await?.items.is_empty());
//! // … until the application stops:
//! worker.stop(Duration::from_secs(10)).await;
//! auditor.stop(Duration::from_secs(10)).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod audit;
mod auditor;
mod builder;
pub(crate) mod endpoint;
mod expect;
mod handler;
mod intake;
pub(crate) mod rule;
pub(crate) mod sighting;
pub(crate) mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::auditor::Auditor;
use self::builder::Settings;
pub use self::builder::WatchBuilder;
pub use self::endpoint::Endpoints;
pub use self::expect::{Expectation, expectations};
pub use self::handler::GapHandler;
pub use self::intake::WatchHandler;
pub use self::rule::{Rule, Rules, Severity};
pub use self::sighting::{Seen, Sighting};
pub use self::store::{
    Gap, GapChange, GapCount, GapQuery, GapRecord, GapState, GapStore, NewSightings, SessionClaim,
    SessionClaimRequest, SessionLease, Watched,
};
use crate::background::Background;
use crate::store::StoreError;

/// Finds the gaps in the events of a store. See the [module](self).
///
/// Any number of processes can share a store; each gap is reported by one of them.
pub struct Watch<S> {
    store: Arc<S>,
    settings: Settings,
    endpoints: Endpoints,
}

impl<S: GapStore> Watch<S> {
    /// Starts with the store of the events.
    pub fn builder(store: S) -> WatchBuilder<S> {
        WatchBuilder::new(store)
    }

    /// The handler that writes down what was seen. Mount it on the worker of the same store with
    /// [`Handlers::transactional`](crate::Handlers::transactional).
    pub fn handler(&self) -> WatchHandler<S> {
        let Settings { rules, clock, .. } = &self.settings;
        WatchHandler { store: self.store.clone(), rules: rules.clone(), clock: clock.clone() }
    }

    /// What the receivers of this process see of their endpoints. Give it to each, with
    /// [`ReceiverBuilder::watched_by`](crate::ReceiverBuilder::watched_by).
    pub fn endpoints(&self) -> Endpoints {
        self.endpoints.clone()
    }

    /// Audits what is due now, and calls this handler; returns how many sessions it has audited. For applications that
    /// schedule audits themselves, and for tests.
    ///
    /// # Errors
    /// When the store is not available. What is not audited stays due.
    pub async fn audit(&self, handler: impl GapHandler<S::Tx>) -> Result<u64, StoreError> {
        self.auditor(handler).everything_due().await
    }

    fn auditor(&self, handler: impl GapHandler<S::Tx>) -> Auditor<S> {
        let (store, settings) = (self.store.clone(), self.settings.clone());
        Auditor { store, settings, endpoints: self.endpoints.clone(), handler: Arc::new(handler) }
    }

    /// Audits in a task of the current tokio runtime, and calls this handler.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(&self, handler: impl GapHandler<S::Tx>) -> AuditorHandle {
        let auditor = self.auditor(handler);
        AuditorHandle(Background::until(|stopped| auditor.until(stopped)))
    }
}

impl<S> fmt::Debug for Watch<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An auditor that runs in a task. Dropping it cuts the auditor off, as a crash would; call
/// [`stop`](AuditorHandle::stop).
#[derive(Debug)]
#[must_use = "dropping the handle cuts the auditor off"]
pub struct AuditorHandle(Background<Duration>);

impl AuditorHandle {
    /// Begins nothing new, and waits up to `grace` for what is being audited. What is cut off then is rolled back, and
    /// audited again when its lease ends.
    pub async fn stop(self, grace: Duration) {
        self.0.stop(grace).await;
    }

    /// Returns a check that any thread can call: does the auditor still run? For liveness probes.
    pub fn liveness(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static + use<> {
        self.0.liveness()
    }
}
