//! The tables, and the rows in them.

use std::error::Error;
use std::marker::PhantomData;

use jaas_core::store::tools::{ActivitySample, EventRow};
use jaas_core::store::*;
use redb::{ReadTransaction, ReadableTable, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An error in a transaction: a [`StoreError`] for the caller, or an error of the database.
pub type Fault = Box<dyn Error + Send + Sync>;
pub type Outcome<T> = Result<T, Fault>;
pub type Table<Key, Value> = TableDefinition<'static, Key, Value>;
pub type Numbers<'a> = TableDefinition<'a, i64, i64>;
pub type Key<'a> = (&'a str, &'a str, &'a [u8]);

pub const EVENTS: Rows<EventRow> = Rows::named("jaas events");
pub const CONFLICTS: Rows<Conflict> = Rows::named("jaas conflicts");
pub const QUARANTINE: Rows<Quarantined> = Rows::named("jaas quarantine");
pub const ATTEMPTS: Rows<Attempt> = Rows::named("jaas attempts");
pub const AUDIT: Rows<AuditEntry> = Rows::named("jaas audit");
/// What was counted so far, in row 0.
pub const EVER: Rows<ActivitySample> = Rows::named("jaas ever");
/// The same at the first record of each minute, by the minute.
pub const SAMPLES: Rows<ActivitySample> = Rows::named("jaas samples");
/// The row for an endpoint, key and hash of a body. An event has no hash here, because its key is unique; quarantine has no key.
pub const KEYS: Table<Key<'static>, i64> = Table::new("jaas keys");
/// The waiting events of each queue: first those that are not passable, then the passable ones, by their place.
pub const WAITING: Table<(&str, bool, i64, i64), ()> = Table::new("jaas waiting");
/// When to look at each queue, as JSON.
pub const QUEUES: Table<&str, &[u8]> = Table::new("jaas queues");
/// The same queues by phase and time.
pub const DUE: Table<(&str, i64, &str), ()> = Table::new("jaas due");
pub const LAST_ROW: Table<(), i64> = Table::new("jaas last row");

/// The events of a state, and when they were received. A table knows its number of rows, so counting costs the same
/// however many there are.
pub fn of_state(state: EventState) -> String {
    format!("jaas {state} events")
}

/// A transaction that reads, or one that writes.
pub trait Tables {
    fn rows(&self, of: Table<i64, &'static [u8]>) -> Outcome<impl ReadableTable<i64, &'static [u8]>>;
}

impl Tables for ReadTransaction {
    fn rows(&self, of: Table<i64, &'static [u8]>) -> Outcome<impl ReadableTable<i64, &'static [u8]>> {
        Ok(self.open_table(of)?)
    }
}

impl Tables for WriteTransaction {
    fn rows(&self, of: Table<i64, &'static [u8]>) -> Outcome<impl ReadableTable<i64, &'static [u8]>> {
        Ok(self.open_table(of)?)
    }
}

/// A table of rows as JSON, by their numbers.
pub struct Rows<T>(pub Table<i64, &'static [u8]>, PhantomData<T>);

impl<T: Serialize + DeserializeOwned> Rows<T> {
    const fn named(name: &'static str) -> Self {
        Self(Table::new(name), PhantomData)
    }

    pub fn find(&self, tables: &impl Tables, id: RowId) -> Outcome<Option<T>> {
        let rows = tables.rows(self.0)?;
        let json = rows.get(id.get())?;
        Ok(json.map(|json| serde_json::from_slice(json.value())).transpose()?)
    }

    /// Returns every row, in the order of their numbers.
    pub fn all(&self, tables: &impl Tables) -> Outcome<Vec<T>> {
        let rows = tables.rows(self.0)?;
        rows.iter()?.map(|row| Ok(serde_json::from_slice(row?.1.value())?)).collect()
    }

    pub fn put(&self, tables: &WriteTransaction, id: RowId, row: &T) -> Outcome<()> {
        tables.open_table(self.0)?.insert(id.get(), &*serde_json::to_vec(row)?)?;
        Ok(())
    }
}
