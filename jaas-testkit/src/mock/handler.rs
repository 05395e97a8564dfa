//! A handler with an expectation for each call.

// What mockall generates from the methods.
#![allow(unreachable_pub, missing_debug_implementations)]

use async_trait::async_trait;
use jaas_core::event::{self, UnknownEvent, UnknownReason};
use jaas_core::{Context, Delivery, EventHandler, HandlerResult};

macro_rules! mock_every_method {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        mockall::mock! {
            /// A handler with an expectation for each call: for every event's method of
            /// [`EventHandler`](jaas_core::EventHandler) there is an `expect_…`, which gets the delivery and the
            /// payload. It works with any store, because it never gets a transaction.
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
            /// # Unexpected events
            /// It is strict: an event without a matching expectation **panics**, and the message names the method, the
            /// delivery and the payload. (The trait's own methods would ignore it; a [`Recorder`](crate::Recorder)
            /// accepts everything.) When a test calls the handler directly, that panic fails the test. A worker,
            /// `Direct` and [`FakeDispatcher`](crate::FakeDispatcher) catch it as they catch every handler's: there it
            /// is a failed run, so also assert how the event ended.
            ///
            /// Unmet expectations panic when the mock is dropped. Mount an `Arc` and keep another, so that the test
            /// drops it last: a panic in a worker's task would go unnoticed.
            pub EventHandler {
                $(
                    #[doc = $doc]
                    pub fn $method(&self, delivery: &Delivery, event: &event::$Event) -> HandlerResult;
                )*

                /// An event without a method; its type is in the delivery's envelope.
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
