//! What a handler method is given and what it answers.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::delivery::{DataError, Delivery};
use crate::envelope::Envelope;
use crate::event::UnknownReason;

/// What a handler method knows about the event besides its payload, and the transaction it may write in.
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
    /// A context as the worker makes it; in tests, use it to call a handler method directly.
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

    /// The raw `data` as JSON text.
    pub fn data(&self) -> &'a str {
        self.delivery.data()
    }

    /// The raw `data` decoded into a type of your own, for fields this crate does not know.
    ///
    /// # Errors
    /// When `data` is not a `T`. `?` makes that a permanent failure.
    pub fn data_as<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        self.delivery.data_as()
    }

    /// The transaction in which the event will be completed: what is written here is committed together with
    /// the completion, or not at all.
    pub fn tx(&mut self) -> &mut Tx {
        self.tx
    }
}

impl<Tx> fmt::Debug for Context<'_, Tx> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("delivery", self.delivery).finish_non_exhaustive()
    }
}

/// What a handler method answers.
pub type HandlerResult = Result<Handled, HandlerError>;

/// How an event was dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handled {
    /// The work is done.
    Done,
    /// The event was looked at and needs nothing, for the reason given. It is kept apart from done ones, so
    /// that it can be found and replayed.
    Ignored(Cow<'static, str>),
}

impl Handled {
    /// The event needs nothing, because of `reason`.
    pub fn ignored(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Ignored(reason.into())
    }

    /// What a method returns that is not implemented.
    pub(crate) fn unimplemented() -> Self {
        Self::ignored("no handler for this event type")
    }

    /// What [`unknown`](crate::EventHandler::unknown) returns that is not implemented.
    pub(crate) fn unknown(reason: &UnknownReason) -> Self {
        match reason {
            UnknownReason::Type => Self::unimplemented(),
            // The method of the type may well be there; it was not called.
            UnknownReason::Data(error) => {
                Self::ignored(format!("not decoded: {error}; no handler for events that do not decode"))
            }
        }
    }
}

/// A failed run of a handler, and what to do next.
///
/// `?` turns any error into "retry": the event is run again after a growing back-off, until the attempts are
/// used up and it becomes a dead letter. (Only of a [`DataError`] it makes a permanent failure.)
///
/// ```
/// use jaas_core::{HandlerError, HandlerResult, Handled};
/// use std::time::Duration;
///
/// fn pick_a_shard(room: &str) -> HandlerResult {
///     let number: u32 = room.parse()?; // retried
///     match number {
///         0..10 => Ok(Handled::Done),
///         10 => Err(HandlerError::retry_after(Duration::from_secs(60), "shard 10 is being moved")),
///         _ => Err(HandlerError::permanent("no such shard")),
///     }
/// }
/// # assert_eq!(pick_a_shard("7"), Ok(Handled::Done));
/// # assert!(pick_a_shard("x").is_err());
/// ```
pub struct HandlerError {
    next: Next,
    source: Box<dyn Error + Send + Sync>,
}

/// What to do after a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Run again after the usual back-off.
    Retry,
    /// Run again no sooner than this; the worker waits no longer than its back-off's maximum.
    RetryAfter(Duration),
    /// Nothing is gained by another run: the event becomes a dead letter. While another handler of it asks for a retry it
    /// is run again, though, and this handler with it.
    DeadLetter,
}

impl HandlerError {
    /// A failure that another attempt may get past; what `?` makes of an error.
    pub fn retry(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { next: Next::Retry, source: source.into() }
    }

    /// A failure that another attempt may get past, but no sooner than `delay`, or the longest wait of the worker's
    /// [`Backoff`](crate::Backoff) if that is shorter.
    pub fn retry_after(delay: Duration, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { next: Next::RetryAfter(delay), source: source.into() }
    }

    /// A failure that no other attempt would get past. The event becomes a dead letter, unless another handler of it asks for
    /// a retry: then it is run again first, and this handler with it; see [`Handlers`](crate::Handlers).
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { next: Next::DeadLetter, source: source.into() }
    }

    /// What to do next.
    pub fn next(&self) -> Next {
        self.next
    }

    /// What went wrong.
    pub fn source(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

// `HandlerError` is not an `Error` itself, which is what lets `?` convert every error into it.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(source: E) -> Self {
        let source = source.into();
        // Stored data does not change, so what it cannot be read as today it cannot be read as tomorrow.
        let next = if source.is::<DataError>() { Next::DeadLetter } else { Next::Retry };
        Self { next, source }
    }
}

/// The error and its sources, outermost first, separated by `: `.
impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)?;
        let mut cause = self.source.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError").field("next", &self.next).field("source", &self.source).finish()
    }
}

/// Compares what to do next and the message.
impl PartialEq for HandlerError {
    fn eq(&self, other: &Self) -> bool {
        self.next == other.next && self.to_string() == other.to_string()
    }
}
