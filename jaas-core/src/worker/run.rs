//! The loop of a running worker: claim, start, renew, stop.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::ahead::Ahead;
use super::held::Held;
use super::pace::Pace;
use super::session::{Ended, Session};
use super::turn::Turn;
use super::{StopReport, Worker};
use crate::backoff::Backoff;
use crate::store::hand_over::{HandOver, HandedOver};
use crate::store::{Claim, ClaimRequest, EventStore, Lease, NextClaim, NextDue, StoreError};
use crate::telemetry::{self, name, target};
use crate::timestamp::Timestamp;

/// How long aborted handlers may take to reach their next await.
const CUT_OFF: Duration = Duration::from_secs(5);

/// While more sessions wait than one claim returns, finished runs are collected for this long, so that many sessions
/// are claimed together.
const GATHER: Duration = Duration::from_millis(2);

/// How long after its event was settled a run may take to continue or to end.
const ENDS_WITHIN: Duration = Duration::from_millis(100);

/// The state of a running worker.
pub(super) struct Run<S: EventStore> {
    worker: Worker<S>,
    tasks: JoinSet<Ended>,
    held: Held,
    ahead: Ahead,
    hand_over: HandOver,
    handed_over: mpsc::UnboundedReceiver<HandedOver>,
    claiming: Option<BoxFuture<'static, Claimed>>,
    /// Whether the last claim left sessions that could run once others end.
    more_waits: bool,
    pace: Arc<Pace>,
    jitter: RandomState,
    /// When the last successful renewal began.
    renewed_at: Timestamp,
    /// How often the store has failed since it last responded.
    store_failures: u32,
    wakeups: watch::Receiver<u64>,
}

/// The result of a claim, with the slots it was made for.
struct Claimed {
    claims: Result<Vec<Claim>, StoreError>,
    slots: Vec<OwnedSemaphorePermit>,
    /// When to claim next; fetched only after a claim that did not use all slots.
    next_due: Option<Result<NextDue, StoreError>>,
}

/// The longest wait for the next try during an outage, however rarely the worker polls.
const LONGEST_WAIT_IN_OUTAGE: Duration = Duration::from_secs(5);

/// What the loop reacts to.
enum Signal {
    Claim,
    Room,
    Claimed(Claimed),
    Renew,
    HandedOver(HandedOver),
    Finished(Option<Ended>),
    Stop(Duration),
}

impl<S: EventStore> Run<S> {
    pub(super) fn new(worker: Worker<S>) -> Self {
        let wakeups = worker.process.store.wakeups();
        let renewed_at = worker.process.clock.now();
        let ahead = Ahead::new(worker.concurrency);
        let (hand_over, handed_over) =
            HandOver::new(worker.process.name.clone(), ahead.slots().clone(), worker.lease);
        worker.process.store.hand_over(hand_over.clone());
        Self {
            worker,
            tasks: JoinSet::new(),
            held: Held::default(),
            ahead,
            hand_over,
            handed_over,
            claiming: None,
            more_waits: true,
            pace: Arc::default(),
            jitter: RandomState::new(),
            renewed_at,
            store_failures: 0,
            wakeups,
        }
    }

    /// Works until `stop` resolves to the grace period.
    pub(super) async fn until(mut self, stop: impl Future<Output = Duration> + Send) -> StopReport {
        tokio::pin!(stop);
        let mut renewal = interval(self.worker.lease / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut next_claim = Instant::now();
        loop {
            let may_claim = self.claiming.is_none() && self.ahead.wants_more();
            let signal = tokio::select! {
                biased;
                grace = &mut stop => Signal::Stop(grace),
                Some(ended) = self.tasks.join_next_with_id() => Signal::Finished(self.ended(ended)),
                _ = renewal.tick() => Signal::Renew,
                Some(handed_over) = self.handed_over.recv() => Signal::HandedOver(handed_over),
                claimed = pending(&mut self.claiming), if self.claiming.is_some() => Signal::Claimed(claimed),
                () = sleep_until(next_claim), if may_claim => Signal::Claim,
                Ok(()) = self.wakeups.changed(), if may_claim && self.store_failures == 0 => Signal::Claim,
                // No task ends when the store takes a slot and does not use it.
                () = self.ahead.room(), if self.ahead.is_full() => Signal::Room,
            };
            match signal {
                Signal::Room => {}
                Signal::Stop(grace) => return self.stop(Instant::now() + grace, renewal).await,
                Signal::HandedOver(HandedOver { claim, slot, .. }) => self.handed_over(claim, slot),
                Signal::Finished(ended) => {
                    let worth_a_claim = self.more_waits || ended.is_none_or(|ended| !ended.settled);
                    if worth_a_claim && self.store_failures == 0 {
                        let gather = if self.tasks.is_empty() { Duration::ZERO } else { GATHER };
                        next_claim = next_claim.min(Instant::now() + gather);
                    }
                }
                Signal::Renew => {
                    let wait = tokio::select! {
                        biased;
                        wait = self.renew() => wait,
                        grace = &mut stop => return self.stop(Instant::now() + grace, renewal).await,
                    };
                    if let Some(wait) = wait {
                        next_claim = next_claim.min(Instant::now() + wait);
                    }
                }
                Signal::Claim => {
                    let begun = tokio::select! {
                        biased;
                        begun = self.begin_claim() => begun,
                        grace = &mut stop => return self.stop(Instant::now() + grace, renewal).await,
                    };
                    next_claim = Instant::now() + begun.unwrap_or(self.worker.poll_interval);
                }
                Signal::Claimed(claimed) => next_claim = Instant::now() + self.claimed(claimed),
            }
            self.pace.set_crowded(self.more_waits || self.held.len() > self.worker.concurrency);
        }
    }

    /// Starts the run of a session. Each of its handlers waits until one more may run.
    fn start(&mut self, claim: Claim, slot: OwnedSemaphorePermit) {
        let (process, pace) = (self.worker.process.clone(), self.pace.clone());
        let id = self.held.add(claim.lease);
        let held = self.held.clone();
        let next = NextClaim { lease: self.worker.lease, order: self.worker.order, following: 0 };
        let run = async move {
            let turn = Turn { run: id, next, pace: &pace, held: &held, began: Instant::now() };
            let ended = Session::new(&process, turn, claim.lease).run(claim).await;
            drop(slot);
            ended
        };
        let task = self.tasks.spawn(telemetry::heard(run));
        self.held.started(id, task);
    }

    fn handed_over(&mut self, claim: Claim, slot: OwnedSemaphorePermit) {
        let span = self.claim_span();
        span.record("claimed", 1);
        span.in_scope(|| log_claims(std::slice::from_ref(&claim)));
        self.start(claim, slot);
    }

    fn claim_span(&self) -> Span {
        tracing::debug_span!(
            target: target::WORK, parent: None, name::CLAIM, worker = &*self.worker.process.name, claimed = Empty,
        )
    }

    /// Removes a task that has ended; returns how it ended, unless it was aborted.
    fn ended(&mut self, ended: Result<(tokio::task::Id, Ended), JoinError>) -> Option<Ended> {
        match ended {
            Ok((_, ended)) => {
                self.held.remove(ended.run);
                self.ahead.observe(&ended);
                Some(ended)
            }
            Err(error) => {
                self.held.remove_task(error.id());
                None
            }
        }
    }

    /// Begins a claim with every free slot. Returns how long to wait if it cannot.
    async fn begin_claim(&mut self) -> Option<Duration> {
        self.wakeups.mark_unchanged();
        let process = self.worker.process.clone();
        let slots = self.ahead.take();
        if slots.is_empty() {
            // Events accepted meanwhile have taken the slots; the next free one is for an event that waits.
            self.hand_over.set_open(false);
            return Some(GATHER);
        }
        // After an outage, or when the clock jumped, leases of this worker may have expired. They are renewed first;
        // otherwise this claim would mistake the worker's own live work for crashed work.
        if process.clock.now().duration_since(self.renewed_at) > self.worker.lease / 2
            && let Some(wait) = self.renew().await
            && !wait.is_zero()
        {
            return Some(wait);
        }
        let request = ClaimRequest {
            now: process.clock.now(),
            limit: slots.len(),
            lease: self.worker.lease,
            worker: process.name.clone(),
            order: self.worker.order,
            max_crashes: self.worker.max_crashes,
        };
        let span = self.claim_span();
        let claim = async move {
            let claims = process.store.claim(&request).instrument(span.clone()).await;
            if let Ok(claims) = &claims {
                span.record("claimed", claims.len());
                span.in_scope(|| log_claims(claims));
            }
            let used_all = claims.as_ref().is_ok_and(|claims| claims.len() == slots.len());
            let next_due = if claims.is_ok() && !used_all {
                Some(process.store.next_due(request.now).await)
            } else {
                None
            };
            Claimed { claims, slots, next_due }
        };
        self.claiming = Some(claim.boxed());
        None
    }

    /// Takes the claims; returns how long to wait before claiming again.
    fn claimed(&mut self, Claimed { claims, mut slots, next_due }: Claimed) -> Duration {
        self.claiming = None;
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => return self.unavailable(&error),
        };
        self.available();
        let full = claims.len() == slots.len();
        let used = claims.len().min(slots.len());
        for (claim, slot) in claims.into_iter().zip(slots.drain(..used)) {
            self.start(claim, slot);
        }
        drop(slots);
        self.more_waits = full;
        // The store may hand over new events only if they overtake none that could be claimed.
        self.hand_over.set_open(!full && self.worker.order.settle_window.is_zero());
        let poll = self.jittered(self.worker.poll_interval);
        match next_due {
            // More is claimed as soon as there is room.
            None => Duration::ZERO,
            Some(Ok(due)) => {
                self.more_waits = due.held_back;
                due.after.map_or(poll, |after| after.min(poll))
            }
            Some(Err(error)) => self.unavailable(&error),
        }
    }

    /// Between three quarters and all of this, so that many workers do not poll at the same time.
    fn jittered(&self, interval: Duration) -> Duration {
        let share = self.jitter.hash_one(Instant::now()) % 1024;
        interval - interval.mul_f64(share as f64 / 4096.0)
    }

    /// Renews the leases that are held. If the store failed or has recovered, returns how long to wait before claiming.
    async fn renew(&mut self) -> Option<Duration> {
        let process = self.worker.process.clone();
        let now = process.clock.now();
        let leases = self.held.leases();
        if leases.is_empty() {
            self.renewed_at = now;
            return None;
        }
        match process.store.renew(&leases, now, self.worker.lease).await {
            Ok(lost) => {
                self.renewed_at = now;
                abort_lost(&self.held, &lost).await;
                self.available().then_some(Duration::ZERO)
            }
            Err(error) => Some(self.unavailable(&error)),
        }
    }

    /// Stops claiming, waits for running handlers until the deadline, aborts the others, and releases their events.
    async fn stop(mut self, deadline: Instant, mut renewal: tokio::time::Interval) -> StopReport {
        self.pace.stop();
        let mut stopped = StopReport::default();
        if let Some(claiming) = self.claiming.take()
            // Without this wait, nobody would run the sessions that the claim returns until their leases end.
            && let Ok(Claimed { claims: Ok(claims), slots, .. }) = timeout_at(deadline, claiming).await
        {
            for (claim, slot) in claims.into_iter().zip(slots) {
                self.start(claim, slot);
            }
        }
        // Events that the store has already handed over run if a handler is free.
        self.handed_over.close();
        while let Some(HandedOver { claim, slot, .. }) = self.handed_over.recv().await {
            self.handed_over(claim, slot);
        }
        // The runs just started begin if a handler is free; the others are given back.
        tokio::task::yield_now().await;
        let unstarted = self.held.take_unbegun();
        let process = self.worker.process.clone();
        if !unstarted.is_empty() {
            let given_back = process.store.give_back(&unstarted, process.clock.now());
            if let Ok(Err(error)) = timeout_at(deadline.max(Instant::now() + CUT_OFF), given_back).await {
                tracing::warn!(target: target::WORK, %error, events = unstarted.len(), "claims not given back; their events run when their leases end");
            }
        }
        while self.held.len() > 0 {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next_with_id() => {
                    stopped.drained += self.ended(ended).map_or(0, |ended| ended.events);
                }
                () = sleep_until(deadline) => break,
                _ = renewal.tick() => {
                    let _ = timeout_at(deadline, self.renew()).await;
                }
            }
        }
        stopped.interrupted = self.held.len();
        if tokio::time::timeout(CUT_OFF, self.tasks.shutdown()).await.is_err() {
            // Giving back an event that still runs would let another worker run it at the same time.
            tracing::error!(target: target::WORK, worker = %self.worker.process.name, "a handler blocks its thread and cannot be aborted; its event runs again when its lease ends");
            return stopped;
        }
        let leases = self.held.leases();
        if !leases.is_empty()
            && let Err(error) = process.store.release(&leases, process.clock.now()).await
        {
            tracing::warn!(target: target::WORK, %error, events = leases.len(), "events not released; they run again when their leases end");
        }
        tracing::info!(target: target::WORK, worker = %self.worker.process.name, drained = stopped.drained, interrupted = stopped.interrupted, "worker stopped");
        stopped
    }

    /// Records that the store failed, logs it once, and returns how long to wait.
    fn unavailable(&mut self, error: &StoreError) -> Duration {
        self.store_failures = self.store_failures.saturating_add(1);
        let failures = self.store_failures;
        if failures == 1 {
            tracing::error!(target: target::WORK, worker = %self.worker.process.name, %error, "store unavailable; retrying until it recovers");
        }
        let backoff = Backoff::default()
            .initial_delay(Duration::from_millis(100))
            .max_delay(self.worker.poll_interval.min(LONGEST_WAIT_IN_OUTAGE));
        backoff.delay(failures, 0)
    }

    /// Records that the store responds; returns whether an outage ended.
    fn available(&mut self) -> bool {
        let failures = std::mem::take(&mut self.store_failures);
        if failures == 0 {
            return false;
        }
        tracing::info!(target: target::WORK, worker = %self.worker.process.name, failures, "store available again; claiming continues");
        true
    }
}

/// Aborts the runs that have lost their lease.
async fn abort_lost(held: &Held, lost: &[Lease]) {
    // An event that has just been settled shows up here too. Its run continues or ends in a moment.
    let started = Instant::now();
    while held.any_runs(lost) && started.elapsed() < ENDS_WITHIN {
        tokio::time::sleep(ENDS_WITHIN / 50).await;
    }
    for lease in lost {
        // Logged once, however long the task takes to end; there is nothing left to renew or to give back.
        if let Some(task) = held.lose(*lease) {
            log_lost_lease(*lease, "lease lost; the handler is aborted");
            telemetry::LEASES_LOST.add(1, []);
            task.abort();
        }
    }
}

/// The claim in flight. Polled only while there is one.
async fn pending(claiming: &mut Option<BoxFuture<'static, Claimed>>) -> Claimed {
    match claiming {
        Some(claiming) => claiming.await,
        None => std::future::pending().await,
    }
}

fn log_lost_lease(lease: Lease, message: &'static str) {
    tracing::warn!(target: target::WORK, event = %lease.event, fence = lease.fence, "{message}");
}

/// Logs which events were claimed, inside the span of their claim. The idempotency key is in the span of the run with
/// the same event and fence, where the envelope is parsed.
fn log_claims(claims: &[Claim]) {
    for Claim { lease, .. } in claims {
        tracing::debug!(target: target::WORK, event = %lease.event, fence = lease.fence, "claimed");
    }
}
