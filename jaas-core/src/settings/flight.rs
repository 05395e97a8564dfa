//! One call of the provider for all questions about the same room at the same time.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::meeting::MeetingSettings;
use super::provider::{SettingsProvider, has_none};
use super::recent::Meeting;
use super::record::SettingsFailure;
use super::request::SettingsRequest;
use crate::attempt;
use crate::handler::HandlerError;
use crate::telemetry::{Escaped, target};

/// The result of a call: settings, or why there are none.
pub(super) type Outcome = Result<Arc<MeetingSettings>, Failed>;

#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) failure: SettingsFailure,
    pub(super) error: Option<Arc<str>>,
}

impl Failed {
    pub(super) fn new(failure: SettingsFailure) -> Self {
        Self { failure, error: None }
    }

    fn saying(failure: SettingsFailure, error: impl Into<Arc<str>>) -> Self {
        Self { failure, error: Some(error.into()) }
    }
}

/// The calls in flight. A call belongs to the questions that wait for it: when the last of them is dropped, so is the
/// call.
pub(super) struct Flights {
    provider: Arc<dyn SettingsProvider>,
    room: Arc<Semaphore>,
    running: Arc<Mutex<Running>>,
    last_id: AtomicU64,
}

type Running = HashMap<Meeting, (u64, WeakShared<BoxFuture<'static, Outcome>>)>;

impl Flights {
    pub(super) fn new(provider: Arc<dyn SettingsProvider>, max_calls: usize) -> Self {
        Self {
            provider,
            room: Arc::new(Semaphore::new(max_calls)),
            running: Arc::default(),
            last_id: AtomicU64::new(0),
        }
    }

    /// Asks the provider, or joins a call in flight, and waits until the deadline at most.
    pub(super) async fn ask(
        &self,
        request: &SettingsRequest,
        meeting: &Meeting,
        deadline: Instant,
    ) -> Outcome {
        loop {
            let Some((call, is_own)) = self.join_or_start(request, meeting, deadline) else {
                return Err(Failed::new(SettingsFailure::Overloaded));
            };
            match timeout_at(deadline, call).await {
                Err(_) => return Err(Failed::new(SettingsFailure::TimedOut)),
                // The call of an earlier question ended at that question's deadline; the rest of ours is for another
                // call.
                Ok(Err(Failed { failure: SettingsFailure::TimedOut, .. }))
                    if !is_own && Instant::now() < deadline => {}
                Ok(outcome) => return outcome,
            }
        }
    }

    fn join_or_start(
        &self,
        request: &SettingsRequest,
        meeting: &Meeting,
        deadline: Instant,
    ) -> Option<(Shared<BoxFuture<'static, Outcome>>, bool)> {
        let mut running = lock(&self.running);
        if let Some(call) = running.get(meeting).and_then(|(_, call)| call.upgrade()) {
            return Some((call, false));
        }
        let permit = self.room.clone().try_acquire_owned().ok()?;
        let id = self.last_id.fetch_add(1, Ordering::Relaxed);
        let place = Place { running: self.running.clone(), meeting: meeting.clone(), id, _permit: permit };
        let call = call(self.provider.clone(), request.clone(), deadline, place).boxed().shared();
        if let Some(weak) = call.downgrade() {
            running.insert(meeting.clone(), (id, weak));
        }
        Some((call, true))
    }

    /// How many calls are in flight.
    pub(super) fn len(&self) -> usize {
        lock(&self.running).len()
    }
}

/// Nothing panics while it holds the lock, and no call is dropped under it.
fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock()
}

/// A call's entry among those in flight; removed when the call ends or is dropped.
struct Place {
    running: Arc<Mutex<Running>>,
    meeting: Meeting,
    id: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = lock(&self.running);
        // The entry may already belong to the next call for this room.
        if running.get(&self.meeting).is_some_and(|(id, _)| *id == self.id) {
            running.remove(&self.meeting);
        }
    }
}

async fn call(
    provider: Arc<dyn SettingsProvider>,
    request: SettingsRequest,
    deadline: Instant,
    place: Place,
) -> Outcome {
    let asked = async move { provider.settings(&request).await };
    let mut asked = AssertUnwindSafe(asked).catch_unwind().boxed();
    // A result that is only seen after the deadline, because the thread was held up, also comes too late.
    let answered = timeout_at(deadline, &mut asked).await.ok().filter(|_| Instant::now() <= deadline);
    // A future that panics while it is dropped must not take the result with it.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(asked)));
    let outcome = match answered {
        Some(Ok(Ok(settings))) => Ok(Arc::new(settings)),
        Some(Ok(Err(error))) if has_none(&error) => Err(Failed::new(SettingsFailure::NoSettingsForRoom)),
        Some(Ok(Err(error))) => Err(Failed::saying(SettingsFailure::Failed, attempt::error_text(&error))),
        Some(Err(panic)) => {
            let error = HandlerError::retry(attempt::panic_message(&*panic));
            Err(Failed::saying(SettingsFailure::Panicked, attempt::error_text(&error)))
        }
        None => Err(Failed::new(SettingsFailure::TimedOut)),
    };
    if let Err(panic) = dropped {
        let error = attempt::panic_message(&*panic);
        tracing::error!(target: target::SETTINGS, error = %Escaped(error), "the settings provider's future panicked while it was dropped; its result is used");
    }
    drop(place);
    outcome
}
