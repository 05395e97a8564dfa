//! [`SqliteStore`], and what it is opened with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use diesel::SqliteConnection;
use jaas_core::store::StoreError;

use super::calls::Shared;
use super::connection::Open;
use super::dialect::polled;
use super::migrations;
use super::statistics;
use super::writer::Writer;
use crate::error::unavailable;
use crate::migrations::{Migration, MigrationError};

/// An [`EventStore`](jaas_core::store::EventStore) in one SQLite file, in WAL mode with `synchronous=FULL`: acknowledged events
/// survive a crash of the process and of the machine.
///
/// SQLite has one writer at a time. While a [transactional](jaas_core::Handlers::transactional) handler runs,
/// nothing else can be written, not even a new event: keep such handlers short, and give the worker a low
/// [`transaction_timeout`](jaas_core::WorkerBuilder::transaction_timeout). Plain handlers delay no writes.
///
/// Several processes may share the file; they wait for each other's writes.
///
/// When the file or its write-ahead log is deleted, moved or replaced while the store has it open, the store is
/// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable) until the same file is back. It never opens another file.
/// Outside Unix the store detects only a missing file.
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
    pub(super) shared: Arc<Shared>,
}

/// Opens a [`SqliteStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    queue: usize,
    timeout: Duration,
    max_pages: Option<u32>,
    migrate: bool,
}

impl SqliteStore {
    /// Opens the file, creates it if it is missing, and migrates its tables.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a migration fails.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(path).open().await
    }

    /// Builds a store in the file at this path.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.as_ref())
    }

    /// Writes what is queued, ends the writing thread, and closes the file. Every later call returns
    /// [`Closed`](jaas_core::store::StoreErrorKind::Closed).
    ///
    /// Dropping the last clone does the same in the background.
    pub async fn close(&self) {
        self.shared.close().await;
    }
}

impl SqliteStoreBuilder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            queue: 1024,
            timeout: Duration::from_secs(5),
            max_pages: None,
            migrate: true,
        }
    }

    /// How many writes may wait. A further delivery gets a 503. Defaults to 1024.
    pub fn queue(mut self, writes: usize) -> Self {
        self.queue = writes;
        self
    }

    /// How long a call may wait for the database before it fails as
    /// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable). It does not limit handlers' transactions. Defaults to
    /// 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many pages of 4096 bytes the file may have. When it is full, calls fail as
    /// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable), as on a full disk. Defaults to SQLite's own maximum.
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Whether [`open`](Self::open) applies pending migrations. If not, it fails while a migration is pending, and you
    /// apply them with [`apply_migrations`](Self::apply_migrations). Defaults to `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Opens the file, creates it if it is missing, and migrates its tables.
    ///
    /// # Errors
    /// When the file cannot be opened or written or holds tables of a newer version, and when a migration fails.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let open = Open::new(self.path, self.timeout, self.max_pages)?;
        let migrate = self.migrate;
        let (connection, ()) = on_new(&open, move |connection| {
            if migrate {
                polled(migrations::apply(connection))?;
            } else {
                polled(migrations::check(connection))?;
            }
            Ok(statistics::forget(connection)?)
        })
        .await?;
        let writer = Writer::start(open.clone(), connection, self.queue.max(1))?;
        Ok(SqliteStore { shared: Arc::new(Shared::new(open, self.timeout, writer)) })
    }

    /// Applies pending migrations; returns them. Processes that do this at the same time take turns.
    ///
    /// # Errors
    /// When the file cannot be opened or written or holds tables of a newer version, and when a migration fails.
    pub async fn apply_migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.migrations_on_new(|connection| polled(migrations::apply(connection))).await
    }

    /// Lists every migration that this version knows, in order.
    ///
    /// # Errors
    /// When the file cannot be opened, or holds tables of a newer version.
    pub async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.migrations_on_new(|connection| polled(migrations::list(connection))).await
    }

    /// Reverts the migration that was applied last; returns it. **This deletes what its tables hold.**
    ///
    /// # Errors
    /// When the file cannot be opened or written or holds tables of a newer version, and when a migration fails.
    pub async fn revert_migration(&self) -> Result<Option<Migration>, StoreError> {
        self.migrations_on_new(|connection| polled(migrations::revert(connection))).await
    }

    async fn migrations_on_new<T: Send + 'static>(
        &self,
        work: impl Fn(&mut SqliteConnection) -> Result<T, MigrationError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let open = Open::new(self.path.clone(), self.timeout, self.max_pages)?;
        Ok(on_new(&open, work).await?.1)
    }
}

/// Runs work on a new connection, on a blocking thread. Returns the connection and the result.
async fn on_new<T: Send + 'static>(
    open: &Open,
    work: impl Fn(&mut SqliteConnection) -> Result<T, MigrationError> + Send + 'static,
) -> Result<(SqliteConnection, T), StoreError> {
    let open = open.clone();
    let opened = tokio::task::spawn_blocking(move || open.writer_after(work));
    opened.await.map_err(|error| unavailable("open the database", error))?
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path()).finish_non_exhaustive()
    }
}
