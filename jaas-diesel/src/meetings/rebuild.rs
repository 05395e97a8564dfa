//! Computing the tables of meetings again from the stored bodies.

use std::collections::BTreeMap;

use jaas_core::meetings::Edge;
use jaas_core::store::{EventAdmin, EventQuery, PageRequest, StoreError};
use jaas_core::{Delivery, Fqn, SessionId, Timestamp};

use super::notes::NoteRows;
use super::rows::{EdgeRow, indexed};
use super::{Meetings, MeetingsConnection};
use crate::error::unavailable;

/// What [`Meetings::rebuild`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rebuilt {
    /// How many sessions were computed again.
    pub sessions: u64,
    /// How many events with a body were read for it.
    pub events: u64,
}

impl Meetings {
    /// Computes the tables again of every session with an event in this range (`until` is not part of it), from the bodies that
    /// the store still has: after names are to be kept, or for events that came before the handler was mounted. What is known
    /// of events that were purged or erased stays.
    ///
    /// It announces no ends of meetings. The worker may go on meanwhile: each session is one transaction.
    ///
    /// # Errors
    /// When the store or the tables cannot be read or written. What was done until then stays; call it again.
    pub async fn rebuild<C, S>(
        &self,
        connection: &mut C,
        store: &S,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Rebuilt, StoreError>
    where
        C: MeetingsConnection,
        S: EventAdmin,
    {
        let mut rebuilt = Rebuilt::default();
        let mut done: std::collections::BTreeSet<SessionId> = std::collections::BTreeSet::new();
        let page = PageRequest { limit: 200, ..PageRequest::first() };
        let mut query = EventQuery { from: Some(from), until: Some(until), page, ..EventQuery::default() };
        loop {
            let events = store.events(&query).await?;
            for session in events.items.into_iter().filter_map(|event| event.session_id) {
                if done.insert(session.clone()) {
                    rebuilt.sessions += 1;
                    rebuilt.events += self.rebuild_session(connection, store, session).await?;
                }
            }
            match events.next {
                Some(next) => query.page.after = Some(next),
                None => return Ok(rebuilt),
            }
        }
    }

    async fn rebuild_session<C, S>(
        &self,
        connection: &mut C,
        store: &S,
        session: SessionId,
    ) -> Result<u64, StoreError>
    where
        C: MeetingsConnection,
        S: EventAdmin,
    {
        let page = PageRequest { limit: 200, ..PageRequest::first() };
        let mut query = EventQuery { session_id: Some(session.clone()), page, ..EventQuery::default() };
        let mut edges: BTreeMap<String, EdgeRow> = BTreeMap::new();
        let (mut keys, mut notes): (Vec<String>, Vec<NoteRows>) = (Vec::new(), Vec::new());
        let (mut read, mut fqn) = (0, None::<Fqn>);
        loop {
            let events = store.events(&query).await?;
            for event in events.items.into_iter().filter(|event| !event.body.is_empty()) {
                read += 1;
                let body = (*event.body).clone();
                let Ok(delivery) = Delivery::parse(event.endpoint, event.received_at, body) else { continue };
                let decoded = delivery.event();
                fqn.get_or_insert_with(|| delivery.envelope.fqn.clone());
                keys.push(indexed(delivery.envelope.idempotency_key.as_str()));
                notes.extend(NoteRows::of(&delivery, &decoded, self));
                let Some(edge) = Edge::of_event(&delivery, &decoded) else { continue };
                let row = EdgeRow::new(&delivery.envelope.idempotency_key, &edge, self.names);
                edges.insert(row.event_key.clone(), row);
            }
            match events.next {
                Some(next) => query.page.after = Some(next),
                None => break,
            }
        }
        let Some(fqn) = fqn else { return Ok(read) };
        let edges: Vec<EdgeRow> = edges.into_values().collect();
        let session = indexed(session.as_str());
        let failed = |error| unavailable("rebuild the tables of meetings", error);
        loop {
            connection.begin().await.map_err(failed)?;
            let replaced = async {
                let used = connection.replace(&session, &edges, &fqn).await?;
                connection.forget(&session, &keys).await?;
                for rows in &notes {
                    connection.note(rows).await?;
                }
                Ok::<i64, diesel::result::Error>(used)
            };
            let used = match replaced.await {
                Ok(used) => used,
                Err(error) => {
                    // When this fails too, the connection is of no use any more, and the database rolls back.
                    let _ = connection.rollback().await;
                    return Err(failed(error));
                }
            };
            connection.commit().await.map_err(failed)?;
            // An edge that was written meanwhile was not looked at.
            if connection.count_edges(&session).await.map_err(failed)? == used {
                return Ok(read);
            }
        }
    }
}
