//! The handler that fills the tables of meetings.

use async_trait::async_trait;
use jaas_core::event::Event;
use jaas_core::meetings::Edge;
use jaas_core::{Context, EventHandler, Handled, HandlerResult};

use super::notes::NoteRows;
use super::rows::EdgeRow;
use super::{Meetings, MeetingsConnection};

/// Writes what each event says into the tables of meetings, with at most three statements; a list with thousands of entries takes
/// one more for each thousand. Mount it as
/// [transactional](jaas_core::Handlers::transactional); it ignores all other events.
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
            // From now on and not from the end: what was received late, such as a later opening, is handled within it too.
            let due_at = clock.now().max(edge.at).saturating_add(*grace);
            cx.tx().record(&row, &edge.fqn, due_at.as_millis()).await?;
            return Ok(Handled::Done);
        }
        let notes = NoteRows::of(delivery, event, &self.meetings);
        if notes.is_empty() {
            return Ok(Handled::ignored("it says nothing that the tables of meetings hold"));
        }
        for rows in &notes {
            cx.tx().note(rows).await?;
        }
        Ok(Handled::Done)
    }
}
