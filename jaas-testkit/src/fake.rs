//! A dispatcher for tests of the code before it or behind it.

mod matches;
mod script;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::MemoryStore;
use jaas_core::{
    Context, Delivery, Direct, DispatchError, DispatchErrorKind, Dispatcher, Disposition, EventHandler,
    HandlerResult, Handlers, Inbox, Incoming,
};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

pub use self::matches::{EventMatcher, Matches};
use self::script::{Act, Script, Scripted};

/// A dispatcher in memory that returns what the real ones return and remembers everything. Put it behind a receiver to
/// test what your server passes on, or deliver to it yourself to see how a handler fares with duplicates and failures.
///
/// ```
/// use jaas_core::Disposition;
/// use jaas_core::event::EventKind;
/// use jaas_testkit::{event, FakeDispatcher};
/// use serde_json::json;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let fake = FakeDispatcher::recording();
/// let joined = event::participant_joined().named("Ada");
/// assert_eq!(fake.deliver(joined.clone()).await, Ok(Disposition::Stored));
/// assert_eq!(fake.deliver(joined).await, Ok(Disposition::Duplicate));
///
/// fake.assert_received(EventKind::ParticipantJoined).times(2).events(1);
/// fake.assert_received(json!({"data": {"name": "Ada"}}));
/// fake.assert_not_received("ROOM_CREATED");
/// # });
/// ```
///
/// # Its two forms
/// - [`recording`](Self::recording) only remembers. It is an [`Inbox`] over a [`MemoryStore`] without a worker, and
///   returns the same: stored, duplicate, conflict, quarantined.
/// - [`running`](Self::running) gives events to a handler. It is a [`Direct`], and returns the same: handled, ignored,
///   failed, duplicate, conflict, quarantined, and 503 while another copy of the same event is in progress or when the
///   handler wants a retry, panics, or takes longer than 8 s.
///
/// Both are tested with [`dispatcher_conformance!`](crate::dispatcher_conformance), like the real ones.
///
/// # What it simplifies
/// - It keeps everything until it is dropped, without limit or retention.
/// - `recording` runs nothing; use a [`Worker`](jaas_core::Worker) on a `MemoryStore` for that.
/// - `running` calls the handler inside the delivery: there is no back-off, no order within a session, no dead letter
///   and no transaction, so it accepts handlers of `Tx = ()`; [`running_in`](Self::running_in) accepts the others, with
///   a `Tx` of the test. It does not redeliver by itself; call [`deliver`](Self::deliver) or
///   [`deliver_until_taken`](Self::deliver_until_taken).
/// - It does not authenticate: that is the job of a receiver.
///
/// Clones share everything.
#[derive(Clone)]
pub struct FakeDispatcher {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Inner,
    script: Arc<Script>,
    arrivals: Mutex<Vec<Arrival>>,
    answered: watch::Sender<usize>,
}

enum Inner {
    Recording(Box<Inbox<MemoryStore>>),
    Running(Direct),
}

/// One delivery and its result.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Arrival {
    /// The delivery.
    pub received: Incoming,
    /// The result; `None` while it is in flight, and forever when the sender hung up.
    pub answer: Option<Result<Disposition, DispatchError>>,
    /// How the handler's run failed, if it did.
    pub failure: Option<String>,
}

impl FakeDispatcher {
    /// Creates a dispatcher that only remembers.
    pub fn recording() -> Self {
        Self::new(Arc::default(), Inner::Recording(Box::new(Inbox::new(MemoryStore::new()))))
    }

    /// Creates a dispatcher that gives events to this handler.
    ///
    /// ```
    /// use jaas_core::{Disposition, Handled};
    /// use jaas_testkit::{event, FakeDispatcher, Recorder};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let recorder = Recorder::new();
    /// let fake = FakeDispatcher::running(recorder.clone());
    /// let created = event::room_created();
    ///
    /// // The handler did its work, but no response reports it, so the event is delivered again.
    /// fake.lose_next_answer();
    /// assert!(fake.deliver(created.clone()).await.is_err());
    /// assert_eq!(fake.deliver(created).await, Ok(Disposition::Handled));
    /// assert_eq!(recorder.seen().len(), 2);
    /// # });
    /// ```
    pub fn running(handler: impl EventHandler) -> Self {
        let script = Arc::<Script>::default();
        let handler = Scripted::new(handler, script.clone());
        let direct = Direct::builder(Handlers::new().plain("handler", handler)).build();
        // One handler with a valid name, and timeouts that are not zero: there is nothing to refuse.
        #[allow(clippy::expect_used)]
        Self::new(script, Inner::Running(direct.expect("a good configuration")))
    }

    /// Creates a dispatcher that gives events to a [transactional](Handlers::transactional) handler, one at a time. All
    /// its runs get this `Tx`; the test keeps a clone, to look at what they wrote.
    ///
    /// It does not begin, commit or roll back anything: what a failed run wrote stays, unlike in a store. For a
    /// connection of diesel-async, call `begin_test_transaction` on it first, and nothing is committed. For the store's
    /// real transactions use a [`Worker`](jaas_core::Worker) on it.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use async_trait::async_trait;
    /// use jaas_core::event::RoomCreated;
    /// use jaas_core::{Context, Disposition, EventHandler, Handled, HandlerResult};
    /// use jaas_testkit::{event, FakeDispatcher};
    /// use tokio::sync::Mutex;
    ///
    /// struct Rooms;
    ///
    /// #[async_trait]
    /// impl EventHandler<Vec<String>> for Rooms {
    ///     async fn room_created(&self, cx: &mut Context<'_, Vec<String>>, _: &RoomCreated) -> HandlerResult {
    ///         let room = cx.envelope().fqn.room_key();
    ///         cx.tx().push(room);
    ///         Ok(Handled::Done)
    ///     }
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let rows = Arc::new(Mutex::new(Vec::new()));
    /// let fake = FakeDispatcher::running_in(Rooms, rows.clone());
    /// let created = event::room_created().in_room("math");
    /// assert_eq!(fake.deliver(created.clone()).await, Ok(Disposition::Handled));
    /// assert_eq!(fake.deliver(created).await, Ok(Disposition::Duplicate));
    /// assert_eq!(*rows.lock().await, ["math"]);
    /// # });
    /// ```
    pub fn running_in<Tx: Send + 'static>(
        handler: impl EventHandler<Tx>,
        tx: Arc<tokio::sync::Mutex<Tx>>,
    ) -> Self {
        Self::running(InTx { handler, tx })
    }

    fn new(script: Arc<Script>, inner: Inner) -> Self {
        let answered = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { inner, script, arrivals: Mutex::default(), answered }) }
    }

    /// Delivers once: calls [`dispatch`](Dispatcher::dispatch) with anything that converts into an [`Incoming`], such
    /// as an [`EventBuilder`](crate::event::EventBuilder).
    ///
    /// # Errors
    /// When the result is 503.
    pub async fn deliver(&self, received: impl Into<Incoming>) -> Result<Disposition, DispatchError> {
        self.dispatch(received.into()).await
    }

    /// Delivers repeatedly until the result is a 2xx, as JaaS does, but without waiting in between.
    ///
    /// # Panics
    /// When the result was 503 twenty times.
    #[track_caller]
    pub fn deliver_until_taken(
        &self,
        received: impl Into<Incoming>,
    ) -> impl Future<Output = Disposition> + Send {
        const TIMES: usize = 20;
        let received = received.into();
        let caller = std::panic::Location::caller();
        async move {
            let mut answer = self.deliver(received.clone()).await;
            for _ in 1..TIMES {
                if let Ok(disposition) = answer {
                    return disposition;
                }
                answer = self.deliver(received.clone()).await;
            }
            #[allow(clippy::panic)]
            answer.unwrap_or_else(|error| {
                panic!("not accepted {TIMES} times; the last error: {error}; delivered at {caller}")
            })
        }
    }

    /// Makes the next run of the handler, or the next delivery when nothing runs, fail before anything has happened,
    /// with 503.
    pub fn fail_next(&self, why: impl Into<String>) -> &Self {
        self.then(Act::Fail(why.into()))
    }

    /// Makes the next run of the handler, or the next delivery when nothing runs, succeed but return 503, as when a
    /// process dies between its work and its response.
    pub fn lose_next_answer(&self) -> &Self {
        self.then(Act::LoseAnswer)
    }

    /// Makes the next run of the handler panic instead, which returns 503; when nothing runs, the next delivery panics
    /// in its caller.
    pub fn panic_next(&self, message: impl Into<String>) -> &Self {
        self.then(Act::Panic(message.into()))
    }

    /// Delays the next run of the handler, or the next delivery when nothing runs, by this much.
    pub fn delay_next(&self, delay: Duration) -> &Self {
        self.then(Act::Delay(delay))
    }

    /// Several calls queue up: the first concerns the next run, the second the one after it, and so on.
    fn then(&self, act: Act) -> &Self {
        self.shared.script.push(act);
        self
    }

    /// Every delivery, in order, copies included.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().clone()
    }

    /// The events for which it took responsibility, each as often as it did: those that were stored, or whose handler's
    /// run succeeded. Copies, conflicts and refused deliveries are not among them.
    pub fn taken(&self) -> Vec<Delivery> {
        self.shared.script.taken()
    }

    /// Waits until this many deliveries have a result, and returns all. Put a timeout around it when they may never
    /// come.
    pub async fn wait_for(&self, answers: usize) -> Vec<Arrival> {
        // The sender is ours, so the wait can only succeed.
        let _ = self.shared.answered.subscribe().wait_for(|answered| *answered >= answers).await;
        self.arrivals()
    }

    /// Asserts that a matching delivery came, whatever the result, and returns the matches for further assertions.
    ///
    /// # Panics
    /// When none came; the message lists what came instead, and how the nearest of it differs.
    #[track_caller]
    pub fn assert_received(&self, wanted: impl Into<EventMatcher>) -> Matches {
        let matches = Matches::of(&wanted.into(), self.arrivals());
        matches.assert_any();
        matches
    }

    /// Asserts that no matching delivery came.
    ///
    /// # Panics
    /// When one did.
    #[track_caller]
    pub fn assert_not_received(&self, wanted: impl Into<EventMatcher>) {
        Matches::of(&wanted.into(), self.arrivals()).times(0);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arrival>> {
        self.shared.arrivals.lock()
    }

    async fn answer(&self, received: Incoming) -> Result<Disposition, DispatchError> {
        match &self.shared.inner {
            Inner::Running(direct) => direct.dispatch(received).await,
            Inner::Recording(inbox) => {
                let fail =
                    |why| DispatchError::new(DispatchErrorKind::Unavailable, why, Duration::from_secs(5));
                let store = async {
                    let answer = inbox.dispatch(received.clone()).await;
                    if let (Incoming::Event(delivery), Ok(Disposition::Stored)) = (&received, &answer) {
                        self.shared.script.took(delivery);
                    }
                    answer
                };
                self.shared.script.play(store, fail).await
            }
        }
    }
}

#[async_trait]
impl Dispatcher for FakeDispatcher {
    async fn dispatch(&self, received: Incoming) -> Result<Disposition, DispatchError> {
        let number = {
            let mut arrivals = self.lock();
            arrivals.push(Arrival { received: received.clone(), answer: None, failure: None });
            arrivals.len() - 1
        };
        let mut answer = self.answer(received.clone()).await;
        let failure = match &received {
            Incoming::Event(delivery) => self.shared.script.take_failure(delivery),
            Incoming::Unreadable(_) => None,
        };
        if let (Err(error), Some(failure)) = (&answer, &failure) {
            answer =
                Err(DispatchError::new(error.kind(), format!("{error}: {failure}"), error.retry_after()));
        }
        if let Some(arrival) = self.lock().get_mut(number) {
            arrival.answer = Some(answer.clone());
            arrival.failure = failure;
        }
        self.shared.answered.send_modify(|answered| *answered += 1);
        answer
    }
}

/// A handler that gets this `Tx` in each run.
struct InTx<H, Tx> {
    handler: H,
    tx: Arc<tokio::sync::Mutex<Tx>>,
}

#[async_trait]
impl<Tx: Send + 'static, H: EventHandler<Tx>> EventHandler for InTx<H, Tx> {
    async fn any_event(&self, cx: &mut Context<'_>, event: &Event) -> HandlerResult {
        let mut tx = self.tx.lock().await;
        self.handler.any_event(&mut Context::new(cx.delivery(), &mut *tx), event).await
    }
}

impl fmt::Debug for FakeDispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeDispatcher").field("arrivals", &self.lock().len()).finish_non_exhaustive()
    }
}
