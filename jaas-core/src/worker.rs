//! The worker: claims accepted events from the store and runs the handlers.

mod ahead;
mod builder;
mod held;
mod pace;
mod process;
mod run;
mod session;
mod turn;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

pub use self::builder::WorkerBuilder;
use self::process::Process;
use self::run::Run;
use crate::background::Background;
use crate::handlers::Handlers;
use crate::store::{EventStore, SessionOrder};

/// Runs handlers on the events of a store.
///
/// It claims sessions that have an event to run, runs as many at the same time as it may, each in a task, renews their
/// leases while they run, and records how each event ended. It processes a claimed session event by event; while other
/// sessions wait, they take turns. While handlers are quick it claims a little ahead, so that no handler waits for a
/// claim. Any number of workers with the same handlers, in any number of processes, can share a store; the worker that
/// claims an event settles it for all.
///
/// - A handler that fails, panics or exceeds its timeout runs again after a [`Backoff`](crate::Backoff). The event
///   becomes a dead letter when its attempts are exhausted, or when the failures of all handlers that failed are
///   permanent.
/// - When the store is unavailable the worker waits, and continues by itself.
/// - When it is stopped it takes no new events, lets running handlers finish for a grace period, then aborts the rest
///   and gives their events back, which counts as an interruption and not as a failure.
///
/// ```
/// use jaas_core::{EventHandler, Handlers, Worker, store::MemoryStore};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// struct Attendance;
/// impl EventHandler for Attendance {}
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let worker = Worker::builder(store, Handlers::new().plain("attendance", Attendance)).build()?.spawn();
/// // … until the application stops:
/// let stopped = worker.stop(Duration::from_secs(10)).await;
/// assert_eq!(stopped.interrupted, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Worker<S: EventStore> {
    process: Arc<Process<S>>,
    concurrency: usize,
    lease: Duration,
    order: SessionOrder,
    max_crashes: u32,
    poll_interval: Duration,
}

impl<S: EventStore> Worker<S> {
    /// Starts to build a worker on this store with these handlers.
    pub fn builder(store: S, handlers: Handlers<S::Tx>) -> WorkerBuilder<S> {
        WorkerBuilder::new(store, handlers)
    }

    /// Runs the worker in a task of the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> WorkerHandle {
        WorkerHandle(Background::until(|stopped| self.run(stopped)))
    }

    /// Runs until `stop` resolves to the grace period in which running handlers may finish.
    ///
    /// When this future is dropped instead, running handlers are aborted and their events run again, here or elsewhere,
    /// when their leases end.
    pub async fn run(self, stop: impl Future<Output = Duration> + Send) -> StopReport {
        Run::new(self).until(stop).await
    }
}

impl<S: EventStore> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.process.name)
            .field("handlers", &self.process.handlers)
            .field("concurrency", &self.concurrency)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A worker that runs in a task. Dropping it aborts the worker, as a crash would; call [`stop`](WorkerHandle::stop).
#[derive(Debug)]
#[must_use = "dropping the handle aborts the worker"]
pub struct WorkerHandle(Background<Duration, StopReport>);

impl WorkerHandle {
    /// Takes no new events, waits up to `grace` for running handlers, then gives the rest back.
    pub async fn stop(self, grace: Duration) -> StopReport {
        self.0.stop(grace).await
    }

    /// Returns a check that any thread can call: does the worker still run? For liveness probes.
    pub fn liveness(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static + use<> {
        self.0.liveness()
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StopReport {
    /// Events that were running when the worker was stopped, and that finished within the grace period.
    pub drained: usize,
    /// Events that were aborted and given back.
    pub interrupted: usize,
}
