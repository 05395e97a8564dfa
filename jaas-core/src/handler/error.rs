//! How a run of a handler failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::lenient::DecodeError;

/// A failed run of a handler, and what to do next.
///
/// `?` turns any error into "retry": the event runs again after a growing back-off, until its attempts are exhausted
/// and it becomes a dead letter. Only a [`DecodeError`](crate::event::DecodeError) becomes a permanent failure.
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
    retry: Retry,
    source: Box<dyn Error + Send + Sync>,
}

/// What to do after a failed run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// Run again after the usual back-off.
    Backoff,
    /// Run again no sooner than this; the worker waits no longer than its back-off's maximum.
    After(Duration),
    /// Another run would gain nothing: the event becomes a dead letter. If another handler of the event asks for a
    /// retry, though, the event runs again, and this handler with it.
    Never,
}

impl HandlerError {
    /// A failure that another attempt may overcome; `?` makes this of an error.
    pub fn retry(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retry: Retry::Backoff, source: source.into() }
    }

    /// A failure that another attempt may overcome, but no sooner than `delay`, or than the longest wait of the
    /// worker's [`Backoff`](crate::Backoff) if that is shorter.
    pub fn retry_after(delay: Duration, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retry: Retry::After(delay), source: source.into() }
    }

    /// A failure that no other attempt would overcome. The event becomes a dead letter, unless another handler of it
    /// asks for a retry: then the event runs again first, and this handler with it; see [`Handlers`](crate::Handlers).
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { retry: Retry::Never, source: source.into() }
    }

    /// What to do next.
    pub fn when_to_retry(&self) -> Retry {
        self.retry
    }

    /// What went wrong.
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

// `HandlerError` does not implement `Error`; that is what lets `?` convert every error into it.
impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for HandlerError {
    fn from(source: E) -> Self {
        let source = source.into();
        // Stored data does not change: if it does not decode today, it will not decode tomorrow.
        let retry = if source.is::<DecodeError>() { Retry::Never } else { Retry::Backoff };
        Self { retry, source }
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
        f.debug_struct("HandlerError").field("retry", &self.retry).field("source", &self.source).finish()
    }
}

/// Compares the next step and the message.
impl PartialEq for HandlerError {
    fn eq(&self, other: &Self) -> bool {
        self.retry == other.retry && self.to_string() == other.to_string()
    }
}
