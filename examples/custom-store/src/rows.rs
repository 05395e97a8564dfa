//! The tables, and how a transaction opens them.

use std::error::Error;

use jaas_core::store::EventState;
use jaas_core::store::tools::{BodyKey, TABLES, TableRow};
use redb::{Key, ReadTransaction, ReadableTable, TableDefinition, Value, WriteTransaction};

/// An error in a transaction: a [`StoreError`](jaas_core::store::StoreError) for the caller, or an error of the database.
pub type Fault = Box<dyn Error + Send + Sync>;
pub type Outcome<T> = Result<T, Fault>;
pub type Table<Key, Value> = TableDefinition<'static, Key, Value>;
pub type Numbers<'a> = TableDefinition<'a, i64, i64>;

/// The row of each body.
pub const BODIES: Table<BodyKey<'static>, i64> = Table::new("jaas_bodies");
/// The waiting events of each queue: first those that are not passable, then the passable ones, by their place.
pub const WAITING: Table<(&str, bool, i64, i64), ()> = Table::new("jaas_waiting");
/// When to look at each queue, as JSON.
pub const QUEUES: Table<&str, &[u8]> = Table::new("jaas_queues");
/// The same queues by phase and time.
pub const DUE: Table<(&str, i64, &str), ()> = Table::new("jaas_due");
pub const LAST_ROW: Table<(), i64> = Table::new("jaas_last_row");

/// The rows of a kind as JSON, by their numbers.
pub fn table_of<R: TableRow>() -> Table<i64, &'static [u8]> {
    Table::new(R::TABLE)
}

/// The name of the table of the events of a state, and when they were received. A table knows its number of rows, so
/// counting costs the same however many there are.
pub fn of_state(state: EventState) -> String {
    format!("jaas_{state}_events")
}

/// Creates the tables that are read, because a transaction that reads needs them even while they are empty.
pub fn create(tables: &WriteTransaction) -> Outcome<()> {
    for table in TABLES {
        tables.open_table(TableDefinition::<i64, &[u8]>::new(table))?;
    }
    for state in EventState::ALL {
        tables.open_table(Numbers::new(&of_state(state)))?;
    }
    tables.open_table(BODIES)?;
    tables.open_table(WAITING)?;
    tables.open_table(QUEUES)?;
    tables.open_table(DUE)?;
    Ok(())
}

/// A transaction that reads, or one that writes.
pub trait Open {
    fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Outcome<impl ReadableTable<K, V>>;
}

impl Open for ReadTransaction {
    fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Outcome<impl ReadableTable<K, V>> {
        Ok(self.open_table(table)?)
    }
}

impl Open for WriteTransaction {
    fn open<K: Key + 'static, V: Value + 'static>(
        &self,
        table: TableDefinition<'_, K, V>,
    ) -> Outcome<impl ReadableTable<K, V>> {
        Ok(self.open_table(table)?)
    }
}
