//! What a worker does with a claimed session: its events, one after the other.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, Span};

use super::held::{Held, RunId};
use super::pace::Pace;
use crate::attempt::{self, Watched};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::delivery::{Delivery, Unreadable};
use crate::event::{Event, EventKind};
use crate::handler::{Handled, HandlerError, HandlerResult, Next};
use crate::handlers::{Handlers, Mode, Mounted};
use crate::store::{Claim, EventStore, Failure, Lease, NextClaim, Step, StoreError, StoreErrorKind, TxWork};
use crate::telemetry::{self, Escaped, GivenUp, Outcome, TracePropagator, name, target};

pub(super) struct Process<S: EventStore> {
    pub(super) store: S,
    pub(super) handlers: Handlers<S::Tx>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) time_limit: Duration,
    pub(super) transaction_time_limit: Duration,
    pub(super) backoff: Backoff,
    pub(super) hold_failures: u32,
    /// One for each handler that may run at once.
    pub(super) running: Semaphore,
    pub(super) name: Arc<str>,
    pub(super) propagator: Option<Arc<dyn TracePropagator>>,
}

/// What the run of a session knows of the worker around it.
struct Turn<'a> {
    run: RunId,
    next: NextClaim,
    pace: &'a Pace,
    held: &'a Held,
    began: Instant,
}

impl Turn<'_> {
    /// Whether to claim the session's next event with the settling of this one, and how.
    fn next(&self) -> Option<NextClaim> {
        Some(self.next).filter(|_| self.pace.goes_on(self.began.elapsed()))
    }
}

/// How the run of a session ended.
pub(super) struct Ended {
    pub(super) run: RunId,
    /// How many events were run.
    pub(super) events: usize,
    /// Whether nothing more happens to the last of them.
    pub(super) settled: bool,
    /// How long the run took.
    pub(super) took: Duration,
}

/// How the run of one event ended.
struct Settled {
    /// Whether nothing more happens to the event.
    settled: bool,
    /// The next event of the session.
    next: Option<Claim>,
}

/// How long to wait between two tries to record an outcome while the store is unavailable.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

impl<S: EventStore> Process<S> {
    /// Runs the claimed event of a session and, as long as it may go on, those that follow it.
    pub(super) async fn run_session(
        &self,
        run: RunId,
        mut claim: Claim,
        next: NextClaim,
        pace: &Pace,
        held: &Held,
    ) -> Ended {
        let began = Instant::now();
        let mut events = 0;
        loop {
            events += 1;
            let turn = Turn { run, next, pace, held, began };
            let Settled { settled, next } = self.run_event(claim, &turn).await;
            match next {
                Some(following) => {
                    held.go_on(run, following.lease);
                    claim = following;
                }
                None => return Ended { run, events, settled, took: began.elapsed() },
            }
        }
    }

    /// Runs the handlers that are not yet done with the event, and records how it ended.
    async fn run_event(&self, claim: Claim, turn: &Turn<'_>) -> Settled {
        let lease = claim.lease;
        let read = Delivery::read(claim.endpoint.clone(), claim.received_at, Bytes::clone(&claim.body))
            .map(|delivery| delivery.with_attempt(claim.attempt()).with_trace(claim.trace.clone()));
        let span = self.span(&claim, read.as_ref().ok());
        let settled = async {
            self.process(claim, read, turn).await.unwrap_or_else(|error| {
                log_unrecorded(lease, &error);
                Settled { settled: false, next: None }
            })
        };
        settled.instrument(span).await
    }

    /// A span for this run, in the trace that the event came in.
    fn span(&self, claim: &Claim, delivery: Option<&Delivery>) -> Span {
        let envelope = delivery.map(|delivery| &delivery.envelope);
        let span = tracing::info_span!(
            target: target::WORK, parent: None, name::EVENT, event = claim.lease.event.get(), endpoint = &*claim.endpoint,
            key = envelope.map(|envelope| display(Escaped(&envelope.idempotency_key))),
            event_type = envelope.map(|envelope| display(Escaped(&envelope.event_type))),
            attempt = claim.attempt(), worker = &*self.name, fence = claim.lease.fence,
            trace_id = telemetry::trace_id(claim.trace.as_ref()),
        );
        if let (Some(propagator), Some(trace)) = (&self.propagator, &claim.trace) {
            propagator.extract(&span, trace);
        }
        span
    }

    /// Runs each handler that is not done yet.
    async fn process(
        &self,
        claim: Claim,
        read: Result<Delivery, Unreadable>,
        turn: &Turn<'_>,
    ) -> Result<Settled, StoreError> {
        let lease = claim.lease;
        let delivery = match read {
            Ok(delivery) => Arc::new(delivery),
            Err(unreadable) => return self.unreadable(&claim, &unreadable, turn).await,
        };
        let kind = delivery.envelope.kind;
        if delivery.attempt == 1 {
            let waited = self.clock.now().duration_since(claim.received_at);
            telemetry::WAIT_SECONDS.record(waited.as_secs_f64(), [kind.as_str().into()]);
        }
        let event = Arc::new(telemetry::decoded(&delivery));
        let todo: Vec<_> = self
            .handlers
            .iter()
            .filter(|mounted| !claim.completed.iter().any(|done| **done == *mounted.name))
            .collect();
        let mut next = None;
        if todo.is_empty() {
            // Every handler of today is done, and one that was to settle the event is not mounted any more.
            let step = Step { handler: "".into(), last: true, next: turn.next() };
            next = self.complete(lease, &step, &Handled::ignored("every handler is done")).await?;
        }
        let mut failures = Vec::new();
        let mut outcome = if claim.completed.is_empty() { Outcome::Ignored } else { Outcome::Handled };
        for (index, mounted) in todo.iter().enumerate() {
            let last = failures.is_empty() && index + 1 == todo.len();
            let (result, following) = self.step(lease, last, mounted, &delivery, &event, turn).await?;
            next = following;
            match result {
                Ok(Handled::Done) => outcome = Outcome::Handled,
                Ok(Handled::Ignored(_)) => {}
                Err(error) => failures.push((mounted.name.clone(), error)),
            }
        }
        if failures.is_empty() {
            tracing::debug!(
                target: target::WORK, event = %lease.event, event_type = %Escaped(&delivery.envelope.event_type),
                key = %Escaped(&delivery.envelope.idempotency_key), attempt = delivery.attempt, outcome = outcome.as_str(), "settled",
            );
            telemetry::ended(kind, outcome, delivery.attempt);
            return Ok(Settled { settled: true, next });
        }
        self.failed(&claim, &delivery, &failures, turn).await
    }

    async fn unreadable(
        &self,
        claim: &Claim,
        unreadable: &Unreadable,
        turn: &Turn<'_>,
    ) -> Result<Settled, StoreError> {
        let error = format!("the stored body cannot be read any more: {}", unreadable.reason);
        tracing::error!(target: target::WORK, event = %claim.lease.event, error = %Escaped(&error), "dead letter");
        let failure = Failure { error, retry_in: None, passable: false, next: turn.next() };
        let next = self.fail(claim.lease, &failure).await?;
        telemetry::ended(EventKind::Unknown, Outcome::Dead(GivenUp::Unreadable), claim.attempt());
        Ok(Settled { settled: true, next })
    }

    /// Runs one handler and records its success. The outer error is the store's, the inner the handler's.
    async fn step(
        &self,
        lease: Lease,
        last: bool,
        mounted: &Mounted<S::Tx>,
        delivery: &Arc<Delivery>,
        event: &Arc<Event>,
        turn: &Turn<'_>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError> {
        let step = || Step { handler: mounted.name.clone(), last, next: turn.next().filter(|_| last) };
        let watched = Watched::new(&mounted.name, mounted.handler.as_str());
        match &mounted.handler {
            Mode::Plain(handler) => {
                let place = self.place(turn).await;
                let result =
                    attempt::run(watched, &**handler, delivery, event, &mut (), self.time_limit).await;
                // What is recorded is not what runs: others may while this is committed, and be committed with it.
                drop(place);
                let next = match &result {
                    Ok(handled) => self.complete(lease, &step(), handled).await?,
                    Err(_) => None,
                };
                Ok((result, next))
            }
            Mode::Transactional(handler) => {
                let _place = self.place(turn).await;
                let (handler, delivery, event, limit) =
                    (handler.clone(), delivery.clone(), event.clone(), self.transaction_time_limit);
                // A store may run it on a thread of its own, where the subscriber may be another one.
                let subscriber = tracing::dispatcher::get_default(Clone::clone);
                let work: TxWork<S::Tx> = Box::new(move |tx| {
                    let run =
                        async move { attempt::run(watched, &*handler, &delivery, &event, tx, limit).await };
                    Box::pin(run.with_subscriber(subscriber))
                });
                match self.store.run(lease, &step(), self.clock.now(), work).await {
                    Err(error) if error.kind() == StoreErrorKind::Refused => {
                        Ok((Err(HandlerError::retry(error)), None))
                    }
                    Err(error) if error.kind() == StoreErrorKind::TransactionEnded => {
                        Ok((Err(HandlerError::permanent(error)), None))
                    }
                    Err(error) if error.is_transient() => {
                        // Whether it was committed is not known. If it was, the lease is gone and this does
                        // nothing; if not, the event waits again, and no failure of the handler is counted.
                        // Not at once, because it would be claimed at once too.
                        tokio::time::sleep(RECORD_AGAIN).await;
                        self.recorded(|| self.store.release(std::slice::from_ref(&lease), self.clock.now()))
                            .await?;
                        Err(error)
                    }
                    result => result,
                }
            }
        }
    }

    /// Waits until one more handler may run.
    async fn place(&self, turn: &Turn<'_>) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        let place = self.running.acquire().await.ok();
        if !turn.held.begin(turn.run) {
            // Its event is given back, and this task is about to be cut off.
            std::future::pending::<()>().await;
        }
        place
    }

    async fn failed(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        failures: &[(Arc<str>, HandlerError)],
        turn: &Turn<'_>,
    ) -> Result<Settled, StoreError> {
        let count = claim.failures.saturating_add(1);
        let wait = failures
            .iter()
            .filter_map(|(_, error)| match error.next() {
                Next::Retry => Some(self.backoff.delay(count, claim.lease.event.get().unsigned_abs())),
                Next::RetryAfter(delay) => Some(delay.min(self.backoff.max)),
                Next::DeadLetter => None,
            })
            .max();
        let mut error = failures
            .iter()
            .map(|(handler, error)| format!("{handler}: {}", attempt::error_text(error)))
            .collect::<Vec<_>>()
            .join("; ");
        let exhausted = wait.is_some() && count >= self.backoff.max_failures;
        if exhausted {
            error = format!("given up after {count} failures; the last: {error}");
        }
        let wait = wait.filter(|_| !exhausted);
        let (event_type, key) =
            (Escaped(&delivery.envelope.event_type), Escaped(&delivery.envelope.idempotency_key));
        let outcome = match wait {
            Some(wait) => {
                tracing::warn!(target: target::WORK, event = %claim.lease.event, %event_type, %key, attempt = delivery.attempt, ?wait, error = %Escaped(&error), "handler failed; it will be run again");
                Outcome::Retry
            }
            None => {
                tracing::error!(target: target::WORK, event = %claim.lease.event, %event_type, %key, attempt = delivery.attempt, error = %Escaped(&error), "handler failed for good; dead letter");
                Outcome::Dead(if exhausted { GivenUp::Exhausted } else { GivenUp::Permanent })
            }
        };
        let passable = count >= self.hold_failures;
        let next =
            self.fail(claim.lease, &Failure { error, retry_in: wait, passable, next: turn.next() }).await?;
        telemetry::ended(delivery.envelope.kind, outcome, delivery.attempt);
        Ok(Settled { settled: wait.is_none(), next })
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
    ) -> Result<Option<Claim>, StoreError> {
        self.recorded(|| self.store.complete(lease, step, handled, self.clock.now())).await
    }

    async fn fail(&self, lease: Lease, failure: &Failure) -> Result<Option<Claim>, StoreError> {
        self.recorded(|| self.store.fail(lease, failure, self.clock.now())).await
    }

    /// Tries until the store answers: what has happened must not be forgotten because of an outage. It ends
    /// when the lease turns out to be lost, or the worker stops and cuts it off.
    async fn recorded<T, F>(&self, record: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        loop {
            match record().await {
                Err(error) if error.is_transient() => tokio::time::sleep(RECORD_AGAIN).await,
                result => return result,
            }
        }
    }
}

fn log_unrecorded(lease: Lease, error: &StoreError) {
    match error.kind() {
        StoreErrorKind::StaleLease => {
            tracing::warn!(target: target::WORK, event = %lease.event, error = %Escaped(error), "not recorded: another worker has taken over");
        }
        _ => {
            tracing::error!(target: target::WORK, event = %lease.event, error = %Escaped(error), "not recorded; the event will be run again");
        }
    }
}
