//! The loop of a running worker: claim, renew, stop.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::process::Ended;
use super::{Stopped, Worker};
use crate::Timestamp;
use crate::backoff::Backoff;
use crate::envelope::Envelope;
use crate::store::{Claim, ClaimRequest, EventStore, HandOver, HandedOver, Lease, StoreError};
use crate::telemetry::{self, name, target};

/// How long handlers that are cut off may take to reach their next await.
const CUT_OFF: Duration = Duration::from_secs(5);

/// While more waits than can be claimed at once, finished handlers are gathered for so long, so that many events
/// are claimed together.
const GATHER: Duration = Duration::from_millis(2);

/// How long after its event was settled a task may take to end.
const ENDS_WITHIN: Duration = Duration::from_millis(100);

/// The state of a running worker.
pub(super) struct Run<S: EventStore> {
    worker: Worker<S>,
    tasks: JoinSet<Ended>,
    held: HashMap<Lease, AbortHandle>,
    /// One for each event that may run at once.
    slots: Arc<Semaphore>,
    hand_over: HandOver,
    handed_over: mpsc::UnboundedReceiver<HandedOver>,
    /// Whether the last claim left events that could be run once others end.
    more_waits: bool,
    jitter: RandomState,
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
    Room,
    Renew,
    Start(HandedOver),
    Finished(Option<Ended>),
    Stop(Duration),
}

impl<S: EventStore> Run<S> {
    pub(super) fn new(worker: Worker<S>) -> Self {
        let wakeups = worker.process.store.wakeups();
        let renewed_at = worker.process.clock.now();
        let slots = Arc::new(Semaphore::new(worker.concurrency));
        let (hand_over, handed_over) =
            HandOver::new(worker.process.name.clone(), slots.clone(), worker.lease);
        worker.process.store.hand_over(hand_over.clone());
        Self {
            worker,
            tasks: JoinSet::new(),
            held: HashMap::new(),
            slots,
            hand_over,
            handed_over,
            more_waits: true,
            jitter: RandomState::new(),
            renewed_at,
            outage: None,
            wakeups,
        }
    }

    /// Works until `stop` resolves to the grace period.
    pub(super) async fn until(mut self, stop: impl Future<Output = Duration> + Send) -> Stopped {
        tokio::pin!(stop);
        let mut renewal = interval(self.worker.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_claim = Instant::now();
        loop {
            let may_claim = self.slots.available_permits() > 0;
            let turn = tokio::select! {
                biased;
                grace = &mut stop => Turn::Stop(grace),
                Some(ended) = self.tasks.join_next_with_id() => Turn::Finished(self.ended(ended)),
                _ = renewal.tick() => Turn::Renew,
                Some(handed_over) = self.handed_over.recv() => Turn::Start(handed_over),
                () = sleep_until(next_claim), if may_claim => Turn::Claim,
                Ok(()) = self.wakeups.changed(), if may_claim && self.outage.is_none() => Turn::Claim,
                // No task ends when the store takes a slot and does not use it.
                Ok(_) = self.slots.clone().acquire_owned(), if !may_claim => Turn::Room,
            };
            match turn {
                Turn::Room => {}
                Turn::Stop(grace) => return self.stop(Instant::now() + grace, renewal).await,
                Turn::Start(handed_over) => self.start_handed_over(handed_over),
                Turn::Finished(ended) => {
                    // Otherwise nothing that waits can be run because of it.
                    let worth_a_claim = self.more_waits || ended.is_none_or(|ended| !ended.settled);
                    if worth_a_claim && self.outage.is_none() {
                        let most_run = self.slots.available_permits() < self.worker.concurrency.div_ceil(2);
                        let gather = if most_run { GATHER } else { Duration::ZERO };
                        next_claim = next_claim.min(Instant::now() + gather);
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

    fn start(&mut self, claim: Claim, slot: OwnedSemaphorePermit) {
        let (lease, process) = (claim.lease, self.worker.process.clone());
        let run = async move {
            let ended = process.run(claim).await;
            drop(slot);
            ended
        };
        let task = self.tasks.spawn(telemetry::heard(run));
        self.held.insert(lease, task);
    }

    fn start_handed_over(&mut self, HandedOver { claim, slot, .. }: HandedOver) {
        let span = self.claim_span();
        span.record("claimed", 1);
        span.in_scope(|| tell(std::slice::from_ref(&claim)));
        self.start(claim, slot);
    }

    fn claim_span(&self) -> Span {
        tracing::debug_span!(
            target: target::WORK, parent: None, name::CLAIM, worker = &*self.worker.process.name, claimed = Empty,
        )
    }

    /// Forgets a task that has ended; answers how, unless it was cut off.
    fn ended(&mut self, ended: Result<(tokio::task::Id, Ended), JoinError>) -> Option<Ended> {
        match ended {
            Ok((_, ended)) => {
                self.held.remove(&ended.lease);
                Some(ended)
            }
            Err(error) => {
                self.held.retain(|_, task| task.id() != error.id());
                None
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

    /// Claims and starts what may be run; answers how long to wait before claiming again.
    async fn claim(&mut self) -> Duration {
        self.wakeups.mark_unchanged();
        let process = self.worker.process.clone();
        let mut slots = Vec::new();
        while let Ok(slot) = self.slots.clone().try_acquire_owned() {
            slots.push(slot);
        }
        let limit = slots.len();
        if limit == 0 {
            // What was accepted meanwhile has taken them; the next one that is free is for what waits.
            self.hand_over.set_open(false);
            return GATHER;
        }
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
            worker: process.name.clone(),
            order: self.worker.order,
            max_crashes: self.worker.max_crashes,
        };
        let span = self.claim_span();
        let claims = match process.store.claim(&request).instrument(span.clone()).await {
            Ok(claims) => claims,
            Err(error) => return self.unavailable(&error),
        };
        self.available();
        let full = claims.len() == limit;
        span.record("claimed", claims.len());
        span.in_scope(|| tell(&claims));
        for (claim, slot) in claims.into_iter().zip(slots.drain(..limit)) {
            self.start(claim, slot);
        }
        drop(slots);
        self.more_waits = full;
        // New events may come directly when they overtake none that could be claimed.
        self.hand_over.set_open(!full && self.worker.order.settle_window.is_zero());
        let poll = self.jittered(self.worker.poll_interval);
        if full {
            // Room for more comes with a finished task, after which it is claimed again.
            return poll;
        }
        match process.store.next_due(now, self.worker.order).await {
            Ok(due) => {
                self.more_waits = due.held_back;
                due.after.map_or(poll, |after| after.min(poll))
            }
            Err(error) => self.unavailable(&error),
        }
    }

    /// Three quarters of this, up to all of it, so that many workers do not ask at the same time.
    fn jittered(&self, interval: Duration) -> Duration {
        let share = self.jitter.hash_one(Instant::now()) % 1024;
        interval - interval.mul_f64(share as f64 / 4096.0)
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
        match process.store.renew(&leases, now, self.worker.lease).await {
            Ok(lost) => {
                self.renewed_at = now;
                // An event that has just been settled shows up here too. Its task ends in a moment.
                let started = Instant::now();
                let ends = |lease: &Lease| self.held.get(lease).is_none_or(AbortHandle::is_finished);
                while !lost.iter().all(ends) && started.elapsed() < ENDS_WITHIN {
                    tokio::time::sleep(ENDS_WITHIN / 50).await;
                }
                for lease in lost {
                    // Told once, however long the task takes to end; there is nothing left to renew or to give back.
                    if let Some(task) = self.held.remove(&lease).filter(|task| !task.is_finished()) {
                        tracing::warn!(target: target::WORK, event = %lease.event, fence = lease.fence, "lease lost; its handler is cut off");
                        telemetry::LEASES_LOST.add(1, []);
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
        // What the store has given already is run; what it still has, it leaves to others.
        self.handed_over.close();
        while let Some(handed_over) = self.handed_over.recv().await {
            self.start_handed_over(handed_over);
        }
        while !self.held.is_empty() {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => {
                    stopped.drained += usize::from(self.ended(ended).is_some());
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
            tracing::error!(target: target::WORK, worker = %self.worker.process.name, "a handler blocks its thread and cannot be cut off; its event is run again when its lease ends");
            return stopped;
        }
        let leases: Vec<Lease> = self.held.keys().copied().collect();
        let process = &self.worker.process;
        if !leases.is_empty()
            && let Err(error) = process.store.release(&leases, process.clock.now()).await
        {
            tracing::warn!(target: target::WORK, %error, events = leases.len(), "not given back; they are run again when their leases end");
        }
        tracing::info!(target: target::WORK, worker = %self.worker.process.name, drained = stopped.drained, interrupted = stopped.interrupted, "worker stopped");
        stopped
    }

    /// Notes that the store does not answer, says so once, and answers how long to wait.
    fn unavailable(&mut self, error: &StoreError) -> Duration {
        let failures = self.outage.as_ref().map_or(0, |outage| outage.failures).saturating_add(1);
        if failures == 1 {
            tracing::error!(target: target::WORK, worker = %self.worker.process.name, %error, "the store does not answer; waiting for it");
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
        tracing::info!(target: target::WORK, worker = %self.worker.process.name, failures = outage.failures, "the store answers again");
        true
    }
}

/// Tells which events were claimed, inside the span of their claim.
fn tell(claims: &[Claim]) {
    if !tracing::enabled!(target: target::WORK, tracing::Level::DEBUG) {
        return;
    }
    for Claim { lease, body, .. } in claims {
        // Read here for this line alone; whoever runs the event reads it again.
        let envelope = Envelope::read(body).ok();
        let key = envelope.as_ref().map(|envelope| envelope.idempotency_key.as_str());
        tracing::debug!(target: target::WORK, event = %lease.event, fence = lease.fence, key, "claimed");
    }
}
