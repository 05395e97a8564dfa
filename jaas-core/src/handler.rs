//! What an application does when events arrive: the trait, what its methods receive, and what they return.

mod error;

use std::borrow::Cow;
use std::fmt;

use async_trait::async_trait;
use serde::de::DeserializeOwned;

pub use self::error::{HandlerError, Retry};

use crate::delivery::Delivery;
use crate::envelope::Envelope;
use crate::event::*;

/// Defines the trait from the table of events: one method per event, the dispatch to it, and the forwarding.
macro_rules! define_handler {
    ($(#[doc = $doc:literal] $Event:ident $wire:literal $method:ident;)*) => {
        /// What an application does when events arrive: one method per event type. Implement the ones you need.
        ///
        /// # What the framework promises
        /// - Only authentic events reach the handler.
        /// - **Order**: within a session, events that wait at the same time run one at a time, earliest `timestamp`
        ///   first. An event that arrives late is still late: `PARTICIPANT_JOINED` can come before `ROOM_CREATED`
        ///   (documented).
        /// - **How often**: with [`Handlers::transactional`](crate::Handlers::transactional), what a method writes
        ///   through [`Context::tx`] is committed together with the event's completion or not at all, so its rows exist
        ///   once. Everything else a method does (e-mails, HTTP calls, rows written over another connection, and
        ///   anything mounted with [`Handlers::plain`](crate::Handlers::plain)) happens *at least* once: a crash
        ///   between the effect and the completion repeats it.
        /// - A method that returns an error, panics or exceeds its timeout runs again later, until it succeeds or the
        ///   event is dead-lettered; see [`HandlerError`](crate::HandlerError).
        ///
        /// # What the implementor owes
        /// - Tolerate a second run for effects outside `tx`, keyed by
        ///   [`idempotency_key`](crate::Envelope::idempotency_key).
        /// - Do not block the thread.
        /// - Expect fields to be absent.
        ///
        /// # Choosing `Tx`
        /// `Tx` is the store's transaction. Implement `EventHandler` (that is, `EventHandler<()>`) when you do not need
        /// one: such a handler runs on every store. Implement `EventHandler<SomeConnection>` to write in the
        /// transaction that completes the event; the compiler then accepts the handler only on a store that has such
        /// transactions.
        ///
        /// A method that is not implemented returns [`Handled::Ignored`], so the events it missed can be found and
        /// replayed once you implement it.
        ///
        /// ```
        /// use async_trait::async_trait;
        /// use jaas_core::event::RecordingUploaded;
        /// use jaas_core::{Context, EventHandler, Handled, HandlerResult};
        ///
        /// struct Archive;
        ///
        /// #[async_trait]
        /// impl EventHandler for Archive {
        ///     async fn recording_uploaded(&self, cx: &mut Context<'_>, event: &RecordingUploaded) -> HandlerResult {
        ///         let link = event.pre_authenticated_link.as_ref().ok_or("a recording without a link")?;
        ///         println!("room {:?} was recorded: {} bytes of link", cx.envelope().fqn.room(), link.expose().len());
        ///         Ok(Handled::Done)
        ///     }
        /// }
        /// ```
        #[diagnostic::on_unimplemented(
            message = "`{Self}` does not implement `EventHandler<{Tx}>`",
            note = "a handler without a transaction implements `EventHandler` and is mounted with `Handlers::plain`",
            note = "a handler that writes through `cx.tx()` implements `EventHandler<TheStoresConnection>` and is mounted with `Handlers::transactional`"
        )]
        #[async_trait]
        pub trait EventHandler<Tx: Send = ()>: Send + Sync + 'static {
            /// Receives every event, whatever its type. The provided method calls the event's method. Override it for
            /// what concerns all events, such as an audit log: call [`Event::dispatch`] to go on, and return its
            /// result.
            ///
            /// # Errors
            /// As for every method: [`HandlerError`](crate::HandlerError) says what happens next.
            async fn any_event(&self, cx: &mut Context<'_, Tx>, event: &Event) -> HandlerResult {
                event.dispatch(self, cx).await
            }

            $(
                #[doc = $doc]
                #[doc = concat!("\n\nCalled for `", $wire, "`. 8x8 documents it on [its page](https://developer.8x8.com/jaas/docs/webhooks-payload); the [payload](crate::event::", stringify!($Event), ") says what is known about its fields, and from which source:\n\n", $Event!())]
                async fn $method(&self, cx: &mut Context<'_, Tx>, event: &$Event) -> HandlerResult {
                    let _ = (cx, event);
                    Ok(Handled::unimplemented())
                }
            )*

            /// Receives an event that has no method: a type this version does not know, or a known type whose `data`
            /// has the wrong shape.
            ///
            /// Called for every `eventType` not in [`EventKind::ALL`]. The raw data is in [`Context::data`].
            ///
            /// The provided method ignores the event. For data that does not decode, its note gives the reason, and the
            /// log has a warning. Look for such events among the ignored ones of their type, and replay them with a
            /// version that decodes them, or with this method. To make dead letters of them instead, return
            /// `Err(HandlerError::permanent(event.reason.clone()))` for [`UnknownReason::Data`].
            async fn unknown(&self, cx: &mut Context<'_, Tx>, event: &UnknownEvent<'_>) -> HandlerResult {
                let _ = cx;
                Ok(Handled::unknown(event.reason))
            }
        }

        define_handler!(@forward Box [$($Event $method,)*]);
        define_handler!(@forward std::sync::Arc [$($Event $method,)*]);

        impl Event {
            /// Calls the handler method of this event and bypasses [`EventHandler::any_event`].
            ///
            /// # Errors
            /// The error that the handler returns.
            pub async fn dispatch<Tx: Send, H>(&self, handler: &H, cx: &mut Context<'_, Tx>) -> HandlerResult
            where
                H: EventHandler<Tx> + ?Sized,
            {
                match self {
                    $(Self::$Event(payload) => handler.$method(cx, payload).await,)*
                    Self::Unknown(reason) => {
                        let delivery = cx.delivery();
                        let event = UnknownEvent { event_type: &delivery.envelope.event_type, reason };
                        handler.unknown(cx, &event).await
                    }
                }
            }
        }
    };
    (@forward $($Pointer:ident)::+ [$($Event:ident $method:ident,)*]) => {
        /// Forwards every method.
        #[async_trait]
        impl<Tx: Send, H: EventHandler<Tx> + ?Sized> EventHandler<Tx> for $($Pointer)::+<H> {
            async fn any_event(&self, cx: &mut Context<'_, Tx>, event: &Event) -> HandlerResult {
                (**self).any_event(cx, event).await
            }

            $(
                async fn $method(&self, cx: &mut Context<'_, Tx>, event: &$Event) -> HandlerResult {
                    (**self).$method(cx, event).await
                }
            )*

            async fn unknown(&self, cx: &mut Context<'_, Tx>, event: &UnknownEvent<'_>) -> HandlerResult {
                (**self).unknown(cx, event).await
            }
        }
    };
}

for_each_event!(define_handler);

const _: fn(&dyn EventHandler<()>) = |_| {};

/// What a handler method knows about the event besides its payload, and the transaction in which it may write.
///
/// ```
/// use async_trait::async_trait;
/// use jaas_core::event::ParticipantJoined;
/// use jaas_core::{Context, EventHandler, Handled, HandlerResult};
/// use serde::Deserialize;
///
/// /// A claim of our own JWTs, which JaaS copies into the event.
/// #[derive(Deserialize)]
/// struct Claims {
///     department: Option<String>,
/// }
///
/// struct Attendance;
///
/// #[async_trait]
/// impl EventHandler for Attendance {
///     async fn participant_joined(&self, cx: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
///         let claims: Claims = cx.data_as()?;
///         let who = event.participant.id.as_ref();
///         println!("{who:?} of {:?} joined, attempt {}", claims.department, cx.attempt());
///         Ok(Handled::Done)
///     }
/// }
/// ```
pub struct Context<'a, Tx = ()> {
    delivery: &'a Delivery,
    tx: &'a mut Tx,
}

impl<'a, Tx> Context<'a, Tx> {
    /// Creates a context as the worker does. In tests, use it to call a handler method directly.
    pub fn new(delivery: &'a Delivery, tx: &'a mut Tx) -> Self {
        Self { delivery, tx }
    }

    /// The common fields: key, kind, tenant, session, room, time.
    pub fn envelope(&self) -> &'a Envelope {
        &self.delivery.envelope
    }

    /// How it was delivered: endpoint, time of receipt, attempt, raw body.
    pub fn delivery(&self) -> &'a Delivery {
        self.delivery
    }

    /// Which run of the handler this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.delivery.attempt
    }

    /// The raw `data`, as JSON text.
    pub fn data(&self) -> &'a str {
        self.delivery.data()
    }

    /// Decodes the raw `data` into your own type, for fields this crate does not know.
    ///
    /// # Errors
    /// When `data` is not a `T`. With `?` that becomes a permanent failure.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        self.delivery.data_as()
    }

    /// The transaction in which the event will be completed: what you write here is committed together with the
    /// completion, or not at all.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
    }
}

impl<Tx> fmt::Debug for Context<'_, Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("delivery", self.delivery).finish_non_exhaustive()
    }
}

/// What a handler method returns.
pub type HandlerResult = Result<Handled, HandlerError>;

/// How the handler dealt with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// The work is done.
    Done,
    /// The handler looked at the event, and it needs nothing, for the reason given. Ignored events are kept apart from
    /// done ones, so that they can be found and replayed.
    Ignored(Cow<'static, str>),
}

impl Handled {
    /// The event needs nothing, because of `reason`.
    pub fn ignored(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Ignored(reason.into())
    }

    /// The result of a method that is not implemented.
    pub(crate) fn unimplemented() -> Self {
        Self::ignored("no handler for this event type")
    }

    /// The result of [`unknown`](crate::EventHandler::unknown) when it is not implemented.
    pub(crate) fn unknown(reason: &UnknownReason) -> Self {
        match reason {
            UnknownReason::Type => Self::unimplemented(),
            // The handler may implement the method of the type; it was not called.
            UnknownReason::Data(error) => {
                Self::ignored(format!("not decoded: {error}; no handler for events that do not decode"))
            }
        }
    }
}

impl Delivery {
    /// Gives the event to a handler as the worker does: decodes it and calls [`any_event`](EventHandler::any_event). In
    /// unit tests, this is the shortest way to call a handler.
    ///
    /// # Errors
    /// The error that the handler returns.
    pub async fn handle<Tx: Send>(
        &self,
        handler: &(impl EventHandler<Tx> + ?Sized),
        tx: &mut Tx,
    ) -> HandlerResult {
        handler.any_event(&mut Context::new(self, tx), &self.event()).await
    }
}
