//! From diesel's errors to a store's.

use jaas_core::store::{StoreError, StoreErrorKind};

/// An error while talking to the database: nothing is known to have happened, and it may work later.
pub(crate) fn unavailable(
    operation: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("cannot {operation}")).with_source(source)
}
