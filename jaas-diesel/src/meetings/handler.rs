//! The handler that fills the tables of meetings.

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::meetings::Edge;
use jaas_core::{Context, EventHandler, Handled, HandlerResult};

use super::notes::NoteRows;
use super::rows::EdgeRow;
use super::{Meetings, MeetingsConnection};

/// Writes what events say about meetings into the tables of meetings. An event takes at most three statements, and a list
/// one more for each thousand entries. Mount it as [transactional](jaas_core::Handlers::transactional). It ignores events
/// that say nothing about a meeting.
#[derive(Debug, Clone)]
pub struct MeetingsHandler {
    meetings: Meetings,
}

impl Meetings {
    /// The handler that fills the tables, for any of the three databases.
    pub fn handler(&self) -> MeetingsHandler {
        MeetingsHandler { meetings: self.clone() }
    }
}

#[async_trait]
impl<Tx: MeetingsConnection> EventHandler<Tx> for MeetingsHandler {
    async fn any_event(&self, cx: &mut Context<'_, Tx>, event: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        let Meetings { names, grace, clock, .. } = &self.meetings;
        if let Some(edge) = Edge::of_event(delivery, event) {
            let row = EdgeRow::new(&delivery.envelope.idempotency_key, &edge, *names);
            // The grace period begins now and not at the end of the meeting, so that events that arrive late, such as a later
            // opening, come before the announcement. An event can also be dated in the future.
            let due_at = clock.now().max(edge.at).saturating_add(*grace);
            cx.tx().record(&row, &edge.fqn, due_at.as_millis()).await?;
            return Ok(Handled::Done);
        }
        let notes = NoteRows::of(delivery, event, &self.meetings);
        if notes.is_empty() {
            return Ok(Handled::ignored("the event has nothing for the tables of meetings"));
        }
        for rows in &notes {
            cx.tx().note(rows).await?;
        }
        Ok(Handled::Done)
    }
}
