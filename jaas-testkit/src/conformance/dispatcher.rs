//! Tests for implementations of [`Dispatcher`]: one for every bullet of its `# Behavior` section.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use jaas_core::{DispatchError, Dispatcher, Disposition};
use tokio::task::JoinSet;

use crate::event::{self, EventBuilder};

/// A fresh dispatcher for one test, and access to what it did.
///
/// ```
/// use jaas_core::Dispatcher;
/// use jaas_testkit::conformance::DispatcherHarness;
/// use jaas_testkit::FakeDispatcher;
/// use std::sync::Arc;
///
/// struct Recording(FakeDispatcher);
///
/// #[async_trait::async_trait]
/// impl DispatcherHarness for Recording {
///     async fn start() -> Self {
///         Self(FakeDispatcher::recording())
///     }
///
///     fn dispatcher(&self) -> Arc<dyn Dispatcher> {
///         Arc::new(self.0.clone())
///     }
///
///     fn fail_next(&self) {
///         self.0.fail_next("on purpose");
///     }
///
///     async fn taken(&self) -> Vec<String> {
///         self.0.taken().iter().map(|event| event.envelope.idempotency_key.to_string()).collect()
///     }
/// }
///
/// jaas_testkit::dispatcher_conformance!(Recording);
/// # fn main() {}
/// ```
#[async_trait]
pub trait DispatcherHarness: Send + Sync + 'static {
    /// Why the dispatcher cannot be tested here, such as a missing database. The tests then pass without testing
    /// anything, so report it where it is seen.
    fn skipped() -> Option<String> {
        None
    }

    /// Creates a dispatcher that knows no key yet.
    async fn start() -> Self;

    /// The dispatcher.
    fn dispatcher(&self) -> Arc<dyn Dispatcher>;

    /// Lets the dispatcher refuse the next delivery without any effect.
    fn fail_next(&self);

    /// The keys of the events it accepted, each as often as it did: rows that were stored, runs that succeeded.
    async fn taken(&self) -> Vec<String>;
}

/// Mounts the suite: a module of tests, named after the bullets of [`Dispatcher`].
#[macro_export]
macro_rules! dispatcher_conformance {
    ($Harness:ty) => {
        $crate::dispatcher_conformance_tests! { $Harness;
            dispatch_takes_an_event_once
            dispatch_takes_one_of_many_concurrent_copies
            dispatch_compares_keys_byte_for_byte
            dispatch_distinguishes_a_duplicate_from_a_conflict
            dispatch_takes_unknown_types
            dispatch_quarantines_bodies_without_an_envelope
            dispatch_takes_a_failed_event_when_it_comes_again
            dispatch_loses_and_doubles_nothing_when_the_sender_hangs_up
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! dispatcher_conformance_tests {
    ($Harness:ty; $($name:ident)*) => {
        mod dispatch {
            #[allow(unused_imports)]
            use super::*;

            $(
                #[test]
                fn $name() {
                    if <$Harness as $crate::conformance::DispatcherHarness>::skipped().is_none() {
                        $crate::conformance::block_on(|| $crate::conformance::dispatcher_behavior::$name::<$Harness>());
                    }
                }
            )*
        }
    };
}

#[doc(hidden)]
#[allow(missing_docs, clippy::expect_used, clippy::missing_panics_doc)]
pub mod behavior {
    use super::*;

    pub async fn dispatch_takes_an_event_once<H: DispatcherHarness>() {
        let harness = H::start().await;
        let event = created("k");
        assert_took(&harness.deliver(&event).await);
        for _ in 0..3 {
            assert_eq!(harness.deliver(&event).await, Ok(Disposition::Duplicate));
        }
        assert_took(&harness.deliver(&created("l")).await);
        assert_eq!(harness.taken().await, ["k", "l"]);
    }

    pub async fn dispatch_takes_one_of_many_concurrent_copies<H: DispatcherHarness>() {
        let harness = H::start().await;
        let event = created("k");
        let mut copies = JoinSet::new();
        for _ in 0..32 {
            let (dispatcher, received) = (harness.dispatcher(), event.received());
            copies.spawn(async move { dispatcher.dispatch(received).await });
        }
        let mut took = 0;
        for answer in copies.join_all().await {
            match answer {
                Ok(Disposition::Duplicate) => {}
                Ok(_) => took += 1,
                Err(error) => assert!(!error.retry_after().is_zero(), "{error}"),
            }
        }
        assert_eq!(took, 1);
        assert_eq!(harness.deliver(&event).await, Ok(Disposition::Duplicate));
        assert_eq!(harness.taken().await, ["k"]);
    }

    pub async fn dispatch_compares_keys_byte_for_byte<H: DispatcherHarness>() {
        let harness = H::start().await;
        let keys = ["k", "K", "k ", "\u{212a}", "ke\u{301}", "k\u{e9}"];
        for key in keys {
            assert_took(&harness.deliver(&created(key)).await);
        }
        assert_took(&harness.deliver(&created("k").to_endpoint("other")).await);
        for key in keys {
            assert_eq!(harness.deliver(&created(key)).await, Ok(Disposition::Duplicate), "{key:?}");
        }
        assert_eq!(harness.taken().await.len(), keys.len() + 1);
    }

    pub async fn dispatch_distinguishes_a_duplicate_from_a_conflict<H: DispatcherHarness>() {
        let harness = H::start().await;
        let (first, other) = (created("k"), event::room_destroyed().key("k").untyped());
        assert_took(&harness.deliver(&first).await);
        for _ in 0..2 {
            assert_eq!(harness.deliver(&other).await, Ok(Disposition::Conflict));
            assert_eq!(harness.deliver(&first).await, Ok(Disposition::Duplicate));
        }
        // The same fields in other bytes are also a different body.
        let spaced = format!("{} ", first.text());
        let delivery = jaas_core::Delivery::parse("main", first.delivery().received_at, spaced.into());
        let spaced = delivery.expect("readable").into();
        assert_eq!(harness.dispatcher().dispatch(spaced).await, Ok(Disposition::Conflict));
        assert_eq!(harness.taken().await, ["k"]);
    }

    pub async fn dispatch_takes_unknown_types<H: DispatcherHarness>() {
        let harness = H::start().await;
        let unknown = event::unknown("WHITEBOARD_OPENED").key("a");
        let odd = event::usage().set("data", "text").key("b").untyped();
        let bare = created("c").without("data").without("timestamp").without("sessionId").without("fqn");
        for event in [unknown, odd, bare] {
            assert_took(&harness.deliver(&event).await);
            assert_eq!(harness.deliver(&event).await, Ok(Disposition::Duplicate));
        }
        assert_eq!(harness.taken().await, ["a", "b", "c"]);
    }

    pub async fn dispatch_quarantines_bodies_without_an_envelope<H: DispatcherHarness>() {
        let harness = H::start().await;
        let keyless = created("k").without("idempotencyKey");
        for _ in 0..2 {
            assert_eq!(harness.deliver(&keyless).await, Ok(Disposition::Quarantined));
        }
        let at = created("k").delivery().received_at;
        for (name, bytes) in crate::fixture::UNREADABLE {
            let unreadable =
                jaas_core::Delivery::parse("main", at, (*bytes).into()).expect_err("no envelope");
            let answer = harness.dispatcher().dispatch(unreadable.into()).await;
            assert_eq!(answer, Ok(Disposition::Quarantined), "{name}");
        }
        assert!(harness.taken().await.is_empty());
    }

    pub async fn dispatch_takes_a_failed_event_when_it_comes_again<H: DispatcherHarness>() {
        let harness = H::start().await;
        harness.fail_next();
        let error = harness.deliver(&created("k")).await.expect_err("scripted to fail");
        assert!(!error.retry_after().is_zero(), "{error}");
        assert!(harness.taken().await.is_empty());
        assert_took(&harness.deliver(&created("k")).await);
        assert_eq!(harness.deliver(&created("k")).await, Ok(Disposition::Duplicate));
        assert_eq!(harness.taken().await, ["k"]);
    }

    pub async fn dispatch_loses_and_doubles_nothing_when_the_sender_hangs_up<H: DispatcherHarness>() {
        let harness = H::start().await;
        let keys: Vec<String> = (0..10).map(|polls| format!("k{polls}")).collect();
        for (polls, key) in keys.iter().enumerate() {
            let dispatcher = harness.dispatcher();
            let mut call = dispatcher.dispatch(created(key).received());
            for _ in 0..polls {
                let answered = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
                if answered {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(call);
            // Refused as long as the first is in progress.
            while harness.deliver(&created(key)).await.is_err() {
                tokio::task::yield_now().await;
            }
            assert_eq!(
                harness.deliver(&created(key)).await,
                Ok(Disposition::Duplicate),
                "after {polls} polls"
            );
        }
        assert_eq!(harness.taken().await, keys);
    }
}

/// What the tests do with a dispatcher, in one line each.
#[async_trait]
trait Deliver {
    async fn deliver(&self, event: &EventBuilder) -> Result<Disposition, DispatchError>;
}

#[async_trait]
impl<H: DispatcherHarness> Deliver for H {
    async fn deliver(&self, event: &EventBuilder) -> Result<Disposition, DispatchError> {
        self.dispatcher().dispatch(event.received()).await
    }
}

fn created(key: &str) -> EventBuilder {
    event::room_created().key(key).untyped()
}

/// Asserts that the event is accepted now, and was not before.
#[track_caller]
fn assert_took(answer: &Result<Disposition, DispatchError>) {
    let took = matches!(answer, Ok(Disposition::Stored | Disposition::Handled | Disposition::Ignored));
    assert!(took, "not accepted as new: {answer:?}");
}
