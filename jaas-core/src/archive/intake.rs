//! The handler that writes down which files are to be fetched.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::links::links;
use super::store::{ArtifactStore, NewArtifact};
use crate::event::Event;
use crate::handler::{Context, EventHandler, Handled, HandlerError, HandlerResult};

/// Writes one artifact for each link of an event, in the transaction in which the event is handled. Mount it with
/// [`Handlers::transactional`](crate::Handlers::transactional) on the same store as the archive; it is quick, and
/// fetches nothing.
///
/// Events without a link are ignored. When an event is handled again, what is there stays.
pub struct Intake<S> {
    pub(super) store: Arc<S>,
    pub(super) at_risk: Duration,
    pub(super) added: Arc<Notify>,
}

#[async_trait]
impl<S: ArtifactStore> EventHandler<S::Tx> for Intake<S> {
    async fn any_event(&self, cx: &mut Context<'_, S::Tx>, _: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        let artifacts: Vec<_> = links(delivery)
            .into_iter()
            .map(|link| NewArtifact {
                slot: link.slot.to_owned(),
                kind: link.kind,
                deadline: link.deadline,
                risk_at: link.deadline.saturating_sub(self.at_risk),
            })
            .collect();
        if artifacts.is_empty() {
            return Ok(Handled::ignored("the event links to no file"));
        }
        self.store.add_artifacts(cx.tx(), delivery, &artifacts).await.map_err(HandlerError::retry)?;
        // Before it is committed; the archiver looks a little later.
        self.added.notify_one();
        Ok(Handled::Done)
    }
}

impl<S> fmt::Debug for Intake<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").field("at_risk", &self.at_risk).finish_non_exhaustive()
    }
}
