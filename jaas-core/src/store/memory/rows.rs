//! What the memory store holds, in the tables of every store over sorted maps.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::drift::DriftRecord;
use crate::settings::SettingsRecord;
use crate::store::row::EventRow;
use crate::store::tables::{BodyKey, EventTables, MemoryTables, Phase, ReadTables, Scheduled, TableRow};
use crate::store::{
    Conflict, EventState, Keep, Purged, Quarantined, Retention, RowId, StateStats, StoreError,
    StoreErrorKind, StoreStats,
};
use crate::timestamp::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Rows {
    capacity: usize,
    pub(super) last_id: i64,
    pub(super) tables: MemoryTables,
    /// The rows of bodies by endpoint, key and hash.
    bodies: HashMap<(String, String, Vec<u8>), RowId>,
    /// Waiting events by queue, whether they are passable, and their place.
    waiting: BTreeSet<(String, bool, Timestamp, RowId)>,
    queues: HashMap<String, Scheduled>,
    /// The same queues by phase and time.
    due: BTreeSet<(Phase, Timestamp, String)>,
    pub(super) settings: Vec<SettingsRecord>,
    pub(super) watch: super::gap_rows::WatchedSessions,
    pub(super) drift: Vec<DriftRecord>,
    #[cfg(feature = "archive")]
    pub(super) artifacts: super::artifact_rows::Artifacts,
}

/// Fails when the store is full.
pub(super) fn check_room(used: usize, capacity: usize) -> Result<(), StoreError> {
    if used < capacity {
        return Ok(());
    }
    Err(StoreError::new(
        StoreErrorKind::Overloaded,
        format!("the in-memory store is full ({capacity} rows); use a database, or with_capacity"),
    ))
}

impl ReadTables for Rows {
    type Error = StoreError;

    fn find<R: TableRow>(&self, row: RowId) -> Result<Option<R>, StoreError> {
        Ok(R::of(&self.tables).get(&row).cloned())
    }

    fn all<R: TableRow>(&self) -> Result<Vec<R>, StoreError> {
        Ok(R::of(&self.tables).values().cloned().collect())
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut stats = StoreStats::default();
        stats.conflicts = self.tables.conflicts.len() as u64;
        stats.quarantined = self.tables.quarantine.len() as u64;
        for EventRow { event, .. } in self.tables.events.values() {
            let StateStats { count, oldest } = stats.state(event.state);
            let oldest = oldest.or(Some(event.received_at));
            stats.set(event.state, StateStats::new(count.saturating_add(1), oldest));
        }
        Ok(stats)
    }

    fn row_of(&self, (endpoint, key, hash): BodyKey<'_>) -> Result<Option<RowId>, StoreError> {
        Ok(self.bodies.get(&(endpoint.to_owned(), key.to_owned(), hash.to_owned())).copied())
    }

    fn waiting(&self, queue: &str, passable: bool, limit: usize) -> Result<Vec<RowId>, StoreError> {
        let first = (queue.to_owned(), passable, Timestamp::from_millis(i64::MIN), RowId::new(i64::MIN));
        let of_queue =
            self.waiting.range(first..).take_while(|(of, may, ..)| of == queue && *may == passable);
        Ok(of_queue.take(limit).map(|(.., event)| *event).collect())
    }

    fn scheduled(&self, queue: &str) -> Result<Option<Scheduled>, StoreError> {
        Ok(self.queues.get(queue).copied())
    }

    fn due(
        &self,
        phase: Phase,
        at: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, String)>, StoreError> {
        let from = self.due.range((phase, *at.start(), String::new())..);
        let due = from.take_while(|(of, time, _)| *of == phase && at.contains(time));
        Ok(due.take(limit).map(|(_, time, queue)| (*time, queue.clone())).collect())
    }
}

impl EventTables for Rows {
    fn next_id(&mut self) -> Result<RowId, StoreError> {
        Ok(self.new_id())
    }

    fn put<R: TableRow>(&mut self, row: &R) -> Result<(), StoreError> {
        let limited = [Conflict::TABLE, Quarantined::TABLE].contains(&R::TABLE);
        let (rows, id) = (R::of_mut(&mut self.tables), row.id());
        if limited && !rows.contains_key(&id) {
            check_room(rows.len(), self.capacity)?;
        }
        rows.insert(id, row.clone());
        Ok(())
    }

    fn save(&mut self, row: EventRow) -> Result<(), StoreError> {
        let place = |row: &EventRow| {
            let (at, id) = row.place();
            (row.queue(), row.passable, at, id)
        };
        match self.tables.events.get(&row.event.id) {
            Some(before) if before.event.state == EventState::Waiting => {
                self.waiting.remove(&place(before));
            }
            Some(_) => {}
            None => {
                check_room(self.tables.events.len(), self.capacity)?;
                let body = (&*row.event.endpoint, row.event.idempotency_key.as_str(), &[][..]);
                self.set_row_of(body, row.event.id)?;
            }
        }
        if row.event.state == EventState::Waiting {
            self.waiting.insert(place(&row));
        }
        self.tables.events.insert(row.event.id, row);
        Ok(())
    }

    fn delete(&mut self, rows: &HashSet<RowId>) -> Result<(), StoreError> {
        let gone = |id: &RowId| rows.contains(id);
        self.tables.events.retain(|id, _| !gone(id));
        self.tables.conflicts.retain(|id, _| !gone(id));
        self.tables.quarantine.retain(|id, _| !gone(id));
        self.tables.attempts.retain(|id, _| !gone(id));
        self.bodies.retain(|_, id| !gone(id));
        Ok(())
    }

    fn delete_samples(&mut self, before: RowId) -> Result<(), StoreError> {
        self.tables.samples = self.tables.samples.split_off(&before);
        Ok(())
    }

    fn set_row_of(&mut self, (endpoint, key, hash): BodyKey<'_>, row: RowId) -> Result<(), StoreError> {
        self.bodies.insert((endpoint.to_owned(), key.to_owned(), hash.to_owned()), row);
        Ok(())
    }

    fn schedule(&mut self, queue: &str, to: Option<Scheduled>) -> Result<(), StoreError> {
        if let Some(before) = self.queues.remove(queue) {
            self.due.remove(&(before.phase, before.at, queue.to_owned()));
        }
        if let Some(to) = to {
            self.queues.insert(queue.to_owned(), to);
            self.due.insert((to.phase, to.at, queue.to_owned()));
        }
        Ok(())
    }

    fn purge(&mut self, retention: &Retention, now: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let MemoryTables { events, conflicts, quarantine, attempts, .. } = &self.tables;
        let events = events.values().map(|row| &row.event);
        // The link of an artifact is in the body of its event.
        #[cfg(feature = "archive")]
        let events = events.filter(|event| !self.artifacts.wait_for(event.id));
        let (conflicts, bodies, attempts) = (conflicts.values(), quarantine.values(), attempts.values());
        let expired = retention.expired(events, conflicts, bodies, attempts, now, limit);
        self.delete(&expired.rows)?;
        #[cfg(feature = "archive")]
        self.artifacts.0.retain(|_, row| !expired.rows.contains(&row.record.event));
        Ok(expired.purged)
    }
}

impl Rows {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Returns a number for the next row of any kind.
    pub(super) fn new_id(&mut self) -> RowId {
        self.last_id += 1;
        RowId::new(self.last_id)
    }
}

/// Deletes the rows that need not be kept, oldest first, at most `limit`. Returns how many, and whether there are more.
pub(super) fn purge_rows<T>(
    rows: &mut Vec<T>,
    keep: Keep,
    now: Timestamp,
    limit: usize,
    age: impl Fn(&T) -> (Timestamp, RowId),
) -> (u64, bool) {
    let expired = keep.expired(rows.iter().map(&age), now);
    let deleted: HashSet<RowId> = expired.iter().take(limit).copied().collect();
    rows.retain(|row| !deleted.contains(&age(row).1));
    (deleted.len() as u64, expired.len() > limit)
}
