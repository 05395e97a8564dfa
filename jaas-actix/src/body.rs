//! Reads a request's body within its limits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::error::PayloadError;
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use jaas_core::Reply;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The `Retry-After` when too many bytes are in flight.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum NotRead {
    /// It exceeded a limit.
    Refused(Reply),
    /// The sender hung up, or its chunks are malformed.
    Broken(PayloadError),
}

/// The declared length of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It ends where the framework says so. The `Content-Length`, if there is one.
    Framed(Option<u64>),
    /// It ends after this many bytes, even if more follow.
    Exactly(u64),
}

/// Reads a body of at most `max` bytes, exactly as received, and reserves room for it in the account.
///
/// A body that declares too large a length is not read at all. Room is reserved as bytes arrive and not as they are
/// declared, because a declaration costs a stranger nothing.
pub(crate) async fn read(
    payload: &mut Payload,
    declared: Declared,
    max: usize,
    held: &mut Held,
) -> Result<Bytes, NotRead> {
    let length = match declared {
        Declared::Framed(length) => length,
        Declared::Exactly(length) => Some(length),
    };
    if length.is_some_and(|bytes| usize::try_from(bytes).map_or(true, |bytes| bytes > max)) {
        return Err(NotRead::Refused(Reply::TooLarge));
    }
    let end = match declared {
        Declared::Framed(_) => usize::MAX,
        Declared::Exactly(length) => usize::try_from(length).unwrap_or(usize::MAX),
    };
    let mut only = Bytes::new();
    let mut joined = BytesMut::new();
    let mut length = 0;
    while length < end {
        let Some(chunk) = payload.next().await else {
            if let Declared::Exactly(_) = declared {
                return Err(NotRead::Broken(PayloadError::Incomplete(None)));
            }
            break;
        };
        let mut chunk = chunk.map_err(NotRead::Broken)?;
        chunk.truncate(end - length);
        length += chunk.len();
        if length > max {
            return Err(NotRead::Refused(Reply::TooLarge));
        }
        held.grow_to(length)?;
        if length == chunk.len() {
            // Most bodies arrive in one piece and are never copied.
            only = chunk;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&std::mem::take(&mut only));
        }
        joined.extend_from_slice(&chunk);
    }
    Ok(if joined.is_empty() { only } else { joined.freeze() })
}

/// The bytes of bodies that all requests may hold together.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    free: Arc<Semaphore>,
    max: usize,
}

impl Account {
    pub(crate) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(max)), max }
    }

    /// How many bytes are held now.
    pub(crate) fn bytes(&self) -> usize {
        self.max.saturating_sub(self.free.available_permits())
    }

    /// Distinguishes it from another account, for as long as it is in use.
    pub(crate) fn downgrade(&self) -> Weak<Semaphore> {
        Arc::downgrade(&self.free)
    }

    /// Opens room for one body, initially empty.
    pub(crate) fn open(&self) -> Held {
        Held { free: self.free.clone(), bytes: None }
    }
}

/// The room of one body; given back when dropped, however the request ends.
#[derive(Debug)]
pub(crate) struct Held {
    free: Arc<Semaphore>,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn grow_to(&mut self, bytes: usize) -> Result<(), NotRead> {
        let held = self.bytes.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let refused = || NotRead::Refused(Reply::Unavailable { retry_after: RETRY_AFTER });
        let more = u32::try_from(more).map_err(|_| refused())?;
        let more = self.free.clone().try_acquire_many_owned(more).map_err(|_| refused())?;
        match &mut self.bytes {
            Some(bytes) => bytes.merge(more),
            None => self.bytes = Some(more),
        }
        Ok(())
    }
}

/// A response body that keeps the unread part of the request alive until the response is written.
///
/// Without it actix would read a chunked request to its end, however far off: it closes the connection after an early
/// response only while the request's payload is still held.
pub(crate) struct Unread {
    _payload: Payload,
    body: Bytes,
}

impl Unread {
    pub(crate) fn new(payload: Payload, body: Bytes) -> Self {
        Self { _payload: payload, body }
    }
}

impl MessageBody for Unread {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.body.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let body = std::mem::take(&mut self.body);
        Poll::Ready((!body.is_empty()).then_some(Ok(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_taken_once_and_given_back_on_drop() {
        let account = Account::new(10);
        let mut one = account.open();
        one.grow_to(6).expect("fits");
        one.grow_to(4).expect("already held");
        assert_eq!(account.bytes(), 6);
        let mut two = account.open();
        assert!(two.grow_to(5).is_err());
        two.grow_to(4).expect("fits");
        assert_eq!(account.bytes(), 10);
        drop(one);
        assert_eq!(account.bytes(), 4);
        assert!(two.grow_to(usize::MAX).is_err());
        drop(two);
        assert_eq!(account.bytes(), 0);
    }
}
