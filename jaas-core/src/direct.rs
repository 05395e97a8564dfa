//! The dispatcher that calls the handlers inside the request.

mod dedup;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use self::dedup::{Dedup, Finished, Key};
use crate::attempt::{self, Watched};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::delivery::{Delivery, Incoming, Unreadable};
use crate::dispatcher::{DispatchError, DispatchErrorKind, Dispatcher};
use crate::handler::{Handled, HandlerError, Retry};
use crate::handlers::{Handlers, Mode, Mounted};
use crate::places::Places;
use crate::reply::Disposition;
use crate::telemetry::{self, DeadReason, Escaped, Outcome, name, target};

/// How many bodies without an envelope, and how many conflicts, are kept for inspection.
const KEPT: usize = 64;
/// The `Retry-After` when the handler does not ask for a delay.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Calls the handlers inside the request and returns their result. It needs no database and is less safe than
/// [`Inbox`](crate::Inbox): use it where you can afford to lose what was in memory.
///
/// - If every handler handles or ignores the event, the sender gets 200. If one asks for a retry, panics or exceeds its
///   timeout, the sender gets 503 and delivers again. Then the handlers that have succeeded do not run again.
/// - A permanent failure is logged as an error, and the sender gets 200: another delivery would gain nothing, and there
///   is no place for a dead letter.
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
}

struct Shared {
    handlers: Handlers,
    timeout: Duration,
    dedup: Dedup,
    concurrency: Places,
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
        self.shared.quarantine.lock().iter().cloned().collect()
    }

    /// The last 64 different deliveries whose key was already used by another body, oldest first.
    pub fn conflicts(&self) -> Vec<Delivery> {
        self.shared.conflicts.lock().iter().cloned().collect()
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
        let mut handled = match self.begin(received) {
            Plan::Run(handled) => handled,
            Plan::Over(result) => return result,
        };
        // Most handlers never wait, and need no task.
        if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(handled.as_mut().poll(cx))).await {
            return result;
        }
        // From here on in a separate task, because the request's future is dropped when the sender hangs up.
        let task = tokio::spawn(telemetry::heard(handled));
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

/// What to do with a delivery.
enum Plan {
    Run(BoxFuture<'static, Result<Disposition, DispatchError>>),
    Over(Result<Disposition, DispatchError>),
}

impl Direct {
    fn begin(&self, received: Incoming) -> Plan {
        let mut delivery = match received {
            Incoming::Event(delivery) => delivery,
            Incoming::Unreadable(unreadable) => {
                let same = |kept: &Unreadable| kept.body() == unreadable.body();
                keep(&self.shared.quarantine, same, unreadable.clone());
                return Plan::Over(Ok(Disposition::Quarantined));
            }
        };
        let Some(place) = self.shared.concurrency.take() else {
            let error = DispatchError::new(
                DispatchErrorKind::Overloaded,
                "too many handlers are running",
                Duration::from_secs(1),
            );
            return Plan::Over(Err(error));
        };
        let key = self.shared.dedup.key(&delivery);
        let completed = match self.shared.dedup.begin(key) {
            dedup::Begun::Run { attempt, completed } => {
                delivery.attempt = attempt;
                completed
            }
            dedup::Begun::InProgress => {
                let error = DispatchError::new(
                    DispatchErrorKind::Overloaded,
                    "another copy of this event is being handled",
                    RETRY_AFTER,
                );
                return Plan::Over(Err(error));
            }
            dedup::Begun::Duplicate => return Plan::Over(Ok(Disposition::Duplicate)),
            dedup::Begun::Conflict => {
                tracing::warn!(target: target::DELIVERY, endpoint = %delivery.endpoint, key = %Escaped(&delivery.envelope.idempotency_key), "another body came before under this key; it stays");
                let same = |kept: &Delivery| kept.body() == delivery.body();
                keep(&self.shared.conflicts, same, delivery.clone());
                return Plan::Over(Ok(Disposition::Conflict));
            }
        };
        // Whatever happens below, even the future being dropped, the key must not stay "in progress".
        let run = InProgress { shared: self.shared.clone(), key, over: false };
        let span = event_span(&delivery);
        let handled = async move {
            let result = handle(run, delivery, completed).await;
            drop(place);
            result
        };
        // Tracked from here on, be it in a task or not.
        let handled = self.tasks.track_future(handled);
        Plan::Run(if span.is_disabled() { handled.boxed() } else { handled.instrument(span).boxed() })
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

/// Keeps the last [`KEPT`]; a repetition is kept once.
fn keep<T>(kept: &Mutex<VecDeque<T>>, same: impl Fn(&T) -> bool, new: T) {
    let mut kept = kept.lock();
    if kept.iter().any(same) {
        return;
    }
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}

/// Runs the handlers that are not done with an event yet.
async fn handle(
    run: InProgress,
    delivery: Delivery,
    mut completed: Vec<Arc<str>>,
) -> Result<Disposition, DispatchError> {
    let event = telemetry::decoded(&delivery);
    let mut disposition = if completed.is_empty() { Disposition::Ignored } else { Disposition::Handled };
    let mut failures: Vec<(Arc<str>, HandlerError)> = Vec::new();
    let mut mounted = run.shared.handlers.iter();
    while let Some(Mounted { name, handler, seconds, timeout, .. }) = mounted.next() {
        if completed.contains(name) {
            continue;
        }
        let (Mode::Plain(plain) | Mode::Transactional(plain)) = handler;
        let watched = Watched::new(seconds, handler.as_str());
        let limit = timeout.unwrap_or(run.shared.timeout);
        match attempt::run(watched, &**plain, &delivery, &event, &mut (), limit).await {
            Ok(Handled::Done) => {
                disposition = Disposition::Handled;
                // Needed only if another handler has failed or may still fail.
                if !failures.is_empty() || !mounted.as_slice().is_empty() {
                    completed.push(name.clone());
                }
            }
            Ok(Handled::Ignored(_)) => {}
            Err(error) => failures.push((name.clone(), error)),
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
        run.finish(Finished::Again { completed });
        ended(Outcome::Retry);
        return Err(DispatchError::new(
            DispatchErrorKind::HandlerFailed,
            "a handler asked for a retry",
            retry_after,
        ));
    }
    run.finish(Finished::Settled);
    if !failures.is_empty() {
        ended(Outcome::Dead(DeadReason::Permanent));
        return Ok(Disposition::Failed);
    }
    ended(if disposition == Disposition::Handled { Outcome::Handled } else { Outcome::Ignored });
    Ok(disposition)
}

/// Frees the key if the run is aborted.
struct InProgress {
    shared: Arc<Shared>,
    key: Key,
    over: bool,
}

impl InProgress {
    fn finish(mut self, finished: Finished) {
        self.shared.dedup.finish(self.key, finished);
        self.over = true;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        if !self.over {
            self.shared.dedup.cut_off(self.key);
        }
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
                dedup: Dedup::new(self.capacity),
                concurrency: Places::new(self.concurrency),
                quarantine: Mutex::default(),
                conflicts: Mutex::default(),
            }),
            tasks: TaskTracker::new(),
        })
    }
}
