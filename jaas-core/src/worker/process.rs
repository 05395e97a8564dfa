//! What a worker does with one claimed event.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tracing::instrument::WithSubscriber as _;
use tracing::{Instrument as _, Span};

use crate::attempt::{self, Watched};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::delivery::{Delivery, Unreadable};
use crate::event::{Event, EventKind};
use crate::handler::{Handled, HandlerError, HandlerResult, Next};
use crate::handlers::{Handlers, Mode, Mounted};
use crate::store::{Claim, EventStore, Failure, Lease, Step, StoreError, StoreErrorKind, TxWork};
use crate::telemetry::{self, Escaped, GivenUp, Outcome, TracePropagator, name, target};

pub(super) struct Process<S: EventStore> {
    pub(super) store: S,
    pub(super) handlers: Handlers<S::Tx>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) time_limit: Duration,
    pub(super) transaction_time_limit: Duration,
    pub(super) backoff: Backoff,
    pub(super) name: Arc<str>,
    pub(super) propagator: Option<Arc<dyn TracePropagator>>,
}

/// How the run of an event ended.
pub(super) struct Ended {
    pub(super) lease: Lease,
    /// Whether nothing more happens to the event.
    pub(super) settled: bool,
}

/// How long to wait between two tries to record an outcome while the store is unavailable.
const RECORD_AGAIN: Duration = Duration::from_millis(500);

impl<S: EventStore> Process<S> {
    /// Runs the handlers that are not yet done with the event, and records how it ended.
    pub(super) async fn run(self: Arc<Self>, claim: Claim) -> Ended {
        let lease = claim.lease;
        let read = Delivery::read(claim.endpoint.clone(), claim.received_at, Bytes::clone(&claim.body))
            .map(|delivery| delivery.with_attempt(claim.attempt()).with_trace(claim.trace.clone()));
        let span = self.span(&claim, read.as_ref().ok());
        let settled = async {
            self.process(claim, read).await.unwrap_or_else(|error| {
                log_unrecorded(lease, &error);
                false
            })
        };
        Ended { lease, settled: settled.instrument(span).await }
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

    /// Answers whether the event is settled, or else is to be run again.
    async fn process(&self, claim: Claim, read: Result<Delivery, Unreadable>) -> Result<bool, StoreError> {
        let lease = claim.lease;
        let delivery = match read {
            Ok(delivery) => Arc::new(delivery),
            Err(unreadable) => return self.unreadable(&claim, &unreadable).await,
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
        if todo.is_empty() {
            // Every handler of today is done, and one that was to settle the event is not mounted any more.
            let step = Step { handler: "".into(), last: true };
            self.complete(lease, &step, &Handled::ignored("every handler is done")).await?;
        }
        let mut failures = Vec::new();
        let mut outcome = if claim.completed.is_empty() { Outcome::Ignored } else { Outcome::Handled };
        for (index, mounted) in todo.iter().enumerate() {
            let last = failures.is_empty() && index + 1 == todo.len();
            let step = Step { handler: mounted.name.clone(), last };
            match self.step(lease, &step, mounted, &delivery, &event).await? {
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
            return Ok(true);
        }
        self.failed(&claim, &delivery, &failures).await
    }

    async fn unreadable(&self, claim: &Claim, unreadable: &Unreadable) -> Result<bool, StoreError> {
        let error = format!("the stored body cannot be read any more: {}", unreadable.reason);
        tracing::error!(target: target::WORK, event = %claim.lease.event, error = %Escaped(&error), "dead letter");
        self.fail(claim.lease, Failure { error, retry_in: None }).await?;
        telemetry::ended(EventKind::Unknown, Outcome::Dead(GivenUp::Unreadable), claim.attempt());
        Ok(true)
    }

    /// Runs one handler and records its success. The outer error is the store's, the inner the handler's.
    async fn step(
        &self,
        lease: Lease,
        step: &Step,
        mounted: &Mounted<S::Tx>,
        delivery: &Arc<Delivery>,
        event: &Arc<Event>,
    ) -> Result<HandlerResult, StoreError> {
        let watched = Watched::new(&mounted.name, mounted.handler.as_str());
        match &mounted.handler {
            Mode::Plain(handler) => {
                let result =
                    attempt::run(watched, &**handler, delivery, event, &mut (), self.time_limit).await;
                if let Ok(handled) = &result {
                    self.complete(lease, step, handled).await?;
                }
                Ok(result)
            }
            Mode::Transactional(handler) => {
                let (handler, delivery, event, limit) =
                    (handler.clone(), delivery.clone(), event.clone(), self.transaction_time_limit);
                // A store may run it on a thread of its own, where the subscriber may be another one.
                let subscriber = tracing::dispatcher::get_default(Clone::clone);
                let work: TxWork<S::Tx> = Box::new(move |tx| {
                    let run =
                        async move { attempt::run(watched, &*handler, &delivery, &event, tx, limit).await };
                    Box::pin(run.with_subscriber(subscriber))
                });
                match self.store.run(lease, step, self.clock.now(), work).await {
                    Err(error) if error.kind() == StoreErrorKind::Refused => {
                        Ok(Err(HandlerError::retry(error)))
                    }
                    Err(error) if error.kind() == StoreErrorKind::TransactionEnded => {
                        Ok(Err(HandlerError::permanent(error)))
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

    async fn failed(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        failures: &[(Arc<str>, HandlerError)],
    ) -> Result<bool, StoreError> {
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
        self.fail(claim.lease, Failure { error, retry_in: wait }).await?;
        telemetry::ended(delivery.envelope.kind, outcome, delivery.attempt);
        Ok(wait.is_none())
    }

    async fn complete(&self, lease: Lease, step: &Step, handled: &Handled) -> Result<(), StoreError> {
        self.recorded(|| self.store.complete(lease, step, handled, self.clock.now())).await
    }

    async fn fail(&self, lease: Lease, failure: Failure) -> Result<(), StoreError> {
        self.recorded(|| self.store.fail(lease, &failure, self.clock.now())).await
    }

    /// Tries until the store answers: what has happened must not be forgotten because of an outage. It ends
    /// when the lease turns out to be lost, or the worker stops and cuts it off.
    async fn recorded<F>(&self, record: impl Fn() -> F) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>>,
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
