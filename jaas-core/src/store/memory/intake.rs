//! Takes responsibility for deliveries.

use super::rows::{ConflictRow, Row, Rows, cut, key};
use crate::delivery::{Delivery, Unreadable};
use crate::store::{
    Accepted, AuditAction, AuditNote, Conflict, PageRequest, QuarantineReplay, Quarantined, StoreError,
    StoreErrorKind, StoredEvent,
};
use crate::timestamp::Timestamp;

/// Fails when there is no room for another row.
pub(super) fn check_room(used: usize, capacity: usize) -> Result<(), StoreError> {
    if used < capacity {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Overloaded,
        format!("the in-memory store is full ({capacity} rows); use a database, or with_capacity"),
    ))
}

impl Rows {
    pub(super) fn accept(&mut self, delivery: Delivery, capacity: usize) -> Result<Accepted, StoreError> {
        let key = key(&delivery.endpoint, delivery.envelope.idempotency_key.as_str());
        let body_hash = delivery.body_hash();
        if let Some(first) = self.by_key.get(&key) {
            if self.events.get(first).is_some_and(|row| row.body_hash == body_hash) {
                return Ok(Accepted::Duplicate);
            }
            let same = |row: &&mut ConflictRow| row.is_of(&key.0, &key.1) && row.body_hash == body_hash;
            if let Some(ConflictRow { conflict, .. }) = self.conflicts.iter_mut().find(same) {
                conflict.seen += 1;
                conflict.last_received_at = delivery.received_at;
            } else {
                check_room(self.conflicts.len(), capacity)?;
                let conflict = Conflict::new(
                    self.next_id(),
                    delivery.endpoint.clone(),
                    delivery.envelope.idempotency_key.clone(),
                    delivery.received_at,
                    delivery.body().clone(),
                );
                self.conflicts.push(ConflictRow { conflict, body_hash });
            }
            return Ok(Accepted::Conflict);
        }
        check_room(self.events.len(), capacity)?;
        let id = self.next_id();
        let mut event = StoredEvent::new(
            id,
            delivery.endpoint.clone(),
            delivery.envelope.idempotency_key.clone(),
            delivery.received_at,
            delivery.body().clone(),
        );
        event.occurred_at = delivery.occurred_at();
        event.event_type = delivery.envelope.event_type.into_owned();
        event.session_id = delivery.envelope.session_id;
        event.fqn = delivery.envelope.fqn;
        event.trace = delivery.trace;
        let due_at = event.due_at;
        self.events.insert(id, Row { event, body_hash, fence: 0, passable: false });
        self.by_key.insert(key, id);
        self.enqueue(id, due_at);
        self.activity.accepted += 1;
        Ok(Accepted::New)
    }

    pub(super) fn quarantine(&mut self, unreadable: &Unreadable, capacity: usize) -> Result<(), StoreError> {
        let same = |q: &&mut Quarantined| q.endpoint == unreadable.endpoint && *q.body == *unreadable.body();
        if let Some(quarantined) = self.quarantine.iter_mut().find(same) {
            quarantined.seen += 1;
            quarantined.last_received_at = unreadable.received_at;
            return Ok(());
        }
        check_room(self.quarantine.len(), capacity)?;
        let quarantined = Quarantined::new(
            self.next_id(),
            unreadable.endpoint.clone(),
            unreadable.reason.to_string(),
            unreadable.received_at,
            unreadable.body().clone(),
        );
        self.quarantine.push(quarantined);
        Ok(())
    }

    /// Replays all bodies of the page that can be parsed, or returns an error and changes nothing.
    pub(super) fn replay_quarantined(
        &mut self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
        capacity: usize,
    ) -> Result<QuarantineReplay, StoreError> {
        let page = cut(&self.quarantine, page, |quarantined| quarantined.id);
        let looked_at = page.items.len();
        let readable: Vec<_> = page
            .items
            .into_iter()
            .filter_map(|row| {
                let delivery = Delivery::parse(row.endpoint, row.first_received_at, (*row.body).clone());
                Some((row.id, delivery.ok()?))
            })
            .collect();
        if let Some(last) = readable.len().checked_sub(1) {
            check_room(self.events.len() + last, capacity)?;
            check_room(self.conflicts.len() + last, capacity)?;
        }
        let unreadable = (looked_at - readable.len()) as u64;
        let mut replayed = QuarantineReplay { unreadable, next: page.next, ..QuarantineReplay::default() };
        for (id, delivery) in readable {
            let key = key(&delivery.endpoint, delivery.envelope.idempotency_key.as_str());
            replayed.count(self.accept(delivery, capacity)?);
            self.quarantine.retain(|quarantined| quarantined.id != id);
            if let Some(event) = self.by_key.get(&key).copied() {
                self.audit(event, AuditAction::Replayed, audit, now);
            }
        }
        Ok(replayed)
    }
}
