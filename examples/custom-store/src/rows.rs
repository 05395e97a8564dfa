//! The tables, and their rows.

use std::error::Error;
use std::sync::Arc;

use jaas_core::store::tools::DeadLettered;
use jaas_core::store::*;
use jaas_core::{Body, Timestamp};
use redb::{ReadableTable, TableDefinition, TableHandle as _, WriteTransaction};
use serde::Serialize;

/// An error in a transaction: a [`StoreError`] for the caller, or an error of the database.
pub type Fault = Box<dyn Error + Send + Sync>;
pub type Outcome<T> = Result<T, Fault>;
pub type Table<Key, Value> = TableDefinition<'static, Key, Value>;
pub type Rows = Table<i64, &'static [u8]>;
pub type Numbers<'a> = TableDefinition<'a, i64, i64>;
pub type Key<'a> = (&'a str, &'a str, &'a [u8]);

// Rows as JSON, by their numbers. Bodies have a separate table, because they do not change.
pub const EVENTS: Rows = Table::new("jaas events");
pub const CONFLICTS: Rows = Table::new("jaas conflicts");
pub const QUARANTINE: Rows = Table::new("jaas quarantine");
pub const AUDIT: Rows = Table::new("jaas audit");
pub const BODIES: Rows = Table::new("jaas bodies");
/// The row for an endpoint, key and hash of a body. An event has no hash here, because its key is unique; quarantine has no key.
pub const KEYS: Table<Key<'static>, i64> = Table::new("jaas keys");
/// The waiting events of each queue: first those that are not passable, by when they happened, then the passable ones, by
/// when they are due. So each of the two that [`SessionOrder::turn`] needs is the first of a range.
pub const WAITING: Table<(&str, bool, i64, i64), ()> = Table::new("jaas waiting");
/// The phase of each queue, and when to look at it next.
pub const QUEUES: Table<&str, (u8, i64)> = Table::new("jaas queues");
/// The same queues by phase and time, with the event that runs.
pub const DUE: Table<(u8, i64, &str), i64> = Table::new("jaas due");
/// How often something was ever done: accepted, settled, failed, dead.
pub const EVER: Table<&str, i64> = Table::new("jaas ever");
/// A sample of those numbers for each minute, as JSON.
pub const SAMPLES: Rows = Table::new("jaas samples");
const LAST_ROW: Table<(), i64> = Table::new("jaas last row");

/// The events of a state, and when they were received. A table knows its number of rows, so counting costs the same
/// however many there are.
pub fn of_state(state: EventState) -> String {
    format!("jaas {state} events")
}

/// An event without its body, and the store's own data about it.
pub struct Row {
    pub event: StoredEvent,
    pub attempts: Vec<Attempt>,
    pub hash: [u8; 32],
    pub fence: i64,
    /// Whether later events of its session may run while it waits.
    pub passable: bool,
}

impl Row {
    /// The name of the event's queue: that of its session, or a separate one.
    pub fn queue(&self) -> String {
        let session = self.event.session_id.as_ref();
        session.map_or_else(|| format!("event {}", self.event.id), |session| format!("session {session}"))
    }

    /// Returns its place in its queue.
    fn place<'a>(&self, queue: &'a str) -> (&'a str, bool, i64, i64) {
        let at = if self.passable { self.event.due_at } else { self.event.occurred_at };
        (queue, self.passable, at.as_millis(), self.event.id.get())
    }

    pub fn settle(&mut self, state: EventState, note: impl Into<Option<String>>, now: Timestamp) {
        (self.event.state, self.event.note, self.event.settled_at) = (state, note.into(), Some(now));
    }

    fn to_json(&self) -> Outcome<Vec<u8>> {
        let Self { event, attempts, hash, fence, passable } = self;
        let origin =
            (&event.endpoint, &event.idempotency_key, &event.event_type, &event.session_id, &event.fqn);
        let times = (event.occurred_at, event.received_at, event.due_at, event.settled_at, event.erased_at);
        let counts = (event.failures, event.crashes, event.interruptions, &event.completed);
        let texts =
            (event.state.as_str(), &event.worker, &event.note, event.trace.as_ref().map(ToString::to_string));
        let attempt = |of: &Attempt| {
            serde_json::json!((of.id, of.fence, &of.worker, of.outcome.as_str(), &of.error, of.ended_at))
        };
        let attempts: Vec<_> = attempts.iter().map(attempt).collect();
        Ok(serde_json::to_vec(&(origin, times, counts, texts, attempts, (hash, fence, passable)))?)
    }

    pub fn from_json(id: RowId, json: &[u8]) -> Outcome<Self> {
        let ((endpoint, key, event_type, session_id, fqn), times, counts, texts, attempts, own) =
            serde_json::from_slice(json)?;
        let (state, worker, note, trace): (String, _, _, Option<String>) = texts;
        let attempts: Vec<(_, _, _, String, _, _)> = attempts;
        let mut event = StoredEvent::new(id, endpoint, key, Timestamp::from_millis(0), Vec::new());
        (event.event_type, event.session_id, event.fqn, event.worker, event.note) =
            (event_type, session_id, fqn, worker, note);
        (event.occurred_at, event.received_at, event.due_at, event.settled_at, event.erased_at) = times;
        (event.failures, event.crashes, event.interruptions, event.completed) = counts;
        event.state = named(EventState::from_name(&state), &state)?;
        event.trace = trace.and_then(|trace| trace.parse().ok());
        let (hash, fence, passable) = own;
        let attempts = attempts.into_iter().map(|(number, fence, worker, outcome, error, at)| {
            let mut attempt =
                Attempt::new(number, id, fence, named(AttemptOutcome::from_name(&outcome), &outcome)?, at);
            (attempt.worker, attempt.error) = (worker, error);
            Ok(attempt)
        });
        Ok(Self { event, attempts: attempts.collect::<Outcome<_>>()?, hash, fence, passable })
    }
}

/// A body that is not an event, identified by its hash: a [`Conflict`] with `what` as its key, or a body in quarantine with
/// `what` as the reason. With its endpoint, when it came first and last, and how often.
pub type Seen = (Arc<str>, String, Timestamp, Timestamp, u32);

/// Enumerations of the contract are stored by name.
pub fn named<T>(variant: Option<T>, name: &str) -> Outcome<T> {
    let unknown = || StoreError::new(StoreErrorKind::Corrupt, format!("{name} is not known to this version"));
    Ok(variant.ok_or_else(unknown)?)
}

/// Returns every row of a table, in the order of their numbers.
pub fn all<T>(
    table: &impl ReadableTable<i64, &'static [u8]>,
    read: impl Fn(RowId, &[u8]) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let row = |row: Result<(redb::AccessGuard<'_, i64>, redb::AccessGuard<'_, &[u8]>), _>| {
        let (id, json) = row?;
        read(RowId::new(id.value()), json.value())
    };
    table.iter()?.map(row).collect()
}

/// Returns a page of rows that are in the order of their numbers.
pub fn cut<T>(mut rows: Vec<T>, page: PageRequest, id: impl Fn(&T) -> RowId) -> Page<T> {
    if page.newest_first {
        rows.reverse();
    }
    let follows = |id, after| if page.newest_first { id < after } else { id > after };
    rows.retain(|row| page.after.is_none_or(|after| follows(id(row), after)));
    Page::from_rows(rows, page.clamped_limit(), id)
}

/// Returns the body of a row; empty if it was erased.
pub fn body(bodies: &impl ReadableTable<i64, &'static [u8]>, id: RowId) -> Outcome<Body> {
    Ok(bodies.get(id.get())?.map(|body| body.value().to_vec()).unwrap_or_default().into())
}

/// A transaction that writes.
pub struct Change {
    pub tables: WriteTransaction,
    /// Events that were dead-lettered because of their crashes, to be reported after the commit.
    pub dead_letters: Vec<DeadLettered>,
}

impl Change {
    /// Creates the tables, so that they can be read while they are empty.
    pub fn create(&self) -> Outcome<()> {
        self.tables.open_table(DUE)?;
        self.tables.open_table(EVER)?;
        EventState::ALL
            .iter()
            .try_for_each(|state| self.tables.open_table(Numbers::new(&of_state(*state))).map(drop))?;
        [EVENTS, CONFLICTS, QUARANTINE, AUDIT, BODIES, SAMPLES]
            .iter()
            .try_for_each(|table| self.tables.open_table(*table).map(drop))?;
        Ok(())
    }

    pub fn next_id(&self) -> Outcome<RowId> {
        let mut last = self.tables.open_table(LAST_ROW)?;
        let next = last.get(())?.map_or(0, |last| last.value()) + 1;
        last.insert((), next)?;
        Ok(RowId::new(next))
    }

    /// Counts that something was done.
    pub fn count(&self, what: &str) -> Outcome<()> {
        let mut ever = self.tables.open_table(EVER)?;
        let before = ever.get(what)?.map_or(0, |before| before.value());
        ever.insert(what, before + 1)?;
        Ok(())
    }

    pub fn put(&self, table: Rows, id: RowId, row: &impl Serialize) -> Outcome<()> {
        self.tables.open_table(table)?.insert(id.get(), &*serde_json::to_vec(row)?)?;
        Ok(())
    }

    pub fn find(&self, id: RowId) -> Outcome<Option<Row>> {
        let events = self.tables.open_table(EVENTS)?;
        let json = events.get(id.get())?;
        json.map(|json| Row::from_json(id, json.value())).transpose()
    }

    pub fn row(&self, id: RowId) -> Outcome<Row> {
        Ok(self.find(id)?.ok_or_else(|| StoreError::not_found(id))?)
    }

    /// Writes an event, and updates its indexes.
    pub fn save(&self, row: &Row) -> Outcome<()> {
        let (id, event) = (row.event.id, &row.event);
        self.unindex(id)?;
        self.tables.open_table(EVENTS)?.insert(id.get(), &*row.to_json()?)?;
        self.tables
            .open_table(Numbers::new(&of_state(event.state)))?
            .insert(id.get(), event.received_at.as_millis())?;
        if event.state == EventState::Waiting {
            self.tables.open_table(WAITING)?.insert(row.place(&row.queue()), ())?;
        }
        Ok(())
    }

    fn unindex(&self, id: RowId) -> Outcome<()> {
        if let Some(before) = self.find(id)? {
            self.tables.open_table(Numbers::new(&of_state(before.event.state)))?.remove(id.get())?;
            self.tables.open_table(WAITING)?.remove(before.place(&before.queue()))?;
        }
        Ok(())
    }

    /// Deletes rows with their bodies and keys.
    pub fn delete(&self, table: Rows, ids: &[RowId]) -> Outcome<()> {
        for id in ids {
            if table.name() == EVENTS.name() {
                self.unindex(*id)?;
            }
            self.tables.open_table(table)?.remove(id.get())?;
            self.tables.open_table(BODIES)?.remove(id.get())?;
        }
        Ok(self.tables.open_table(KEYS)?.retain(|_, id| !ids.contains(&RowId::new(id)))?)
    }
}
