//! A handler that remembers.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jaas_core::event::{self, Event, EventKind, UnknownEvent};
use jaas_core::{Context, Delivery, EventHandler, Handled, HandlerResult};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A handler that records the events it gets, and returns what you choose. It works with any store; clones record into
/// the same list.
///
/// ```
/// use jaas_core::{Delivery, Handlers, Inbox, Dispatcher, Incoming, Timestamp, Worker, store::MemoryStore};
/// use jaas_core::event::EventKind;
/// use jaas_testkit::{fixture, Recorder};
/// use std::sync::Arc;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = Arc::new(MemoryStore::new());
/// let recorder = Recorder::new();
/// let worker = Worker::builder(store.clone(), Handlers::new().plain("recorder", recorder.clone())).build()?.spawn();
///
/// let body = fixture::of(EventKind::RoomCreated).body;
/// let delivery = Delivery::parse("main", Timestamp::from_secs(0), body.into()).unwrap();
/// Inbox::new(store).dispatch(Incoming::Event(delivery)).await?;
///
/// let seen = recorder.wait_for(1).await;
/// assert_eq!(seen[0].event.kind(), EventKind::RoomCreated);
/// # worker.stop(std::time::Duration::from_secs(1)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Recorder {
    seen: Arc<Mutex<Vec<HandlerCall>>>,
    count: Arc<watch::Sender<usize>>,
    answer: Arc<dyn Fn(&Delivery) -> HandlerResult + Send + Sync>,
}

/// One call of a handler method.
#[derive(Debug, Clone)]
pub struct HandlerCall {
    /// The method that was called, by its event; [`EventKind::Unknown`] for `unknown`.
    pub method: EventKind,
    /// The typed event.
    pub event: Event,
    /// The delivery, with its envelope and attempt.
    pub delivery: Delivery,
}

impl Recorder {
    /// Creates a recorder that returns [`Handled::Done`].
    pub fn new() -> Self {
        Self::answering(|_| Ok(Handled::Done))
    }

    /// Creates a recorder that returns what `answer` returns; it may panic.
    pub fn answering(answer: impl Fn(&Delivery) -> HandlerResult + Send + Sync + 'static) -> Self {
        Self { seen: Arc::default(), count: Arc::new(watch::Sender::new(0)), answer: Arc::new(answer) }
    }

    /// Everything recorded so far, in order.
    pub fn seen(&self) -> Vec<HandlerCall> {
        self.seen.lock().clone()
    }

    /// Waits until at least `count` calls were recorded, and returns all. Put a timeout around it when the count may
    /// never be reached.
    pub async fn wait_for(&self, count: usize) -> Vec<HandlerCall> {
        // The sender is ours, so the wait can only succeed.
        let _ = self.count.subscribe().wait_for(|seen| *seen >= count).await;
        self.seen()
    }

    fn record(&self, method: EventKind, event: Event, delivery: &Delivery) -> HandlerResult {
        let count = {
            let mut seen = self.seen.lock();
            seen.push(HandlerCall { method, event, delivery: delivery.clone() });
            seen.len()
        };
        self.count.send_replace(count);
        (self.answer)(delivery)
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("seen", &self.seen().len()).finish_non_exhaustive()
    }
}

macro_rules! record_every_method {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        #[async_trait]
        impl<Tx: Send> EventHandler<Tx> for Recorder {
            $(
                async fn $method(&self, cx: &mut Context<'_, Tx>, event: &event::$Event) -> HandlerResult {
                    self.record(EventKind::$Event, Event::$Event(event.clone()), cx.delivery())
                }
            )*

            async fn unknown(&self, cx: &mut Context<'_, Tx>, event: &UnknownEvent<'_>) -> HandlerResult {
                self.record(EventKind::Unknown, Event::Unknown(event.reason.clone()), cx.delivery())
            }
        }
    };
}
jaas_core::for_each_event!(record_every_method);
