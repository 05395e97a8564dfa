//! A handler of which each call is expected.

// What mockall makes of the methods.
#![allow(unreachable_pub, missing_debug_implementations)]

use async_trait::async_trait;
use jaas_core::event::{self, UnknownEvent, UnknownReason};
use jaas_core::{Context, Delivery, EventHandler, HandlerResult};

macro_rules! mock_every_method {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        mockall::mock! {
            /// A handler of which each call is expected: for every event's method of [`EventHandler`](jaas_core::EventHandler)
            /// there is an `expect_…`, which is given the delivery and the payload. It fits any store, because it is
            /// never given a transaction.
            ///
            /// ```
            /// use jaas_core::{Handled, HandlerError};
            /// use jaas_testkit::{event, MockEventHandler};
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let mut handler = MockEventHandler::new();
            /// handler
            ///     .expect_participant_joined()
            ///     .withf(|delivery, event| delivery.attempt == 1 && !event.room.is_breakout())
            ///     .times(1)
            ///     .returning(|_, _| Ok(Handled::Done));
            /// handler.expect_unknown().returning(|delivery, _| {
            ///     Err(HandlerError::permanent(format!("what is {}?", delivery.envelope.event_type)))
            /// });
            ///
            /// assert_eq!(event::participant_joined().handle(&handler).await, Ok(Handled::Done));
            /// assert!(event::unknown("WHITEBOARD_OPENED").handle(&handler).await.is_err());
            /// # });
            /// ```
            ///
            /// # Events that are not expected
            /// It is strict: an event without an expectation that fits **panics**, and the message names the method, the
            /// delivery and the payload. (The trait's own methods would ignore it; a [`Recorder`](crate::Recorder) takes
            /// everything.) When a test calls the handler itself, that panic fails the test. A worker, `Direct` and
            /// [`FakeDispatcher`](crate::FakeDispatcher) catch it as they catch every handler's: there it is a failed
            /// run, so also assert how the event ended.
            ///
            /// Expectations that were not met panic when the mock is dropped. Mount an `Arc` and keep another, so that
            /// it is the test that drops it: in a worker's task nobody would hear.
            pub EventHandler {
                $(
                    #[doc = $doc]
                    pub fn $method(&self, delivery: &Delivery, event: &event::$Event) -> HandlerResult;
                )*

                /// An event without a method of its own; its type is in the delivery's envelope.
                pub fn unknown(&self, delivery: &Delivery, reason: &UnknownReason) -> HandlerResult;
            }
        }

        #[async_trait]
        impl<Tx: Send> EventHandler<Tx> for MockEventHandler {
            $(
                async fn $method(&self, cx: &mut Context<'_, Tx>, event: &event::$Event) -> HandlerResult {
                    MockEventHandler::$method(self, cx.delivery(), event)
                }
            )*

            async fn unknown(&self, cx: &mut Context<'_, Tx>, event: &UnknownEvent<'_>) -> HandlerResult {
                MockEventHandler::unknown(self, cx.delivery(), event.reason)
            }
        }
    };
}
jaas_core::for_each_event!(mock_every_method);
