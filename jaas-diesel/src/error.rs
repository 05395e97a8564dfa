//! The errors of the stores: a function for each [`StoreError`] that this crate creates.
//!
//! `jaas_core` creates those that every store has, such as [`StoreError::not_found`]. A message says what cannot be
//! done, where and why, and what to do about it.

use std::time::Duration;

use diesel::result::{DatabaseErrorKind, Error};
use jaas_core::store::{StoreError, StoreErrorKind};

/// The operation failed in the database. As far as the store knows it changed nothing, and it may succeed later.
pub(crate) fn unavailable(
    operation: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("cannot {operation}")).with_source(source)
}

/// The database did not return a result within the timeout.
pub(crate) fn not_in_time(operation: &str, timeout: Duration) -> StoreError {
    unavailable(operation, format!("the database did not respond within {timeout:?}"))
}

/// The queue is full.
pub(crate) fn overloaded(operation: &str) -> StoreError {
    let why = "as many calls as the store's queue holds are waiting for the database; try again later";
    StoreError::new(StoreErrorKind::Overloaded, format!("cannot {operation}: {why}"))
}

/// The application has closed the store.
pub(crate) fn closed(operation: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Closed, format!("cannot {operation}: the store was closed"))
}

/// The operation is not allowed. The same call fails again.
pub(crate) fn refused(operation: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Refused, format!("cannot {operation}: {why}"))
}

/// A commit failed. If what the handler wrote is the reason, the commit would fail again. Otherwise, as with a full
/// disk, it may succeed later.
pub(crate) fn not_committed(operation: &str, error: Error) -> StoreError {
    use DatabaseErrorKind as Kind;
    match &error {
        Error::DatabaseError(
            Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::NotNullViolation | Kind::CheckViolation,
            _,
        )
        | Error::BrokenTransactionManager
        | Error::AlreadyInTransaction
        | Error::NotInTransaction => {
            refused(operation, "what the handler wrote cannot be committed").with_source(error)
        }
        _ => unavailable(operation, error),
    }
}

/// What a handler wrote is no longer in the transaction that the store began for it.
pub(crate) fn transaction_ended(source: Error) -> StoreError {
    StoreError::new(
        StoreErrorKind::TransactionEnded,
        "cannot commit what the handler wrote: its transaction was ended, an inner one was left open, or a statement in it \
         failed and the handler went on; put a statement that may fail into its own inner transaction, or use ON CONFLICT",
    )
    .with_source(source)
}

/// The same error for another caller of the same commit.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn same(error: &StoreError) -> StoreError {
    StoreError::new(error.kind(), error.to_string())
}

/// There is already such a row.
pub(crate) fn exists(why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Exists, why)
}

/// There is no such row.
pub(crate) fn not_found(why: &str) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, why)
}

/// A row holds something that this version cannot decode.
pub(crate) fn corrupt(why: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, why)
}
