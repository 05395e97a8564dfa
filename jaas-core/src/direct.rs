//! The dispatcher that calls the handlers inside the request.

mod dedup;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use self::dedup::{Begun, Dedup, Finished, Key};
use crate::attempt::{self, Watched};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::delivery::{Delivery, Incoming, Unreadable};
use crate::dispatcher::{DispatchError, DispatchErrorKind, Dispatcher};
use crate::handler::{Handled, HandlerError, Retry};
use crate::handlers::{Handlers, Mode};
use crate::reply::Disposition;
use crate::telemetry::{self, DeadReason, Escaped, Outcome, name, target};

/// How many bodies without an envelope, and how many conflicts, are kept for inspection.
const KEPT: usize = 64;
/// The `Retry-After` when the handler does not ask for a delay.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Calls the handlers inside the request and returns their result. It needs no database and is less safe than
/// [`Inbox`](crate::Inbox): use it where you can afford to lose what was in memory.
///
/// - Handled, ignored: 200. Wants a retry, panics, exceeds its timeout: 503, and the sender delivers again; handlers
///   that had succeeded do not run again then.
/// - A permanent failure gets 200 and is logged as an error, because another delivery would gain nothing and there is
///   no place for a dead letter.
/// - The most recent keys are remembered in memory: a second copy gets 200 without running the handlers, and 503 while
///   the first is still running. After a restart, or once more keys than the capacity have come since, a copy is
///   handled again.
/// - The last 64 bodies without an envelope and the last 64 conflicts can be inspected with
///   [`quarantined`](Self::quarantined) and [`conflicts`](Self::conflicts).
/// - The delay that [`HandlerError::retry_after`] asks for is passed on unchanged.
/// - Once started, a handler runs to its end even if the sender hangs up.
///
/// ```
/// use jaas_core::{Auth, Direct, EventHandler, Handlers, Receiver};
///
/// struct Lights; // switched on while a room is open; what is lost in a crash is no harm
/// impl EventHandler for Lights {}
///
/// let direct = Direct::builder(Handlers::new().plain("lights", Lights)).build()?;
/// let auth = Auth::signature(["whsec_9635df66714a4cf088ee9d0979dd3bf6"])?;
/// let receiver = Receiver::builder("main", auth, direct).build()?;
/// # let _ = receiver;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Direct {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    concurrency: Arc<Semaphore>,
}

struct Shared {
    handlers: Handlers,
    timeout: Duration,
    dedup: Mutex<Dedup>,
    quarantine: Mutex<VecDeque<Unreadable>>,
    conflicts: Mutex<VecDeque<Delivery>>,
}

impl Direct {
    /// Starts to build a dispatcher for these handlers.
    pub fn builder(handlers: Handlers) -> DirectBuilder {
        DirectBuilder { handlers, capacity: 100_000, concurrency: 256, timeout: Duration::from_secs(8) }
    }

    /// The last 64 different bodies without an envelope, oldest first.
    pub fn quarantined(&self) -> Vec<Unreadable> {
        lock(&self.shared.quarantine).iter().cloned().collect()
    }

    /// The last 64 different deliveries whose key was already used by another body, oldest first.
    pub fn conflicts(&self) -> Vec<Delivery> {
        lock(&self.shared.conflicts).iter().cloned().collect()
    }

    /// Waits until every handler that was started has ended, at most `grace`; returns whether all have. Close the
    /// receiver first.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[async_trait]
impl Dispatcher for Direct {
    async fn dispatch(&self, received: Incoming) -> Result<Disposition, DispatchError> {
        let delivery = match received {
            Incoming::Event(delivery) => delivery,
            Incoming::Unreadable(unreadable) => {
                let same = |kept: &Unreadable| kept.body() == unreadable.body();
                keep(&self.shared.quarantine, same, unreadable.clone());
                return Ok(Disposition::Quarantined);
            }
        };
        let Ok(permit) = self.concurrency.clone().try_acquire_owned() else {
            return Err(DispatchError::new(
                DispatchErrorKind::Overloaded,
                "too many handlers are running",
                Duration::from_secs(1),
            ));
        };
        let key = Key::of(&delivery);
        let (attempt, completed) = match self.shared.dedup().begin(key) {
            Begun::Run { attempt, completed } => (attempt, completed),
            Begun::InProgress => {
                return Err(DispatchError::new(
                    DispatchErrorKind::Overloaded,
                    "another copy of this event is being handled",
                    RETRY_AFTER,
                ));
            }
            Begun::Duplicate => return Ok(Disposition::Duplicate),
            Begun::Conflict => {
                tracing::warn!(target: target::DELIVERY, endpoint = %delivery.endpoint, key = %Escaped(&delivery.envelope.idempotency_key), "another body came before under this key; it stays");
                keep(
                    &self.shared.conflicts,
                    |kept: &Delivery| kept.body() == delivery.body(),
                    delivery.clone(),
                );
                return Ok(Disposition::Conflict);
            }
        };
        let shared = self.shared.clone();
        let delivery = delivery.with_attempt(attempt);
        let span = event_span(&delivery);
        let handled = async move {
            let result = shared.handle(key, delivery, completed).await;
            drop(permit);
            result
        };
        // A separate task, because the request's future is dropped when the sender hangs up.
        let task = self.tasks.spawn(telemetry::heard(handled.instrument(span)));
        match task.await {
            Ok(result) => result,
            // Handlers' panics are caught inside, so this is the shutdown of the runtime.
            Err(_) => Err(DispatchError::new(
                DispatchErrorKind::HandlerFailed,
                "the handler was aborted",
                RETRY_AFTER,
            )),
        }
    }
}

fn event_span(delivery: &Delivery) -> Span {
    tracing::info_span!(
        target: target::WORK, name::EVENT, event = Empty, endpoint = &*delivery.endpoint,
        key = %Escaped(&delivery.envelope.idempotency_key), event_type = %Escaped(&delivery.envelope.event_type),
        attempt = delivery.attempt, worker = Empty, fence = Empty,
        trace_id = telemetry::trace_id(delivery.trace.as_ref()),
    )
}

/// No code panics while it holds one of these locks, so nothing half-done is visible.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the last few; a repetition is kept once.
fn keep<T>(kept: &Mutex<VecDeque<T>>, same: impl Fn(&T) -> bool, new: T) {
    let mut kept = lock(kept);
    if kept.iter().any(same) {
        return;
    }
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}

impl Shared {
    fn dedup(&self) -> MutexGuard<'_, Dedup> {
        lock(&self.dedup)
    }

    async fn handle(
        &self,
        key: Key,
        delivery: Delivery,
        mut completed: Vec<Arc<str>>,
    ) -> Result<Disposition, DispatchError> {
        // Whatever happens below, even if this future is dropped, the key must not stay "in progress".
        let guard = InProgress { shared: self, key };
        let event = telemetry::decoded(&delivery);
        let mut disposition = if completed.is_empty() { Disposition::Ignored } else { Disposition::Handled };
        let mut failures: Vec<(Arc<str>, HandlerError)> = Vec::new();
        for mounted in
            self.handlers.iter().filter(|mounted| !completed.contains(&mounted.name)).collect::<Vec<_>>()
        {
            let (Mode::Plain(handler) | Mode::Transactional(handler)) = &mounted.handler;
            let watched = Watched::new(&mounted.name, mounted.handler.as_str());
            let limit = mounted.timeout.unwrap_or(self.timeout);
            match attempt::run(watched, &**handler, &delivery, &event, &mut (), limit).await {
                Ok(Handled::Done) => {
                    disposition = Disposition::Handled;
                    completed.push(mounted.name.clone());
                }
                Ok(Handled::Ignored(_)) => {}
                Err(error) => failures.push((mounted.name.clone(), error)),
            }
        }
        for (handler, error) in &failures {
            tracing::error!(
                target: target::WORK, endpoint = %delivery.endpoint, event_type = %Escaped(&delivery.envelope.event_type),
                key = %Escaped(&delivery.envelope.idempotency_key), attempt = delivery.attempt,
                %handler, next = ?error.when_to_retry(), error = %Escaped(attempt::error_text(error)), "handler failed",
            );
        }
        let retry = failures.iter().filter_map(|(_, error)| match error.when_to_retry() {
            Retry::Backoff => Some(RETRY_AFTER),
            Retry::After(delay) => Some(delay),
            Retry::Never => None,
        });
        let ended = |outcome| telemetry::ended(delivery.envelope.kind, outcome, delivery.attempt);
        if let Some(retry_after) = retry.max() {
            guard.finish(Finished::Again { completed });
            ended(Outcome::Retry);
            return Err(DispatchError::new(
                DispatchErrorKind::HandlerFailed,
                "a handler asked for a retry",
                retry_after,
            ));
        }
        guard.finish(Finished::Settled);
        if !failures.is_empty() {
            ended(Outcome::Dead(DeadReason::Permanent));
            return Ok(Disposition::Failed);
        }
        ended(if disposition == Disposition::Handled { Outcome::Handled } else { Outcome::Ignored });
        Ok(disposition)
    }
}

/// Frees the key if the run is aborted.
struct InProgress<'a> {
    shared: &'a Shared,
    key: Key,
}

impl InProgress<'_> {
    fn finish(self, finished: Finished) {
        self.shared.dedup().finish(self.key, finished);
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        // After `finish` the key is no longer in progress, and this does nothing.
        self.shared.dedup().cut_off(self.key);
    }
}

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direct")
            .field("handlers", &self.shared.handlers)
            .field("running", &self.tasks.len())
            .finish_non_exhaustive()
    }
}

/// Builds a [`Direct`].
#[derive(Debug)]
#[must_use]
pub struct DirectBuilder {
    handlers: Handlers,
    capacity: usize,
    concurrency: usize,
    timeout: Duration,
}

impl DirectBuilder {
    /// The minimum number of settled keys that are remembered; up to twice as many may be. Defaults to 100,000.
    pub fn capacity(mut self, keys: usize) -> Self {
        self.capacity = keys;
        self
    }

    /// How many events may be handled at the same time; further ones get 503. Defaults to 256.
    pub fn concurrency(mut self, events: usize) -> Self {
        self.concurrency = events;
        self
    }

    /// The timeout of one run of one handler. Defaults to 8 s, below the receiver's 10 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Checks the configuration and builds the dispatcher.
    ///
    /// # Errors
    /// When there is no handler, when two have the same name, or when a value is zero.
    pub fn build(self) -> Result<Direct, ConfigError> {
        self.handlers.check()?;
        if self.capacity == 0 || self.concurrency == 0 || self.timeout.is_zero() {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "capacity, concurrency and timeout must not be zero",
            ));
        }
        Ok(Direct {
            shared: Arc::new(Shared {
                handlers: self.handlers,
                timeout: self.timeout,
                dedup: Mutex::new(Dedup::new(self.capacity)),
                quarantine: Mutex::default(),
                conflicts: Mutex::default(),
            }),
            tasks: TaskTracker::new(),
            concurrency: Arc::new(Semaphore::new(self.concurrency.min(Semaphore::MAX_PERMITS))),
        })
    }
}
