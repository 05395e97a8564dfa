//! What the page of gaps needs of a store with any transactions.

use async_trait::async_trait;
use jaas_core::store::{Page, StoreError};
use jaas_core::watch::{GapCount, GapQuery, GapRecord, GapStore};

/// [`GapStore`] without its transactions.
#[async_trait]
pub(crate) trait Gaps: Send + Sync {
    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError>;
    async fn counts(&self) -> Result<Vec<GapCount>, StoreError>;
}

/// A store with any transactions.
pub(crate) struct Watching<S>(pub(crate) S);

#[async_trait]
impl<S: GapStore> Gaps for Watching<S> {
    async fn gaps(&self, query: &GapQuery) -> Result<Page<GapRecord>, StoreError> {
        self.0.gaps(query).await
    }

    async fn counts(&self) -> Result<Vec<GapCount>, StoreError> {
        self.0.gap_counts().await
    }
}
