//! Where files are kept.

use async_trait::async_trait;
use bytes::Bytes;

use super::name::ObjectName;

/// A place that keeps files. [`ObjectSink`](super::ObjectSink) is one over every kind of store that the crate
/// `object_store` knows.
///
/// # What the implementor owes
/// - An object is not visible under its name before it is whole, even after a crash in between; then it survives a
///   crash of process and machine.
/// - Writing an object that is there replaces it, in one step.
/// - A future that is dropped may leave parts behind that are not visible, and nothing else.
/// - No wait is without a bound.
#[async_trait]
pub trait Sink: Send + Sync + 'static {
    /// Begins an object.
    ///
    /// # Errors
    /// When the sink cannot be written now.
    async fn begin(&self, name: &ObjectName) -> Result<Box<dyn Upload>, SinkError>;

    /// Deletes an object; it is not an error if the object is not there.
    ///
    /// # Errors
    /// When it cannot be deleted now.
    async fn delete(&self, name: &ObjectName) -> Result<(), SinkError>;
}

/// An object that is being written.
#[async_trait]
pub trait Upload: Send {
    /// Adds bytes.
    ///
    /// # Errors
    /// When they cannot be written: the sink is full, or refuses. Then [abort](Upload::abort) the upload.
    async fn write(&mut self, bytes: Bytes) -> Result<(), SinkError>;

    /// Makes the object visible. `Ok` means that it is kept.
    ///
    /// # Errors
    /// When it cannot become visible. Then [abort](Upload::abort) the upload.
    async fn commit(&mut self) -> Result<(), SinkError>;

    /// Removes what was written, as far as that is possible.
    async fn abort(&mut self);
}

/// Why a file is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sink failed: {message}")]
pub struct SinkError {
    message: String,
}

impl SinkError {
    /// An error with this text, which must not have a link in it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

const _: fn(&dyn Sink) = |_| {};
