//! The loop of a running worker: claim, renew, stop.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::{Stopped, Worker};
use crate::Timestamp;
use crate::backoff::Backoff;
use crate::store::{ClaimRequest, EventStore, Lease, StoreError};

/// How long handlers that are cut off may take to reach their next await.
const CUT_OFF: Duration = Duration::from_secs(5);

/// The state of a running worker.
pub(super) struct Run<S: EventStore> {
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
    pub(super) fn new(worker: Worker<S>) -> Self {
        let wakeups = worker.process.store.wakeups();
        let renewed_at = worker.process.clock.now();
        Self { worker, tasks: JoinSet::new(), held: HashMap::new(), renewed_at, outage: None, wakeups }
    }

    /// Works until `stop` resolves to the grace period.
    pub(super) async fn until(mut self, stop: impl Future<Output = Duration> + Send) -> Stopped {
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
