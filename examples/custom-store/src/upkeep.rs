//! What people do to events, and what becomes of old ones.

use std::collections::{BTreeMap, HashSet};

use jaas_core::store::{
    AuditAction, AuditNote, EventQuery, EventState, Keep, Page, Purged, Retention, RowId, StoreError,
};
use jaas_core::{SessionId, Timestamp};

use crate::record::{Event, Kept, Record};
use crate::rows::Rows;

impl Rows {
    pub(crate) fn replay(&mut self, id: RowId, note: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let mut event = self.event(id)?;
        if !event.state.is_settled() {
            return Err(StoreError::not_settled(id, event.state));
        }
        if event.erased_at.is_some() {
            return Err(StoreError::erased(id));
        }
        if event.state == EventState::Done {
            event.completed.clear();
        }
        event.state = EventState::Waiting;
        (event.failures, event.crashes, event.interruptions) = (0, 0, 0);
        (event.due_at, event.settled_at, event.note) = (now, None, None);
        self.record_audit(&event, AuditAction::Replayed, note, now);
        self.put_event(event);
        Ok(())
    }

    pub(crate) fn replay_matching(
        &mut self,
        query: &EventQuery,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        if query.is_empty() {
            return Err(StoreError::empty_query());
        }
        let limit = query.page.clamped_limit();
        let matching = self.matching(query).take(limit + 1).map(|event| event.id).collect();
        let mut page = Page::from_rows(matching, limit, |id| *id);
        // Those that are not settled or have no body are passed over.
        page.items.retain(|id| self.replay(*id, note, now).is_ok());
        Ok(page)
    }

    pub(crate) fn discard(&mut self, id: RowId, note: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let mut event = self.event(id)?;
        match event.state {
            EventState::Waiting | EventState::Ignored | EventState::Dead => {}
            state => return Err(StoreError::not_discardable(id, state)),
        }
        event.settle(EventState::Discarded, Some(note.reason.to_string()), now);
        self.record_audit(&event, AuditAction::Discarded, note, now);
        self.put_event(event);
        Ok(())
    }

    pub(crate) fn erase_session(
        &mut self,
        session: &SessionId,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let of_session = self.events.values().filter(|event| event.session.as_ref() == Some(session));
        let of_session: Vec<Event> = of_session.cloned().collect();
        let running = of_session.iter().filter(|event| event.state == EventState::Running).count();
        if running > 0 {
            return Err(StoreError::some_are_running(running as u64));
        }
        let mut erased = 0;
        for mut event in of_session {
            let id = event.id;
            if event.erased_at.is_none() {
                if event.state == EventState::Waiting {
                    event.settle(EventState::Discarded, None, now);
                }
                (event.note, event.erased_at, event.body) = (None, Some(now), Default::default());
                event.trace = event.trace().map(|trace| trace.traceparent().to_owned());
                self.record_audit(&event, AuditAction::Erased, note, now);
                self.put_event(event);
                erased += 1;
            }
            self.put(Record::Hush(id));
            self.mark_erased();
        }
        Ok(erased)
    }

    pub(crate) fn purge(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> Purged {
        let by_state = EventState::ALL.map(|state| self.expired_events(state, retention, now));
        let events = by_state.concat();
        let conflicts = expired(&self.conflicts, retention.conflicts(), now);
        let quarantined = expired(&self.quarantined, retention.quarantined(), now);
        let more = [&events, &conflicts, &quarantined].into_iter().any(|ids| ids.len() > limit);
        let first = |ids: Vec<RowId>| ids.into_iter().take(limit);
        let events = first(events).map(|id| self.put(Record::ForgetEvent(id))).count() as u64;
        // Some went with their event.
        let conflicts: HashSet<RowId> =
            first(conflicts).filter(|id| self.conflicts.contains_key(id)).collect();
        conflicts.iter().for_each(|id| self.put(Record::ForgetConflict(*id)));
        let quarantined = first(quarantined).map(|id| self.put(Record::ForgetQuarantined(id))).count() as u64;
        Purged::new(events, conflicts.len() as u64, quarantined, more)
    }

    /// The events of this state that need not be kept, those that were settled first at the front.
    fn expired_events(&self, state: EventState, retention: &Retention, now: Timestamp) -> Vec<RowId> {
        let of_state = self.events.values().filter(|event| event.state == state);
        let ages = of_state.filter_map(|event| Some((event.settled_at?, event.id))).collect();
        let mut expired = older(ages, retention.events(state), now);
        // Only a stored key tells that a signed request was sent before.
        expired.retain(|id| {
            self.events.get(id).is_some_and(|event| event.received_at < retention.keys_before(now))
        });
        expired
    }

    /// Events that match, oldest row first.
    pub(crate) fn matching<'a>(&'a self, query: &'a EventQuery) -> impl Iterator<Item = &'a Event> {
        fn fits<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
            wanted.is_none_or(|wanted| wanted == is)
        }
        self.events.values().filter(move |event| {
            query.page.after.is_none_or(|after| event.id > after)
                && fits(query.state.as_ref(), &event.state)
                && fits(query.event_type.as_ref(), &event.event_type)
                && fits(query.idempotency_key.as_ref(), &event.key)
                && fits(query.fqn.as_ref(), &event.fqn)
                && fits(query.endpoint.as_ref(), &event.endpoint)
                && (query.session_id.is_none() || query.session_id == event.session)
                && query.from.is_none_or(|from| event.occurred_at >= from)
                && query.until.is_none_or(|until| event.occurred_at < until)
        })
    }
}

fn expired(rows: &BTreeMap<RowId, Kept>, keep: Keep, now: Timestamp) -> Vec<RowId> {
    older(rows.values().map(|row| (row.last_at, row.id)).collect(), keep, now)
}

/// Those beyond the count that is kept, and those beyond the age.
fn older(mut ages: Vec<(Timestamp, RowId)>, keep: Keep, now: Timestamp) -> Vec<RowId> {
    ages.sort_unstable();
    let kept = keep.count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let surplus = ages.len().saturating_sub(kept);
    let too_old = |at: Timestamp| keep.age.is_some_and(|age| at < now.saturating_sub(age));
    let expired = ages.iter().enumerate().filter(|(index, (at, _))| *index < surplus || too_old(*at));
    expired.map(|(_, (_, id))| *id).collect()
}
