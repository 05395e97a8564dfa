//! What a worker does with an event: it runs the handlers, and records the outcome.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, Span};

use super::turn::Turn;
use crate::attempt::{self, Watched};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::delivery::{Delivery, Unreadable};
use crate::event::EventKind;
use crate::handler::{Handled, HandlerError, HandlerResult, Retry};
use crate::handlers::{Handlers, Mode};
use crate::store::{
    Claim, Completion, EventStore, Failure, Lease, NextClaim, Step, StoreError, StoreErrorKind, TxWork,
};
use crate::telemetry::{self, DeadReason, Escaped, Outcome, TracePropagator, name, target};

/// What all runs of a worker share: its store, handlers and settings.
pub(super) struct Process<S: EventStore> {
    pub(super) store: S,
    pub(super) handlers: Handlers<S::Tx>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Duration,
    pub(super) transaction_timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) hold_failures: u32,
    /// One permit for each handler that may run at the same time.
    pub(super) running: Semaphore,
    pub(super) name: Arc<str>,
    pub(super) propagator: Option<Arc<dyn TracePropagator>>,
}

/// The pause between two tries to record an outcome while the store is unavailable.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

/// The result of running the handlers of an event.
pub(super) enum Ran {
    /// All of them are done; the last result is not recorded yet.
    Done(Done),
    /// All of them are done, and that was committed together with the effects of the last one.
    Recorded(Done, Option<Claim>),
    /// The event failed; the failure is not recorded yet.
    Failed(Failed),
    /// The result of a handler could not be recorded.
    NotRecorded,
}

/// An event with which all handlers are done.
pub(super) struct Done {
    pub(super) completion: Completion,
    outcome: Outcome,
    delivery: Arc<Delivery>,
    span: Span,
}

impl Done {
    /// Logs and counts the event, once its outcome is recorded.
    pub(super) fn report(self) {
        let Self { completion, outcome, delivery, span } = self;
        let (event_type, key) =
            (Escaped(&delivery.envelope.event_type), Escaped(&delivery.envelope.idempotency_key));
        span.in_scope(|| {
            tracing::debug!(
                target: target::WORK, event = %completion.lease.event, %event_type, %key, attempt = delivery.attempt,
                outcome = outcome.as_str(), "settled",
            );
        });
        telemetry::ended(delivery.envelope.kind, outcome, delivery.attempt);
    }
}

/// An event that failed.
pub(super) struct Failed {
    pub(super) lease: Lease,
    /// Results of handlers that are not recorded yet.
    done: Vec<(Arc<str>, Handled)>,
    failure: Failure,
    outcome: Outcome,
    kind: EventKind,
    attempt: u32,
    span: Span,
}

impl<S: EventStore> Process<S> {
    /// Whether handlers may run before earlier results are recorded: not if their effects are committed together with
    /// them.
    pub(super) fn runs_ahead(&self) -> bool {
        self.handlers.iter().all(|mounted| matches!(mounted.handler, Mode::Plain(_)))
    }

    /// Runs the handlers that are not yet done with the event. When it runs `ahead`, the store does not know yet that
    /// this worker has the event, so nothing is recorded on the way.
    pub(super) async fn run_event(&self, claim: Claim, turn: &Turn<'_>, ahead: bool) -> Ran {
        let lease = claim.lease;
        let parsed = Delivery::parse(claim.endpoint.clone(), claim.received_at, Bytes::clone(&claim.body))
            .map(|delivery| delivery.with_attempt(claim.attempt()).with_trace(claim.trace.clone()));
        let span = self.span(&claim, parsed.as_ref().ok());
        let ran = async {
            self.process(claim, parsed, turn, ahead).await.unwrap_or_else(|error| {
                log_unrecorded(lease, &error);
                Ran::NotRecorded
            })
        };
        ran.instrument(span).await
    }

    /// Creates a span for this run, in the trace that the event belongs to.
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
        parsed: Result<Delivery, Unreadable>,
        turn: &Turn<'_>,
        ahead: bool,
    ) -> Result<Ran, StoreError> {
        let lease = claim.lease;
        let delivery = match parsed {
            Ok(delivery) => Arc::new(delivery),
            Err(unreadable) => return Ok(Ran::Failed(unreadable_body(&claim, &unreadable))),
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
        let mut unrecorded: Vec<(Arc<str>, Handled)> = Vec::new();
        if todo.is_empty() {
            // Every current handler is done, and the one that was to settle the event is no longer mounted.
            unrecorded.push(("".into(), Handled::ignored("every handler is done")));
        }
        let mut committed = None;
        let mut failures = Vec::new();
        let mut outcome = if claim.completed.is_empty() { Outcome::Ignored } else { Outcome::Handled };
        for (index, mounted) in todo.iter().enumerate() {
            let last = failures.is_empty() && index + 1 == todo.len();
            let watched = Watched::new(&mounted.seconds, mounted.handler.as_str());
            let result = match &mounted.handler {
                Mode::Plain(handler) => {
                    let limit = mounted.timeout.unwrap_or(self.timeout);
                    let place = self.place(turn).await;
                    let result = attempt::run(watched, &**handler, &delivery, &event, &mut (), limit).await;
                    // Another handler can run while recording this result waits for its commit.
                    drop(place);
                    if let Ok(handled) = &result {
                        if last || ahead {
                            unrecorded.push((mounted.name.clone(), handled.clone()));
                        } else {
                            self.record_step(lease, &mounted.name, handled).await?;
                        }
                    }
                    result
                }
                Mode::Transactional(handler) => {
                    let limit = mounted.timeout.unwrap_or(self.transaction_timeout);
                    let (handler, delivery, event) = (handler.clone(), delivery.clone(), event.clone());
                    // A store may run it on another thread, where the subscriber may be a different one.
                    let subscriber = tracing::dispatcher::get_default(Clone::clone);
                    let work: TxWork<S::Tx> = Box::new(move |tx| {
                        let run = async move {
                            attempt::run(watched, &*handler, &delivery, &event, tx, limit).await
                        };
                        Box::pin(run.with_subscriber(subscriber))
                    });
                    let step =
                        Step { handler: mounted.name.clone(), last, next: turn.next(0).filter(|_| last) };
                    let (result, next) = self.in_transaction(lease, &step, work, turn).await?;
                    committed = (last && result.is_ok()).then_some(next);
                    result
                }
            };
            match result {
                Ok(Handled::Done) => outcome = Outcome::Handled,
                Ok(Handled::Ignored(_)) => {}
                Err(error) => failures.push((mounted.name.clone(), error)),
            }
        }
        if !failures.is_empty() {
            return Ok(Ran::Failed(self.failed(&claim, &delivery, &failures, unrecorded)));
        }
        let completion = Completion { lease, handled: unrecorded };
        let done = Done { completion, outcome, delivery, span: Span::current() };
        Ok(match committed {
            Some(next) => Ran::Recorded(done, next),
            None => Ran::Done(done),
        })
    }

    /// Runs a handler in a transaction and records its success there. The outer error is the store's, the inner is the
    /// handler's.
    async fn in_transaction(
        &self,
        lease: Lease,
        step: &Step,
        work: TxWork<S::Tx>,
        turn: &Turn<'_>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError> {
        let _place = self.place(turn).await;
        match self.store.run(lease, step, self.clock.now(), work).await {
            Err(error) if error.kind() == StoreErrorKind::Refused => {
                Ok((Err(HandlerError::retry(error)), None))
            }
            Err(error) if error.kind() == StoreErrorKind::TransactionEnded => {
                Ok((Err(HandlerError::permanent(error)), None))
            }
            Err(error) if error.is_transient() => {
                // Whether the transaction was committed is unknown. If it was, the lease is gone, and the release does
                // nothing. If not, the event waits again, and no failure of the handler is counted. Without the pause,
                // it would be claimed again immediately.
                tokio::time::sleep(RECORD_AGAIN).await;
                until_recorded(|| self.store.release(std::slice::from_ref(&lease), self.clock.now())).await?;
                Err(error)
            }
            result => result,
        }
    }

    /// Waits until another handler may run.
    async fn place(&self, turn: &Turn<'_>) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        let place = self.running.acquire().await.ok();
        if !turn.held.begin(turn.run) {
            // Its event is given back, and this task is about to be aborted.
            std::future::pending::<()>().await;
        }
        place
    }

    /// Decides the outcome of an event that failed, and logs it.
    fn failed(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        failures: &[(Arc<str>, HandlerError)],
        done: Vec<(Arc<str>, Handled)>,
    ) -> Failed {
        let count = claim.failures.saturating_add(1);
        let wait = failures
            .iter()
            .filter_map(|(_, error)| match error.when_to_retry() {
                Retry::Backoff => Some(self.backoff.delay(count, claim.lease.event.get().unsigned_abs())),
                Retry::After(delay) => Some(delay.min(self.backoff.max_delay)),
                Retry::Never => None,
            })
            .max();
        let mut error = failures
            .iter()
            .map(|(handler, error)| format!("{handler}: {}", attempt::error_text(error)))
            .collect::<Vec<_>>()
            .join("; ");
        let exhausted = wait.is_some() && self.backoff.is_exhausted(count);
        if exhausted {
            error = format!("attempts exhausted after {count} failures; the last: {error}");
        }
        let wait = wait.filter(|_| !exhausted);
        let (event_type, key) =
            (Escaped(&delivery.envelope.event_type), Escaped(&delivery.envelope.idempotency_key));
        let outcome = match wait {
            Some(wait) => {
                tracing::warn!(target: target::WORK, event = %claim.lease.event, %event_type, %key, attempt = delivery.attempt, ?wait, error = %Escaped(&error), "handler failed; it will run again");
                Outcome::Retry
            }
            None => {
                tracing::error!(target: target::WORK, event = %claim.lease.event, %event_type, %key, attempt = delivery.attempt, error = %Escaped(&error), "handler failed permanently; dead letter");
                Outcome::Dead(if exhausted { DeadReason::Exhausted } else { DeadReason::Permanent })
            }
        };
        let passable = count >= self.hold_failures;
        Failed {
            lease: claim.lease,
            done,
            failure: Failure { error, retry_in: wait, passable, next: None },
            outcome,
            kind: delivery.envelope.kind,
            attempt: delivery.attempt,
            span: Span::current(),
        }
    }

    async fn record_step(
        &self,
        lease: Lease,
        handler: &Arc<str>,
        handled: &Handled,
    ) -> Result<(), StoreError> {
        let step = Step { handler: handler.clone(), last: false, next: None };
        until_recorded(|| self.store.complete(lease, &step, handled, self.clock.now())).await.map(drop)
    }

    /// Records events of a session with which all handlers are done. If the event that `lease` holds is among them,
    /// claims the session's next event as `next` asks.
    pub(super) async fn record_done(
        &self,
        lease: Lease,
        completions: Vec<Completion>,
        next: Option<NextClaim>,
    ) -> Result<Option<Claim>, StoreError> {
        if let [Completion { lease: of, handled }] = &*completions
            && *of == lease
            && let [(handler, handled)] = &**handled
        {
            let step = Step { handler: handler.clone(), last: true, next };
            return until_recorded(|| self.store.complete(lease, &step, handled, self.clock.now())).await;
        }
        until_recorded(|| self.store.complete_all(lease, &completions, next, self.clock.now())).await
    }

    /// Records a failure, and claims the session's next event as `next` asks. Returns whether the event is settled.
    pub(super) async fn record_failure(
        &self,
        failed: Failed,
        next: Option<NextClaim>,
    ) -> Result<(bool, Option<Claim>), StoreError> {
        let Failed { lease, done, failure, outcome, kind, attempt, span } = failed;
        let recording = async {
            for (handler, handled) in &done {
                self.record_step(lease, handler, handled).await?;
            }
            let failure = Failure { next, ..failure };
            let following = until_recorded(|| self.store.fail(lease, &failure, self.clock.now())).await?;
            telemetry::ended(kind, outcome, attempt);
            Ok((failure.retry_in.is_none(), following))
        };
        recording.instrument(span).await
    }
}

/// The outcome of an event whose body can no longer be parsed.
fn unreadable_body(claim: &Claim, unreadable: &Unreadable) -> Failed {
    let error = format!("the stored body can no longer be parsed: {}", unreadable.reason);
    tracing::error!(target: target::WORK, event = %claim.lease.event, error = %Escaped(&error), "the stored body can no longer be parsed; dead letter");
    Failed {
        lease: claim.lease,
        done: Vec::new(),
        failure: Failure { error, retry_in: None, passable: false, next: None },
        outcome: Outcome::Dead(DeadReason::Unreadable),
        kind: EventKind::Unknown,
        attempt: claim.attempt(),
        span: Span::current(),
    }
}

/// Retries until the store responds, because an outcome must not be lost in an outage. It ends when the lease turns out
/// to be lost, or the worker stops and aborts it.
async fn until_recorded<T, F>(record: impl Fn() -> F) -> Result<T, StoreError>
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

pub(super) fn log_unrecorded(lease: Lease, error: &StoreError) {
    match error.kind() {
        StoreErrorKind::StaleLease => {
            tracing::warn!(target: target::WORK, event = %lease.event, error = %Escaped(error), "outcome not recorded; another worker has taken over");
        }
        _ => {
            tracing::error!(target: target::WORK, event = %lease.event, error = %Escaped(error), "outcome not recorded; the event will run again");
        }
    }
}
