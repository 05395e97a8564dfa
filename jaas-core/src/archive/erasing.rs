//! Deleting the objects of a session that was erased.

use super::Archive;
use super::name::ObjectName;
use super::sink::SinkError;
use super::store::{ArtifactQuery, ArtifactState, ArtifactStore};
use crate::id::SessionId;
use crate::store::{PageRequest, RowId, StoreError};

/// Why the objects of a session are not all deleted. Deleting them again is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// The store cannot list the objects.
    #[error("the objects of the session are not listed, and so not deleted; delete them again: {0}")]
    Store(#[from] StoreError),
    /// The sink does not delete an object.
    #[error("the object of artifact {artifact} is not deleted; delete the objects of the session again")]
    Sink {
        /// The row of the artifact, whose record has the name of the object.
        artifact: RowId,
        /// What the sink reports.
        #[source]
        error: SinkError,
    },
}

impl<S: ArtifactStore> Archive<S> {
    /// Deletes the objects of a session from the sink; returns how many. Call it after
    /// [`erase_session`](crate::store::EventAdmin::erase_session), and before the purger deletes the rows: it reads the
    /// names of the objects in the records of the artifacts.
    ///
    /// It deletes what the application's handler has recorded as stored, and what the handler could not record before
    /// the session was erased. It leaves artifacts alone that still wait or are fetched, because their session is not
    /// erased. Calling it again is safe; an object that is not there counts as deleted.
    ///
    /// # Errors
    /// When the store or the sink is unavailable. Then some objects may still be there.
    pub async fn delete_objects(&self, session: &SessionId) -> Result<usize, DeleteError> {
        let mut query = ArtifactQuery { session_id: Some(session.clone()), ..ArtifactQuery::default() };
        let mut deleted = 0;
        loop {
            let page = self.store.artifacts(&query).await?;
            for record in page.items {
                let is_open = matches!(record.state, ArtifactState::Waiting | ArtifactState::Running);
                let Some(kept) = record.kept.filter(|_| !is_open) else { continue };
                let failed = |error| DeleteError::Sink { artifact: record.id, error };
                let name = ObjectName::new(kept.object.as_str());
                let name = name.map_err(|error| failed(SinkError::new(error.to_string())))?;
                self.sink.delete(&name).await.map_err(failed)?;
                deleted += 1;
            }
            let Some(next) = page.next else { return Ok(deleted) };
            query.page = PageRequest { after: Some(next), ..query.page };
        }
    }
}
