//! A provider that follows a script, good or bad.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::HandlerError;
use jaas_core::settings::{MeetingSettings, NoSettingsForRoom, SettingsProvider, SettingsRequest};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What a [`ScriptedProvider`] does when it is asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Script {
    /// Returns these settings.
    Answer(MeetingSettings),
    /// Returns them after a while.
    Slow(Duration, MeetingSettings),
    /// Never returns.
    Hang,
    /// Fails with this message.
    Fail(String),
    /// Has no settings for the room.
    None,
    /// Panics with this message.
    Panic(String),
}

/// A provider for tests: slow, failing, panicking, changing. It counts its calls, and those that were dropped before
/// their end. Clones share everything.
///
/// ```
/// use jaas_core::settings::{FailurePolicy, MeetingSettings, SettingsService};
/// use jaas_testkit::settings::{Script, ScriptedProvider, assert_valid_for_jaas, settings_request};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let open = MeetingSettings::default();
/// // The first call is answered, every later one fails.
/// let provider = ScriptedProvider::of([Script::Answer(open), Script::Fail("the table is gone".into())]);
/// let service = SettingsService::builder(provider.clone(), FailurePolicy::fail_closed()).build().unwrap();
/// for lobby in [false, true] {
///     let reply = service.answer(settings_request("app/math")).await;
///     assert_eq!(assert_valid_for_jaas(&reply).contains_key("lobbyEnabled"), lobby);
/// }
/// assert_eq!(provider.calls(), 2);
/// # });
/// ```
#[derive(Clone)]
pub struct ScriptedProvider(Arc<Inner>);

/// Chooses the script for a question and the number of the call.
type Director = dyn Fn(&SettingsRequest, usize) -> Script + Send + Sync;

struct Inner {
    script: Box<Director>,
    asked: Mutex<Vec<SettingsRequest>>,
    begun: watch::Sender<usize>,
    running: AtomicUsize,
    dropped: AtomicUsize,
}

impl ScriptedProvider {
    /// Creates a provider that follows these scripts, one for each call; the last one for all later calls. With none it
    /// hangs.
    pub fn of(scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        Self::by(move |_, call| scripts.get(call).or(scripts.last()).cloned().unwrap_or(Script::Hang))
    }

    /// Creates a provider that asks this function for a question and the number of the call, from 0.
    pub fn by(script: impl Fn(&SettingsRequest, usize) -> Script + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            script: Box::new(script),
            asked: Mutex::default(),
            begun: watch::Sender::new(0),
            running: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
        }))
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        *self.0.begun.borrow()
    }

    /// The questions, in order.
    pub fn asked(&self) -> Vec<SettingsRequest> {
        self.0.asked.lock().clone()
    }

    /// How many calls are in flight.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::SeqCst)
    }

    /// How many calls were dropped before they returned.
    pub fn dropped(&self) -> usize {
        self.0.dropped.load(Ordering::SeqCst)
    }

    /// Waits until it was asked this often. Put a timeout around it when that may never happen.
    pub async fn wait_for_calls(&self, calls: usize) {
        // The sender is ours, so the wait can only succeed.
        let _ = self.0.begun.subscribe().wait_for(|begun| *begun >= calls).await;
    }
}

/// A call in flight; counts itself when it is dropped without having ended.
struct Call<'a> {
    inner: &'a Inner,
    ended: bool,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.inner.running.fetch_sub(1, Ordering::SeqCst);
        if !self.ended && !std::thread::panicking() {
            self.inner.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl SettingsProvider for ScriptedProvider {
    async fn settings(&self, request: &SettingsRequest) -> Result<MeetingSettings, HandlerError> {
        let inner = &*self.0;
        inner.running.fetch_add(1, Ordering::SeqCst);
        let mut call = Call { inner, ended: false };
        let number = {
            let mut asked = inner.asked.lock();
            asked.push(request.clone());
            asked.len() - 1
        };
        inner.begun.send_modify(|begun| *begun += 1);
        let result = match (inner.script)(request, number) {
            Script::Answer(settings) => Ok(settings),
            Script::Slow(wait, settings) => {
                tokio::time::sleep(wait).await;
                Ok(settings)
            }
            Script::Hang => std::future::pending().await,
            Script::Fail(message) => Err(HandlerError::retry(message)),
            Script::None => Err(NoSettingsForRoom.into()),
            #[allow(clippy::panic)] // this was scripted
            Script::Panic(message) => panic!("{message}"),
        };
        call.ended = true;
        result
    }
}

impl fmt::Debug for ScriptedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedProvider")
            .field("calls", &self.calls())
            .field("running", &self.running())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
