//! For those who write a store, and for handlers that write events into tables: what fits a column, and what the stores of
//! this project share.

pub use super::activity::ActivitySample;
pub use super::dead_lettered::{DeadLettered, crash_note, group_dead_letters};
#[doc(hidden)]
pub use super::methods::{event_admin_methods, event_store_methods};
pub use super::order::{Head, Turn};
pub use super::retention::Expired;
pub use super::row::EventRow;
pub use super::storable::storable;
pub use super::tables::{
    Access, BodyKey, Claimed, EventTables, Phase, ReadTables, Scheduled, TABLES, TableDatabase, TableRow,
    TableStore,
};
pub use super::unheard::Unheard;
pub use crate::envelope::MAX_INDEXED_BYTES;
