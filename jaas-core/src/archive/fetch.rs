//! Getting the bytes behind a link.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::private::Link;

/// Fetches what is behind a link. [`HttpFetcher`](super::HttpFetcher) does so over HTTPS; put another one in its place
/// to go through a proxy, or in tests.
#[async_trait]
pub trait Fetch: Send + Sync + 'static {
    /// Begins to fetch, from the first byte or from where an earlier fetch has stopped.
    ///
    /// # Errors
    /// When there is nothing to be had now, or ever: see [`FetchErrorKind`]. The message does not have the link in it.
    ///
    /// # What the implementor owes
    /// - With `resume`, either a body that begins at that byte of the same file, or one that begins at its first byte.
    /// - A body that ends before [`Fetched::length`] bytes, or stalls, ends with an error. No wait is without a bound.
    /// - The bytes are those of the file: nothing is decompressed.
    async fn fetch(&self, link: &Link, resume: Option<&Resume>) -> Result<Fetched, FetchError>;
}

/// Where to go on, and how to know that it is the same file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// How many bytes are there already.
    pub from: u64,
    /// What the server said of the file then: a strong entity tag.
    pub validator: String,
}

/// A file as it arrives.
#[non_exhaustive]
pub struct Fetched {
    /// Which byte of the file the body begins with.
    pub from: u64,
    /// How long the whole file is, in bytes, if that is known.
    pub length: Option<u64>,
    /// What the file is known by when fetching goes on later; `None` when it cannot go on.
    pub validator: Option<String>,
    /// The bytes.
    pub body: BoxStream<'static, Result<Bytes, FetchError>>,
}

impl Fetched {
    /// A file from its first byte, of unknown length, that cannot be resumed.
    pub fn new(body: BoxStream<'static, Result<Bytes, FetchError>>) -> Self {
        Self { from: 0, length: None, validator: None, body }
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched")
            .field("from", &self.from)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Why a file was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    kind: FetchErrorKind,
    message: String,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// It may go well later: the server cannot be reached, is busy, or refuses. Tried again until the deadline.
    Failed,
    /// The file is not there any more.
    Gone,
    /// The link is one that is never fetched.
    Refused,
    /// This configuration does not allow it, and another one would: the host is not one of those allowed, or the file
    /// is too large. The file is reported as at risk, and is tried again until the deadline.
    NotAllowed,
}

impl FetchError {
    /// An error of this kind. The message must not have the link in it.
    pub fn new(kind: FetchErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// An error of the kind [`Failed`](FetchErrorKind::Failed).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FetchErrorKind::Failed, message)
    }

    /// What to do about it.
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }
}

const _: fn(&dyn Fetch) = |_| {};
