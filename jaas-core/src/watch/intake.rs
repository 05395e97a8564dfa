//! The handler that writes down what was seen.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::rule::Rules;
use super::sighting::Sighting;
use super::store::{GapStore, NewSightings};
use crate::clock::Clock;
use crate::event::Event;
use crate::handler::{Context, EventHandler, Handled, HandlerError, HandlerResult};

/// Writes down what each event shows, in the transaction in which the event is handled, with two statements at most.
/// Mount it with [`Handlers::transactional`](crate::Handlers::transactional) on the same store as the watch.
///
/// Events without a session are ignored. When an event is handled again, nothing changes.
pub struct WatchHandler<S> {
    pub(super) store: Arc<S>,
    pub(super) rules: Rules,
    pub(super) clock: Arc<dyn Clock>,
}

#[async_trait]
impl<S: GapStore> EventHandler<S::Tx> for WatchHandler<S> {
    async fn any_event(&self, cx: &mut Context<'_, S::Tx>, event: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        let Some(session) = delivery.envelope.session_id.clone() else {
            return Ok(Handled::ignored("the event is of no session"));
        };
        let now = self.clock.now();
        let sightings = Sighting::of(delivery, event, now);
        if sightings.is_empty() {
            let known = self.store.touch_session(cx.tx(), &session, now).await;
            return Ok(if known.map_err(HandlerError::retry)? {
                Handled::Done
            } else {
                Handled::ignored("nothing follows the event")
            });
        }
        let new = NewSightings {
            session,
            fqn: delivery.envelope.fqn.clone(),
            sightings,
            now,
            due_at: now.saturating_add(self.rules.shortest()),
        };
        self.store.record_sightings(cx.tx(), &new).await.map_err(HandlerError::retry)?;
        Ok(Handled::Done)
    }
}

impl<S> fmt::Debug for WatchHandler<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchHandler").field("rules", &self.rules).finish_non_exhaustive()
    }
}
