//! The inbox in MySQL or MariaDB: [`MysqlStore`](crate::MysqlStore).
//!
//! Any number of processes share it. Each accepts with group commit on its own connection, and claims with `FOR UPDATE SKIP
//! LOCKED`. MySQL has no `NOTIFY`: workers find what other processes accepted when they poll.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
#[cfg(feature = "archive")]
#[path = "shared/artifacts/mod.rs"]
mod artifacts;
mod complete;
#[path = "shared/counts.rs"]
mod counts;
mod dialect;
#[path = "shared/drift.rs"]
mod drift;
mod listen;
#[path = "shared/meetings/mod.rs"]
mod meetings;
#[path = "shared/migrations.rs"]
mod migrations;
pub(crate) mod opening;
mod pool;
#[path = "shared/pooled_store.rs"]
mod pooled_store;
#[path = "shared/queries/mod.rs"]
mod queries;
mod queues;
#[path = "shared/server/mod.rs"]
mod server;
mod session;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/settings_table.rs"]
mod settings_table;
#[path = "shared/store.rs"]
mod store;
#[path = "shared/watch.rs"]
mod watch;

// The names by which the files in `shared` call the store, its builder and its way to the database.
pub use self::meetings::MeetingTables;
use self::opening::{MysqlStore as Store, MysqlStoreBuilder as Builder};
use self::server::pooled::asked;
pub use self::settings_table::SettingsTable;

/// The connection of a MySQL transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a transactional handler.
///
/// It is `AsyncMysqlConnection` of the crate [`diesel-async`](https://docs.rs/diesel-async/0.9) 0.9. Run queries on it with
/// `diesel_async::RunQueryDsl`, built with [`diesel`](https://docs.rs/diesel/2.3) 2.3.
pub type Connection = diesel_async::AsyncMysqlConnection;

/// A pool of [`Connection`]s, as [`MysqlStore::pool`](crate::MysqlStore::pool) returns it and
/// [`MysqlStore::from_pool`](crate::MysqlStore::from_pool) takes it.
///
/// It is `pooled_connection::bb8::Pool` of the crate [`diesel-async`](https://docs.rs/diesel-async/0.9) 0.9 with its
/// feature `bb8`, which is a pool of the crate [`bb8`](https://docs.rs/bb8/0.9) 0.9.
pub type Pool = diesel_async::pooled_connection::bb8::Pool<Connection>;
