//! The worker: takes accepted events out of the store and runs the handlers.

mod process;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use self::process::Process;
use crate::Timestamp;
use crate::backoff::Backoff;
use crate::clock::{Clock, SystemClock};
use crate::config::ConfigError;
use crate::handlers::Handlers;
use crate::store::{ClaimRequest, EventStore, Lease, SessionOrder, StoreError};

/// Runs handlers on the events of a store.
///
/// It claims as many events as it may run at once, runs each in a task of its own, renews their leases while
/// they run, and records how they ended. Any number of workers with the same handlers, in any number of processes,
/// can share a store; whichever claims an event settles it for all.
///
/// - A handler that fails, panics or exceeds its time limit is run again after a [`Backoff`]; the event becomes
///   a dead letter when its attempts are used up, or at once for a permanent failure.
/// - When the store is unavailable the worker waits and goes on by itself.
/// - When it is stopped it takes nothing new, lets running handlers finish for a grace period, then cuts off
///   the rest and gives their events back, which counts as an interruption and not as a failure.
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
    name: Arc<str>,
    concurrency: usize,
    lease: Duration,
    order: SessionOrder,
    max_crashes: u32,
    poll_interval: Duration,
}

impl<S: EventStore> Worker<S> {
    /// Starts a worker on this store with these handlers.
    pub fn builder(store: S, handlers: Handlers<S::Tx>) -> WorkerBuilder<S> {
        WorkerBuilder {
            store,
            handlers,
            clock: Arc::new(SystemClock),
            name: "worker".into(),
            concurrency: 16,
            lease: Duration::from_secs(15),
            handler_time_limit: Duration::from_secs(60),
            transaction_time_limit: Duration::from_secs(10),
            backoff: Backoff::default(),
            order: SessionOrder::default(),
            max_crashes: 2,
            poll_interval: Duration::from_secs(1),
        }
    }

    /// Runs in a task of the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(self) -> WorkerHandle {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(self.run(async { stopped.await.unwrap_or_default() }));
        WorkerHandle { stop: Some(stop), task }
    }

    /// Runs until `stop` resolves to the grace period that running handlers are given to finish.
    ///
    /// When this future is dropped instead, running handlers are cut off and their events are run again, here or
    /// elsewhere, when their leases end.
    pub async fn run(self, stop: impl Future<Output = Duration> + Send) -> Stopped {
        let wakeups = self.process.store.wakeups();
        let renewed_at = self.process.clock.now();
        Run { worker: self, tasks: JoinSet::new(), held: HashMap::new(), renewed_at, outage: None, wakeups }
            .until(stop)
            .await
    }
}

impl<S: EventStore> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("handlers", &self.process.handlers)
            .field("concurrency", &self.concurrency)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// A worker that runs in a task. Dropping it cuts the worker off, as a crash would; call
/// [`stop`](WorkerHandle::stop).
#[derive(Debug)]
#[must_use = "dropping the handle cuts the worker off"]
pub struct WorkerHandle {
    stop: Option<oneshot::Sender<Duration>>,
    task: JoinHandle<Stopped>,
}

impl WorkerHandle {
    /// Takes nothing new, waits up to `grace` for running handlers, then gives the rest back.
    pub async fn stop(mut self, grace: Duration) -> Stopped {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(grace);
        }
        (&mut self.task).await.unwrap_or_default()
    }

    /// A question that can be asked from anywhere: does the worker still run? For liveness checks.
    pub fn liveness(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static + use<> {
        let task = self.task.abort_handle();
        move || !task.is_finished()
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stopped {
    /// Events that were running when it was told to stop, and finished within the grace period.
    pub drained: usize,
    /// Events that were cut off and given back.
    pub interrupted: usize,
}

/// How long handlers that are cut off may take to reach their next await.
const CUT_OFF: Duration = Duration::from_secs(5);

/// The state of a running worker.
struct Run<S: EventStore> {
    worker: Worker<S>,
    tasks: JoinSet<Lease>,
    held: HashMap<Lease, AbortHandle>,
    /// When the last renewal began that left every lease held then with its full length.
    renewed_at: Timestamp,
    outage: Option<Outage>,
    wakeups: watch::Receiver<u64>,
}

/// The store has not answered well since the last success.
struct Outage {
    failures: u32,
}

/// An outage is not waited out for longer at a time, however rarely the worker polls.
const LONGEST_WAIT_IN_OUTAGE: Duration = Duration::from_secs(5);

/// What the wait between two claims ended with.
enum Turn {
    Claim,
    Renew,
    Finished(Lease),
    Stop(Duration),
}

impl<S: EventStore> Run<S> {
    async fn until(mut self, stop: impl Future<Output = Duration> + Send) -> Stopped {
        tokio::pin!(stop);
        let mut renewal = interval(self.worker.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_claim = Instant::now();
        loop {
            let may_claim = self.held.len() < self.worker.concurrency;
            let turn = tokio::select! {
                biased;
                grace = &mut stop => Turn::Stop(grace),
                Some(ended) = self.tasks.join_next_with_id() => match ended {
                    Ok((_, lease)) => Turn::Finished(lease),
                    Err(error) => match self.lease_of(error.id()) {
                        Some(lease) => Turn::Finished(lease),
                        None => continue,
                    },
                },
                _ = renewal.tick() => Turn::Renew,
                () = sleep_until(next_claim), if may_claim => Turn::Claim,
                Ok(()) = self.wakeups.changed(), if may_claim && self.outage.is_none() => Turn::Claim,
            };
            match turn {
                Turn::Stop(grace) => return self.stop(Instant::now() + grace, renewal).await,
                Turn::Finished(lease) => {
                    self.held.remove(&lease);
                    if self.outage.is_none() {
                        next_claim = Instant::now();
                    }
                }
                Turn::Renew => {
                    let wait = tokio::select! {
                        biased;
                        wait = self.renew() => wait,
                        grace = &mut stop => return self.stop(Instant::now() + grace, renewal).await,
                    };
                    if let Some(wait) = wait {
                        next_claim = next_claim.min(Instant::now() + wait);
                    }
                }
                Turn::Claim => match self.claim_until(&mut stop).await {
                    Ok(wait) => next_claim = Instant::now() + wait,
                    Err(deadline) => return self.stop(deadline, renewal).await,
                },
            }
        }
    }

    /// Claims; when told to stop meanwhile, answers until when running handlers may finish.
    async fn claim_until(
        &mut self,
        stop: &mut (impl Future<Output = Duration> + Unpin),
    ) -> Result<Duration, Instant> {
        let claim = self.claim();
        tokio::pin!(claim);
        tokio::select! {
            biased;
            wait = &mut claim => Ok(wait),
            grace = stop => {
                let deadline = Instant::now() + grace;
                // Waited for as long as may be: events claimed for nobody would be held until their leases end.
                let _ = timeout_at(deadline, claim).await;
                Err(deadline)
            }
        }
    }

    fn lease_of(&self, task: tokio::task::Id) -> Option<Lease> {
        self.held.iter().find(|(_, handle)| handle.id() == task).map(|(lease, _)| *lease)
    }

    /// Claims and starts what may be run; answers how long to wait before claiming again.
    async fn claim(&mut self) -> Duration {
        self.wakeups.mark_unchanged();
        let process = self.worker.process.clone();
        let limit = self.worker.concurrency - self.held.len();
        // After an outage, or when the clock jumped, leases of this worker may have run out. They are renewed
        // first, or this very claim would take its own live work for crashed.
        if process.clock.now().duration_since(self.renewed_at) > self.worker.lease / 2
            && let Some(wait) = self.renew().await
            && !wait.is_zero()
        {
            return wait;
        }
        let now = process.clock.now();
        let request = ClaimRequest {
            now,
            limit,
            lease: self.worker.lease,
            worker: self.worker.name.clone(),
            order: self.worker.order,
            max_crashes: self.worker.max_crashes,
        };
        let claims = match process.store.claim(&request).await {
            Ok(claims) => claims,
            Err(error) => return self.unavailable(&error),
        };
        self.available();
        let full = claims.len() == limit;
        for claim in claims {
            let lease = claim.lease;
            let handle = self.tasks.spawn(process.clone().run(claim));
            self.held.insert(lease, handle);
        }
        if full {
            // Room for more comes with a finished task, which claims again at once.
            return self.worker.poll_interval;
        }
        match process.store.next_due(now, self.worker.order).await {
            Ok(due) => due.map_or(self.worker.poll_interval, |due| {
                due.duration_since(process.clock.now()).min(self.worker.poll_interval)
            }),
            Err(error) => self.unavailable(&error),
        }
    }

    /// Renews the leases of what is running; answers how long to wait before claiming, when the store did not
    /// answer, or answers again.
    async fn renew(&mut self) -> Option<Duration> {
        let process = self.worker.process.clone();
        let now = process.clock.now();
        if self.held.is_empty() {
            self.renewed_at = now;
            return None;
        }
        let leases: Vec<Lease> = self.held.keys().copied().collect();
        match process.store.renew(&leases, now.saturating_add(self.worker.lease)).await {
            Ok(lost) => {
                self.renewed_at = now;
                for lease in lost {
                    // A task that has just settled its event shows up here too; it is finished, not lost.
                    if let Some(task) = self.held.get(&lease).filter(|task| !task.is_finished()) {
                        tracing::warn!(event = %lease.event, fence = lease.fence, "lease lost; its handler is cut off");
                        metrics::counter!("jaas_leases_lost_total").increment(1);
                        task.abort();
                    }
                }
                self.available().then_some(Duration::ZERO)
            }
            Err(error) => Some(self.unavailable(&error)),
        }
    }

    async fn stop(mut self, deadline: Instant, mut renewal: tokio::time::Interval) -> Stopped {
        let mut stopped = Stopped::default();
        while !self.held.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => {
                    let lease = match ended {
                        Ok((_, lease)) => Some(lease),
                        Err(error) => self.lease_of(error.id()),
                    };
                    if let Some(lease) = lease {
                        self.held.remove(&lease);
                        stopped.drained += 1;
                    }
                }
                () = sleep_until(deadline) => break,
                _ = renewal.tick() => {
                    let _ = timeout_at(deadline, self.renew()).await;
                }
            }
        }
        stopped.interrupted = self.held.len();
        if tokio::time::timeout(CUT_OFF, self.tasks.shutdown()).await.is_err() {
            // Giving back what still runs would let another worker run it at the same time.
            tracing::error!(worker = %self.worker.name, "a handler blocks its thread and cannot be cut off; its event is run again when its lease ends");
            return stopped;
        }
        let leases: Vec<Lease> = self.held.keys().copied().collect();
        let process = &self.worker.process;
        if !leases.is_empty()
            && let Err(error) = process.store.release(&leases, process.clock.now()).await
        {
            tracing::warn!(%error, events = leases.len(), "not given back; they are run again when their leases end");
        }
        tracing::info!(worker = %self.worker.name, drained = stopped.drained, interrupted = stopped.interrupted, "worker stopped");
        stopped
    }

    /// Notes that the store does not answer, says so once, and answers how long to wait.
    fn unavailable(&mut self, error: &StoreError) -> Duration {
        let failures = self.outage.as_ref().map_or(0, |outage| outage.failures).saturating_add(1);
        if failures == 1 {
            tracing::error!(worker = %self.worker.name, %error, "the store does not answer; waiting for it");
        }
        self.outage = Some(Outage { failures });
        let backoff = Backoff::default()
            .first(Duration::from_millis(100))
            .max(self.worker.poll_interval.min(LONGEST_WAIT_IN_OUTAGE));
        backoff.delay(failures, 0)
    }

    /// Notes that the store answers; answers whether that is news.
    fn available(&mut self) -> bool {
        let Some(outage) = self.outage.take() else { return false };
        tracing::info!(worker = %self.worker.name, failures = outage.failures, "the store answers again");
        true
    }
}

/// Builds a [`Worker`].
#[must_use]
pub struct WorkerBuilder<S: EventStore> {
    store: S,
    handlers: Handlers<S::Tx>,
    clock: Arc<dyn Clock>,
    name: Arc<str>,
    concurrency: usize,
    lease: Duration,
    handler_time_limit: Duration,
    transaction_time_limit: Duration,
    backoff: Backoff,
    order: SessionOrder,
    max_crashes: u32,
    poll_interval: Duration,
}

impl<S: EventStore> WorkerBuilder<S> {
    /// Where the time for leases and retries comes from. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The name recorded with claims, for people who look. Defaults to `worker`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// How many events may be run at once. Defaults to 16.
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = events;
        self
    }

    /// How long a claim holds without renewal. It is renewed every third of this; after a crash, events that
    /// were running are taken over when it ends. Defaults to 15 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How long one run of one [transactional](Handlers::transactional) handler may take. Keep it below the lease: on
    /// SQLite no lease can be renewed while such a handler runs. Defaults to 10 s.
    pub fn transaction_time_limit(mut self, limit: Duration) -> Self {
        self.transaction_time_limit = limit;
        self
    }

    /// How long one run of one [plain](Handlers::plain) handler may take. Defaults to 60 s.
    pub fn handler_time_limit(mut self, limit: Duration) -> Self {
        self.handler_time_limit = limit;
        self
    }

    /// When to run a failed event again, and when to give up. Defaults to [`Backoff::default`].
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How events of one session follow each other. Defaults to [`SessionOrder::default`].
    pub fn order(mut self, order: SessionOrder) -> Self {
        self.order = order;
        self
    }

    /// After how many crashes while it was running an event becomes a dead letter. Defaults to 2.
    pub fn max_crashes(mut self, crashes: u32) -> Self {
        self.max_crashes = crashes;
        self
    }

    /// How often to look for work that nothing announced, such as events accepted by another process. Defaults
    /// to 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll_interval = interval;
        self
    }

    /// Checks the configuration and builds the worker.
    ///
    /// # Errors
    /// When there is no handler, two have the same name, or a limit is zero.
    pub fn build(self) -> Result<Worker<S>, ConfigError> {
        self.handlers.check()?;
        for (what, zero) in [
            ("concurrency", self.concurrency == 0),
            ("lease", self.lease < Duration::from_millis(3)),
            ("handler_time_limit", self.handler_time_limit.is_zero()),
            ("transaction_time_limit", self.transaction_time_limit.is_zero()),
            ("max_crashes", self.max_crashes == 0),
            ("max_failures of the back-off", self.backoff.max_failures == 0),
            ("poll_interval", self.poll_interval.is_zero()),
        ] {
            if zero {
                return Err(ConfigError::new(format!("the worker's {what} must not be zero")));
            }
        }
        Ok(Worker {
            process: Arc::new(Process {
                store: self.store,
                handlers: self.handlers,
                clock: self.clock,
                time_limit: self.handler_time_limit,
                transaction_time_limit: self.transaction_time_limit,
                backoff: self.backoff,
            }),
            name: self.name,
            concurrency: self.concurrency,
            lease: self.lease,
            order: self.order,
            max_crashes: self.max_crashes,
            poll_interval: self.poll_interval,
        })
    }
}

impl<S: EventStore> fmt::Debug for WorkerBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("handlers", &self.handlers)
            .finish_non_exhaustive()
    }
}
