//! What the store tells, in the words of `jaas-core`.

use std::collections::BTreeMap;

use jaas_core::store::{
    Attempt, AttemptQuery, AuditEntry, AuditNote, Conflict, DeadLetterGroup, EventQuery, EventState, Page,
    PageRequest, Quarantined, RowId, StateStats, StoreStats, StoredEvent,
};

use crate::record::Event;
use crate::rows::Rows;

impl Rows {
    pub(crate) fn list_events(&self, query: &EventQuery) -> Page<StoredEvent> {
        let limit = query.page.clamped_limit();
        let events = self.matching(query).take(limit + 1).map(Event::told).collect();
        Page::from_rows(events, limit, |event| event.id)
    }

    pub(crate) fn list_conflicts(&self, page: PageRequest) -> Page<Conflict> {
        list(
            self.conflicts.values(),
            page,
            |row| row.id,
            |row| {
                let key = row.why.as_str().into();
                let mut told =
                    Conflict::new(row.id, row.endpoint.clone(), key, row.first_at, row.body.body());
                (told.last_received_at, told.seen) = (row.last_at, row.seen);
                told
            },
        )
    }

    pub(crate) fn list_quarantined(&self, page: PageRequest) -> Page<Quarantined> {
        list(
            self.quarantined.values(),
            page,
            |row| row.id,
            |row| {
                let (endpoint, reason) = (row.endpoint.clone(), row.why.clone());
                let mut told = Quarantined::new(row.id, endpoint, reason, row.first_at, row.body.body());
                (told.last_received_at, told.seen) = (row.last_at, row.seen);
                told
            },
        )
    }

    pub(crate) fn list_attempts(&self, query: &AttemptQuery) -> Page<Attempt> {
        let matching = self.attempts.values().filter(|row| {
            query.event.is_none_or(|event| row.event == event)
                && query.outcome.is_none_or(|outcome| row.outcome == outcome)
        });
        list(
            matching,
            query.page,
            |row| row.id,
            |row| {
                let mut told = Attempt::new(row.id, row.event, row.fence, row.outcome, row.ended_at);
                told.worker = row.worker.as_deref().map(str::to_owned);
                told.error.clone_from(&row.error);
                told
            },
        )
    }

    pub(crate) fn list_audit(&self, page: PageRequest) -> Page<AuditEntry> {
        list(
            self.audit.values(),
            page,
            |row| row.id,
            |row| {
                let (of, note) =
                    ((row.endpoint.clone(), row.key.clone()), AuditNote::new(&*row.by, &*row.reason));
                AuditEntry::new(row.id, row.event, of, row.action, note, row.at)
            },
        )
    }

    pub(crate) fn dead_letters(&self) -> Vec<DeadLetterGroup> {
        let mut groups: BTreeMap<(&str, Option<&str>), DeadLetterGroup> = BTreeMap::new();
        for event in self.events.values().filter(|event| event.state == EventState::Dead) {
            let at = event.settled_at.unwrap_or(event.received_at);
            let (kind, error) = (&event.event_type, &event.note);
            let group = groups.entry((kind, error.as_deref()));
            let group = group.or_insert_with(|| DeadLetterGroup::new(kind.clone(), error.clone(), 0, at, at));
            group.count += 1;
            group.first_at = group.first_at.min(at);
            group.last_at = group.last_at.max(at);
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups.truncate(DeadLetterGroup::MAX_GROUPS);
        groups
    }

    pub(crate) fn stats(&self) -> StoreStats {
        let mut stats = StoreStats::default();
        (stats.conflicts, stats.quarantined) = (self.conflicts.len() as u64, self.quarantined.len() as u64);
        for state in EventState::ALL {
            let received = self.events.values().filter(|event| event.state == state);
            let received: Vec<_> = received.map(|event| event.received_at).collect();
            stats.set(state, StateStats::new(received.len() as u64, received.into_iter().min()));
        }
        stats
    }
}

impl Event {
    fn told(&self) -> StoredEvent {
        let (endpoint, key) = (self.endpoint.clone(), self.key.clone());
        let mut told = StoredEvent::new(self.id, endpoint, key, self.received_at, self.body.clone());
        told.event_type.clone_from(&self.event_type);
        told.session_id.clone_from(&self.session);
        told.fqn.clone_from(&self.fqn);
        told.occurred_at = self.occurred_at;
        told.state = self.state;
        told.failures = self.failures;
        told.crashes = self.crashes;
        told.interruptions = self.interruptions;
        told.completed.clone_from(&self.completed);
        told.due_at = self.due_at;
        told.worker = self.worker.as_deref().map(str::to_owned);
        told.settled_at = self.settled_at;
        told.note.clone_from(&self.note);
        told.erased_at = self.erased_at;
        told.trace = self.trace();
        told
    }
}

/// One page of rows that are in the order of their numbers.
fn list<'a, Row: 'a, Told>(
    rows: impl Iterator<Item = &'a Row>,
    page: PageRequest,
    id: impl Fn(&Row) -> RowId,
    told: impl Fn(&Row) -> Told,
) -> Page<Told> {
    let limit = page.clamped_limit();
    let matching = rows.filter(|row| page.after.is_none_or(|after| id(row) > after));
    let Page { items, next } = Page::from_rows(matching.take(limit + 1).collect(), limit, |row| id(row));
    Page { items: items.into_iter().map(told).collect(), next }
}
