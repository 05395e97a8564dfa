//! All dispatchers keep their contract, including the fake for tests.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::store::{EventAdmin as _, EventQuery, MemoryStore};
use jaas_core::{
    Context, Delivery, Direct, DispatchError, DispatchErrorKind, Dispatcher, Disposition, EventHandler,
    Handled, HandlerResult, Handlers, Inbox, Incoming,
};
use jaas_testkit::conformance::DispatcherHarness;
use jaas_testkit::{FakeDispatcher, Fault, FaultyStore, Op};

fn key(delivery: &Delivery) -> String {
    delivery.envelope.idempotency_key.to_string()
}

/// A handler that needs a few turns, fails on request, and remembers what it has done.
#[derive(Clone, Default)]
struct Slow {
    fails: Arc<AtomicBool>,
    done: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl EventHandler for Slow {
    async fn any_event(&self, cx: &mut Context<'_>, _: &Event) -> HandlerResult {
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err("on purpose".into());
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.done.lock().expect("unpoisoned").push(key(cx.delivery()));
        Ok(Handled::Done)
    }
}

mod inbox {
    use super::*;

    struct OverMemory(FaultyStore<MemoryStore>);

    #[async_trait]
    impl DispatcherHarness for OverMemory {
        async fn start() -> Self {
            Self(FaultyStore::new(MemoryStore::new()))
        }

        fn dispatcher(&self) -> Arc<dyn Dispatcher> {
            Arc::new(Inbox::new(self.0.clone()))
        }

        fn fail_next(&self) {
            self.0.script(Op::Accept, Fault::Before);
        }

        async fn taken(&self) -> Vec<String> {
            let events = self.0.events(&EventQuery::default()).await.expect("listed").items;
            events.into_iter().map(|event| event.idempotency_key.into_string()).collect()
        }
    }

    jaas_testkit::dispatcher_conformance!(OverMemory);
}

mod direct {
    use super::*;

    struct OfOneHandler {
        direct: Arc<Direct>,
        handler: Slow,
    }

    #[async_trait]
    impl DispatcherHarness for OfOneHandler {
        async fn start() -> Self {
            let handler = Slow::default();
            let direct = Direct::builder(Handlers::new().plain("handler", handler.clone())).build();
            Self { direct: Arc::new(direct.expect("a good configuration")), handler }
        }

        fn dispatcher(&self) -> Arc<dyn Dispatcher> {
            self.direct.clone()
        }

        fn fail_next(&self) {
            self.handler.fails.store(true, Ordering::SeqCst);
        }

        async fn taken(&self) -> Vec<String> {
            self.handler.done.lock().expect("unpoisoned").clone()
        }
    }

    jaas_testkit::dispatcher_conformance!(OfOneHandler);
}

/// The two forms of the fake.
macro_rules! fake {
    ($form:ident $Harness:ident $make:expr) => {
        mod $form {
            use super::*;

            struct $Harness(FakeDispatcher);

            #[async_trait]
            impl DispatcherHarness for $Harness {
                async fn start() -> Self {
                    Self($make)
                }

                fn dispatcher(&self) -> Arc<dyn Dispatcher> {
                    Arc::new(self.0.clone())
                }

                fn fail_next(&self) {
                    self.0.fail_next("on purpose");
                }

                async fn taken(&self) -> Vec<String> {
                    self.0.taken().iter().map(key).collect()
                }
            }

            jaas_testkit::dispatcher_conformance!($Harness);
        }
    };
}

fake!(fake_recording Recording FakeDispatcher::recording());
fake!(fake_running Running FakeDispatcher::running(Slow::default()));

/// The suite notices a dispatcher that breaks its contract: by what it does with a delivery, or by what it returns.
mod flawed {
    use jaas_testkit::conformance::{block_on, dispatcher_behavior};
    use jaas_testkit::fixture;

    use super::*;

    type Answer = Result<Disposition, DispatchError>;

    macro_rules! flawed {
        ($($test:ident breaks $behavior:ident: $see:expr, $say:expr;)*) => {$(
            #[test]
            #[should_panic]
            fn $test() {
                struct Flawed(FakeDispatcher);

                #[async_trait]
                impl Dispatcher for Flawed {
                    async fn dispatch(&self, received: Incoming) -> Answer {
                        let (see, say): (fn(Incoming) -> Incoming, fn(&Incoming, Answer) -> Answer) = ($see, $say);
                        let received = see(received);
                        say(&received, self.0.dispatch(received.clone()).await)
                    }
                }

                #[async_trait]
                impl DispatcherHarness for Flawed {
                    async fn start() -> Self {
                        Self(FakeDispatcher::running(Slow::default()))
                    }

                    fn dispatcher(&self) -> Arc<dyn Dispatcher> {
                        Arc::new(Self(self.0.clone()))
                    }

                    fn fail_next(&self) {
                        self.0.fail_next("on purpose");
                    }

                    async fn taken(&self) -> Vec<String> {
                        self.0.taken().iter().map(key).collect()
                    }
                }

                block_on(dispatcher_behavior::$behavior::<Flawed>);
            }
        )*};
    }

    flawed! {
        a_key_that_is_not_remembered breaks dispatch_takes_an_event_once: fresh, same;
        a_key_that_is_not_taken_atomically breaks dispatch_takes_one_of_many_concurrent_copies: fresh, same;
        a_key_in_another_spelling breaks dispatch_compares_keys_byte_for_byte: lower_case, same;
        a_conflict_that_is_not_reported breaks dispatch_distinguishes_a_duplicate_from_a_conflict: as_it_came, |_, answer| {
            answer.map(|disposition| if disposition == Disposition::Conflict { Disposition::Duplicate } else { disposition })
        };
        an_unknown_type_that_is_refused breaks dispatch_takes_unknown_types: as_it_came, |received, answer| {
            let unknown = matches!(received, Incoming::Event(event) if event.envelope.event_type == "WHITEBOARD_OPENED");
            if unknown { Err(DispatchError::new(DispatchErrorKind::Unavailable, "unknown", SECOND)) } else { answer }
        };
        an_unreadable_body_that_is_refused breaks dispatch_quarantines_bodies_without_an_envelope: as_it_came, |received, answer| {
            if matches!(received, Incoming::Unreadable(_)) { Err(DispatchError::new(DispatchErrorKind::Unavailable, "what?", SECOND)) } else { answer }
        };
        a_failure_that_is_acknowledged breaks dispatch_takes_a_failed_event_when_it_comes_again: as_it_came, |_, answer| {
            Ok(answer.unwrap_or(Disposition::Handled))
        };
        a_wait_of_nothing breaks dispatch_takes_a_failed_event_when_it_comes_again: as_it_came, |_, answer| {
            answer.map_err(|error| DispatchError::new(error.kind(), error.to_string(), std::time::Duration::ZERO))
        };
    }

    const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

    fn as_it_came(received: Incoming) -> Incoming {
        received
    }

    fn same(_: &Incoming, answer: Answer) -> Answer {
        answer
    }

    fn fresh(received: Incoming) -> Incoming {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        with_key(received, |_| format!("key {}", NEXT.fetch_add(1, Ordering::SeqCst)))
    }

    fn lower_case(received: Incoming) -> Incoming {
        with_key(received, |key| key.to_lowercase())
    }

    fn with_key(received: Incoming, key_of: impl FnOnce(String) -> String) -> Incoming {
        let Incoming::Event(event) = received else { return received };
        let body = std::str::from_utf8(event.body()).expect("UTF-8");
        let body = fixture::with_key(body, &key_of(key(&event))).expect("a key");
        Delivery::parse(event.endpoint, event.received_at, body.into()).expect("readable").into()
    }

    /// Burns the key first and handles the event afterwards, inside the request.
    struct Burning {
        known: Mutex<std::collections::HashSet<String>>,
        handler: Slow,
    }

    #[async_trait]
    impl Dispatcher for Burning {
        async fn dispatch(&self, received: Incoming) -> Answer {
            let Incoming::Event(event) = received else { return Ok(Disposition::Quarantined) };
            if !self.known.lock().expect("unpoisoned").insert(key(&event)) {
                return Ok(Disposition::Duplicate);
            }
            let handled = event.handle(&self.handler, &mut ()).await;
            handled.map(|_| Disposition::Handled).map_err(|error| {
                DispatchError::new(DispatchErrorKind::HandlerFailed, error.to_string(), SECOND)
            })
        }
    }

    struct BurningHarness(Arc<Burning>);

    #[async_trait]
    impl DispatcherHarness for BurningHarness {
        async fn start() -> Self {
            Self(Arc::new(Burning { known: Mutex::default(), handler: Slow::default() }))
        }

        fn dispatcher(&self) -> Arc<dyn Dispatcher> {
            self.0.clone()
        }

        fn fail_next(&self) {
            self.0.handler.fails.store(true, Ordering::SeqCst);
        }

        async fn taken(&self) -> Vec<String> {
            self.0.handler.done.lock().expect("unpoisoned").clone()
        }
    }

    #[test]
    #[should_panic]
    fn a_key_that_is_burnt_before_the_work_loses_the_event_after_a_hang_up() {
        block_on(
            dispatcher_behavior::dispatch_loses_and_doubles_nothing_when_the_sender_hangs_up::<BurningHarness>,
        );
    }

    #[test]
    #[should_panic]
    fn a_key_that_is_burnt_before_the_work_breaks_failing() {
        block_on(dispatcher_behavior::dispatch_takes_a_failed_event_when_it_comes_again::<BurningHarness>);
    }
}
