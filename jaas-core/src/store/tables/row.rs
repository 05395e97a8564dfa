//! The rows that a store finds by their numbers.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::store::activity::ActivitySample;
use crate::store::row::EventRow;
use crate::store::{Attempt, AuditEntry, Conflict, Quarantined, RowId};
use crate::timestamp::Timestamp;

/// A row that a store keeps by its number: an event, a conflict, a body in quarantine, an attempt, an entry of the audit, a
/// sample of the activity, or the totals. A database can keep each kind in one table, as numbers and JSON. The trait is
/// sealed: only this crate adds kinds.
pub trait TableRow: InMemory + Clone + Serialize + DeserializeOwned + Send + 'static {
    /// The name of its table: one of [`TABLES`].
    const TABLE: &'static str;

    /// Its number, which no other row of its table has.
    fn id(&self) -> RowId;
}

/// Finds the rows of this kind in [`MemoryTables`].
pub trait InMemory: Sized {
    /// The rows of this kind.
    fn of(tables: &MemoryTables) -> &BTreeMap<RowId, Self>;

    /// The rows of this kind, to change.
    fn of_mut(tables: &mut MemoryTables) -> &mut BTreeMap<RowId, Self>;
}

/// What was counted so far, for [`record_activity`](crate::store::EventAdmin::record_activity): one row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Totals(pub ActivitySample);

impl Totals {
    /// The number of the row.
    pub const ROW: RowId = RowId::new(0);
}

macro_rules! table_rows {
    ($($rows:ident: $row:ident in $table:literal, $id:expr;)*) => {
        /// The names of the tables that hold each kind of [`TableRow`]. A database whose tables must exist before they are
        /// read creates these.
        pub const TABLES: &[&str] = &[$($table),*];

        /// The tables in memory.
        #[derive(Debug, Default)]
        pub struct MemoryTables {
            $(pub $rows: BTreeMap<RowId, $row>,)*
        }

        $(
            impl InMemory for $row {
                fn of(tables: &MemoryTables) -> &BTreeMap<RowId, Self> {
                    &tables.$rows
                }

                fn of_mut(tables: &mut MemoryTables) -> &mut BTreeMap<RowId, Self> {
                    &mut tables.$rows
                }
            }

            impl TableRow for $row {
                const TABLE: &'static str = $table;

                fn id(&self) -> RowId {
                    let id: fn(&Self) -> RowId = $id;
                    id(self)
                }
            }
        )*
    };
}

table_rows! {
    events: EventRow in "jaas_events", |row| row.event.id;
    conflicts: Conflict in "jaas_conflicts", |row| row.id;
    quarantine: Quarantined in "jaas_quarantine", |row| row.id;
    attempts: Attempt in "jaas_attempts", |row| row.id;
    audit: AuditEntry in "jaas_audit", |row| row.id;
    samples: ActivitySample in "jaas_samples", |row| RowId::new(ActivitySample::minute(Timestamp::from_millis(row.at)));
    totals: Totals in "jaas_totals", |_| Totals::ROW;
}
