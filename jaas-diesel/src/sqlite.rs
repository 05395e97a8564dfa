//! The inbox in one SQLite file: [`SqliteStore`](crate::SqliteStore).
//!
//! One thread owns the writing connection and does every write, so the requests of an application never wait for each
//! other's locks: what queued while the last commit was in flight goes into the next one. Queries that only read have
//! their own connection and do not delay writing.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
#[cfg(feature = "archive")]
#[path = "shared/artifacts/mod.rs"]
mod artifacts;
mod calls;
mod checkpoint;
mod connection;
#[path = "shared/counts.rs"]
mod counts;
mod dialect;
#[path = "shared/drift.rs"]
mod drift;
mod files;
#[path = "shared/meetings/mod.rs"]
mod meetings;
#[path = "shared/migrations.rs"]
mod migrations;
pub(crate) mod opening;
#[path = "shared/queries/mod.rs"]
mod queries;
mod queues;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/settings_table.rs"]
mod settings_table;
mod statistics;
#[path = "shared/store.rs"]
mod store;
mod transaction;
#[path = "shared/watch.rs"]
mod watch;
mod writer;

// The names by which the files in `shared` call the store and its way to the database.
use self::calls::asked;
pub use self::meetings::MeetingTables;
use self::opening::SqliteStore as Store;
pub use self::settings_table::SettingsTable;

/// The connection of a SQLite transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a transactional handler.
///
/// It is `sync_connection_wrapper::SyncConnectionWrapper` of the crate
/// [`diesel-async`](https://docs.rs/diesel-async/0.9) 0.9 around `SqliteConnection` of
/// [`diesel`](https://docs.rs/diesel/2.3) 2.3. Run queries on it with `diesel_async::RunQueryDsl`.
pub type Connection = diesel_async::sync_connection_wrapper::SyncConnectionWrapper<diesel::SqliteConnection>;
