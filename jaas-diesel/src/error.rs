//! From diesel's errors to a store's.

use jaas_core::store::{StoreError, StoreErrorKind};

/// An error while talking to the database: nothing is known to have happened, and it may work later.
pub(crate) fn unavailable(
    operation: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("cannot {operation}")).with_source(source)
}

/// A commit that failed for what the handler wrote will fail again; a commit that failed for the disk may not.
pub(crate) fn not_committed(operation: &str, error: diesel::result::Error) -> StoreError {
    use diesel::result::DatabaseErrorKind as Kind;
    use diesel::result::Error;
    match &error {
        Error::DatabaseError(
            Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::NotNullViolation | Kind::CheckViolation,
            _,
        )
        | Error::BrokenTransactionManager
        | Error::AlreadyInTransaction
        | Error::NotInTransaction => StoreError::new(
            StoreErrorKind::Refused,
            format!("cannot {operation}: what it wrote cannot be committed"),
        )
        .with_source(error),
        _ => unavailable(operation, error),
    }
}

/// The store was closed.
pub(crate) fn closed(operation: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Closed, format!("cannot {operation}: the store was closed"))
}

/// The database did not answer within the timeout.
pub(crate) fn not_in_time(operation: &str, timeout: std::time::Duration) -> StoreError {
    StoreError::new(
        StoreErrorKind::Unavailable,
        format!("cannot {operation}: the database did not answer within {timeout:?}"),
    )
}
