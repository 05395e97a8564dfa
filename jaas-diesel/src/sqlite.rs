//! The inbox in one SQLite file.
//!
//! One thread owns the writing connection and does every write, so the requests of an application never wait
//! for each other's locks: what queued while the last commit was in flight goes into the next one. Reading has
//! a connection of its own and does not hold up writing.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
mod calls;
mod checkpoint;
mod connection;
mod dialect;
mod files;
#[path = "shared/migrations.rs"]
mod migrations;
mod opening;
#[path = "shared/queries/mod.rs"]
mod queries;
mod queues;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/settings_table.rs"]
mod settings_table;
#[path = "shared/store.rs"]
mod store;
mod transaction;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use jaas_core::store::StoreError;

use self::SqliteStore as Store;
use self::calls::lock;
use self::connection::Open;
pub use self::opening::SqliteStoreBuilder;
pub use self::settings_table::SettingsTable;
use self::writer::Writer;

/// The connection of a SQLite transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a
/// transactional handler. Use it with [`diesel_async::RunQueryDsl`].
pub type Connection = SyncConnectionWrapper<SqliteConnection>;

/// An [`EventStore`](jaas_core::store::EventStore) in one SQLite file, in WAL mode with `synchronous=FULL`: what was
/// acknowledged survives a crash of process and machine.
///
/// SQLite has one writer at a time. While a [transactional](jaas_core::Handlers::transactional) handler runs,
/// nothing else can be written, not even a new event: keep such handlers short, and give the worker a low
/// [`transaction_timeout`](jaas_core::WorkerBuilder::transaction_timeout). Plain handlers hold up nothing.
///
/// Several processes may share the file; they wait for each other's writes.
///
/// When the file or its write-ahead log is deleted, moved or replaced while the store has it open, the store is
/// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable) until the same file is back; it never opens another one.
/// Outside Unix the store notices only a missing file.
///
/// ```
/// use jaas_core::store::{EventAdmin, EventState};
/// use jaas_diesel::SqliteStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("jaas.sqlite");
/// let store = SqliteStore::open(path).await?;
/// assert_eq!(store.stats().await?.count(EventState::Waiting), 0);
/// # Ok(())
/// # }
/// ```
///
/// Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

struct Shared {
    open: Open,
    timeout: Duration,
    writer: Writer,
    reader: Arc<Mutex<Option<SqliteConnection>>>,
}

impl SqliteStore {
    /// Opens the file, creating it if needed, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a migration fails.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Starts with the file at this path.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.as_ref())
    }

    /// Writes what is queued, ends the writing thread, and closes the file. Every call after it returns
    /// [`Closed`](jaas_core::store::StoreErrorKind::Closed).
    ///
    /// Dropping the last clone does the same without waiting for it.
    pub async fn close(&self) {
        self.shared.writer.close().await;
        // A query may be running on it, and its lock must not hold up the runtime.
        let reader = self.shared.reader.clone();
        let closed = tokio::task::spawn_blocking(move || drop(lock(&reader).take()));
        let _ = closed.await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.open.path()).finish_non_exhaustive()
    }
}
