//! What the page of artifacts needs of a store with any transactions.

use async_trait::async_trait;
use jaas_core::archive::{ArtifactQuery, ArtifactRecord, ArtifactStats, ArtifactStore};
use jaas_core::meetings::{TimePage, TimePageRequest};
use jaas_core::store::{Page, StoreError};

/// [`ArtifactStore`] without its transactions.
#[async_trait]
pub(crate) trait Files: Send + Sync {
    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError>;
    async fn open(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError>;
    async fn stats(&self) -> Result<ArtifactStats, StoreError>;
}

/// A store with any transactions.
pub(crate) struct AnyTx<S>(pub(crate) S);

#[async_trait]
impl<S: ArtifactStore> Files for AnyTx<S> {
    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError> {
        self.0.artifacts(query).await
    }

    async fn open(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError> {
        self.0.open_artifacts(page).await
    }

    async fn stats(&self) -> Result<ArtifactStats, StoreError> {
        self.0.artifact_stats().await
    }
}
