//! A transaction that writes: the tables that the operations of `jaas-core` need, and what else a store changes.

use std::collections::HashSet;
use std::mem::take;
use std::ops::RangeInclusive;

use jaas_core::store::tools::{ActivitySample, DeadLettered, EventRow, EventTables, Phase, Scheduled};
use jaas_core::store::*;
use jaas_core::{Delivery, IdempotencyKey, Timestamp};
use redb::{Database, ReadableTable as _, WriteTransaction};

use crate::rows::*;

pub struct Change {
    pub tables: WriteTransaction,
    dead_letters: Vec<DeadLettered>,
}

impl EventTables for Change {
    type Error = Fault;

    fn next_id(&mut self) -> Outcome<RowId> {
        let mut last = self.tables.open_table(LAST_ROW)?;
        let next = last.get(())?.map_or(0, |last| last.value()) + 1;
        last.insert((), next)?;
        Ok(RowId::new(next))
    }

    fn find(&self, event: RowId) -> Outcome<Option<EventRow>> {
        EVENTS.find(&self.tables, event)
    }

    fn find_by_key(&self, endpoint: &str, key: &IdempotencyKey) -> Outcome<Option<EventRow>> {
        self.known((endpoint, key.as_str(), &[]))?.map_or(Ok(None), |event| self.find(event))
    }

    fn save(&mut self, row: EventRow) -> Outcome<()> {
        let id = row.event.id;
        self.unindex(id)?;
        EVENTS.put(&self.tables, id, &row)?;
        let key = (&*row.event.endpoint, row.event.idempotency_key.as_str(), &[][..]);
        self.tables.open_table(KEYS)?.insert(key, id.get())?;
        let mut of_state = self.tables.open_table(Numbers::new(&of_state(row.event.state)))?;
        of_state.insert(id.get(), row.event.received_at.as_millis())?;
        if row.event.state == EventState::Waiting {
            self.tables.open_table(WAITING)?.insert(place(&row, &row.queue()), ())?;
        }
        Ok(())
    }

    fn waiting(&self, queue: &str, passable: bool, limit: usize) -> Outcome<Vec<RowId>> {
        let waiting = self.tables.open_table(WAITING)?;
        let of_queue = (queue, passable, i64::MIN, i64::MIN)..=(queue, passable, i64::MAX, i64::MAX);
        waiting.range(of_queue)?.take(limit).map(|row| Ok(RowId::new(row?.0.value().3))).collect()
    }

    fn scheduled(&self, queue: &str) -> Outcome<Option<Scheduled>> {
        let queues = self.tables.open_table(QUEUES)?;
        let known = queues.get(queue)?;
        Ok(known.map(|json| serde_json::from_slice(json.value())).transpose()?)
    }

    fn schedule(&mut self, queue: &str, to: Option<Scheduled>) -> Outcome<()> {
        let before = self.scheduled(queue)?;
        let (mut queues, mut due) = (self.tables.open_table(QUEUES)?, self.tables.open_table(DUE)?);
        if let Some(before) = before {
            due.remove((before.phase.as_str(), before.at.as_millis(), queue))?;
            queues.remove(queue)?;
        }
        if let Some(to) = to {
            due.insert((to.phase.as_str(), to.at.as_millis(), queue), ())?;
            queues.insert(queue, &*serde_json::to_vec(&to)?)?;
        }
        Ok(())
    }

    fn due(
        &self,
        phase: Phase,
        at: RangeInclusive<Timestamp>,
        limit: usize,
    ) -> Outcome<Vec<(Timestamp, String)>> {
        let due = self.tables.open_table(DUE)?;
        let bound = |at: &Timestamp, queue| (phase.as_str(), at.as_millis(), queue);
        // The name of a queue begins with a letter.
        let rows = due.range(bound(at.start(), "")..bound(at.end(), "~"))?.take(limit);
        let queue = |(_, at, queue): (&str, i64, &str)| (Timestamp::from_millis(at), queue.to_owned());
        rows.map(|row| Ok(queue(row?.0.value()))).collect()
    }

    fn count(&mut self, add: impl FnOnce(&mut ActivitySample)) -> Outcome<()> {
        let mut ever = EVER.find(&self.tables, RowId::new(0))?.unwrap_or_default();
        add(&mut ever);
        EVER.put(&self.tables, RowId::new(0), &ever)
    }

    fn add_conflict(&mut self, delivery: &Delivery) -> Outcome<()> {
        let (key, at) = (delivery.envelope.idempotency_key.as_str(), delivery.received_at);
        let id = self.row_of((&*delivery.endpoint, key, &delivery.body_hash()))?;
        let known = CONFLICTS.find(&self.tables, id)?;
        let seen = known.map_or_else(|| Conflict::of(id, delivery), |known| known.seen_again(at));
        CONFLICTS.put(&self.tables, id, &seen)
    }

    fn add_attempt(&mut self, attempt: Attempt) -> Outcome<()> {
        ATTEMPTS.put(&self.tables, attempt.id, &attempt)
    }

    fn add_audit(&mut self, entry: AuditEntry) -> Outcome<()> {
        AUDIT.put(&self.tables, entry.id, &entry)
    }

    fn add_dead_letter(&mut self, event: DeadLettered) {
        self.dead_letters.push(event);
    }

    fn leave_quarantine(&mut self, row: RowId) -> Outcome<()> {
        self.delete(&HashSet::from([row]))
    }

    fn erase_beside(&mut self, events: &[EventRow]) -> Outcome<()> {
        let mut conflicts = CONFLICTS.all(&self.tables)?;
        conflicts.retain(|conflict| events.iter().any(|row| conflict.is_of(&row.event)));
        for mut conflict in conflicts {
            take(&mut conflict.body);
            CONFLICTS.put(&self.tables, conflict.id, &conflict)?;
        }
        let mut attempts = ATTEMPTS.all(&self.tables)?;
        attempts.retain(|attempt| events.iter().any(|row| attempt.event == row.event.id));
        for mut attempt in attempts {
            attempt.error = None;
            ATTEMPTS.put(&self.tables, attempt.id, &attempt)?;
        }
        Ok(())
    }
}

/// Returns the place of a waiting event in its queue.
fn place<'a>(row: &EventRow, queue: &'a str) -> (&'a str, bool, i64, i64) {
    let (at, id) = row.place();
    (queue, row.passable, at.as_millis(), id.get())
}

impl Change {
    pub fn begin(database: &Database) -> Outcome<Self> {
        Ok(Self { tables: database.begin_write()?, dead_letters: Vec::new() })
    }

    /// Runs a closure in a transaction, and commits it.
    pub fn commit<T>(database: &Database, work: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let mut change = Self::begin(database)?;
        let done = work(&mut change)?;
        change.tables.commit()?;
        change.dead_letters.iter().for_each(DeadLettered::report);
        Ok(done)
    }

    /// Creates the tables, so that they can be read while they are empty.
    pub fn create(&mut self) -> Outcome<()> {
        for state in EventState::ALL {
            self.tables.open_table(Numbers::new(&of_state(state)))?;
        }
        for table in [EVENTS.0, CONFLICTS.0, QUARANTINE.0, ATTEMPTS.0, AUDIT.0, SAMPLES.0] {
            self.tables.open_table(table)?;
        }
        Ok(())
    }

    fn known(&self, key: Key<'_>) -> Outcome<Option<RowId>> {
        Ok(self.tables.open_table(KEYS)?.get(key)?.map(|id| RowId::new(id.value())))
    }

    /// Returns the row of a body that is not an event; a new one if it was not seen before.
    pub fn row_of(&mut self, key: Key<'_>) -> Outcome<RowId> {
        if let Some(known) = self.known(key)? {
            return Ok(known);
        }
        let id = self.next_id()?;
        self.tables.open_table(KEYS)?.insert(key, id.get())?;
        Ok(id)
    }

    fn unindex(&self, id: RowId) -> Outcome<()> {
        if let Some(before) = EVENTS.find(&self.tables, id)? {
            self.tables.open_table(Numbers::new(&of_state(before.event.state)))?.remove(id.get())?;
            self.tables.open_table(WAITING)?.remove(place(&before, &before.queue()))?;
        }
        Ok(())
    }

    /// Deletes rows of any kind, since no two kinds have a number in common.
    pub fn delete(&mut self, rows: &HashSet<RowId>) -> Outcome<()> {
        for id in rows {
            self.unindex(*id)?;
            for table in [EVENTS.0, CONFLICTS.0, QUARANTINE.0, ATTEMPTS.0] {
                self.tables.open_table(table)?.remove(id.get())?;
            }
        }
        Ok(self.tables.open_table(KEYS)?.retain(|_, id| !rows.contains(&RowId::new(id)))?)
    }
}
