//! A handler with the faults that operators meet.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::archive::{ArtifactStore, NewArtifact, links};
use jaas_core::event::Event;
use jaas_core::{Context, EventHandler, Handled, HandlerError, HandlerResult};

use crate::events::{HOSTILE, RETRIED, UNKNOWN};

/// Writes nothing. It fails for some rooms and types, as the handler of an application that has rooms in a table.
#[derive(Default)]
pub(crate) struct Rooms {
    has_annex: AtomicBool,
}

impl Rooms {
    /// The application's table has the missing room from now on.
    pub(crate) fn add_annex(&self) {
        self.has_annex.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl<Tx: Send> EventHandler<Tx> for Rooms {
    async fn any_event(&self, cx: &mut Context<'_, Tx>, _: &Event) -> HandlerResult {
        let envelope = cx.envelope();
        let room = envelope.fqn.room();
        match &*envelope.event_type {
            HOSTILE => return Err(HandlerError::permanent(HOSTILE)),
            "RECORDING_UPLOADED" => {
                return Err(HandlerError::permanent(
                    "the bucket \"recordings\" refused the copy: 403 Forbidden",
                ));
            }
            "FEEDBACK" => return Ok(Handled::ignored("feedback is not kept")),
            _ => {}
        }
        match room {
            UNKNOWN if !self.has_annex.load(Ordering::Relaxed) => {
                Err(HandlerError::permanent("no such room in the table \"rooms\": annex"))
            }
            RETRIED => {
                let wait = Duration::from_secs(2 * 60 * 60);
                Err(HandlerError::retry_after(wait, "calendar.example did not respond within 5 s"))
            }
            _ => Ok(Handled::Done),
        }
    }
}

/// Notes the files behind links, and fetches none of them.
pub(crate) struct Files<S>(pub(crate) S);

#[async_trait]
impl<S: ArtifactStore> EventHandler<S::Tx> for Files<S> {
    async fn any_event(&self, cx: &mut Context<'_, S::Tx>, _: &Event) -> HandlerResult {
        let delivery = cx.delivery();
        let noted = links(delivery).into_iter().map(|link| NewArtifact {
            slot: link.slot.to_owned(),
            kind: link.kind,
            deadline: link.deadline,
            risk_at: link.deadline,
        });
        let artifacts: Vec<_> = noted.collect();
        if artifacts.is_empty() {
            return Ok(Handled::ignored("the event links to no file"));
        }
        self.0.add_artifacts(cx.tx(), delivery, &artifacts).await.map_err(HandlerError::retry)?;
        Ok(Handled::Done)
    }
}
