//! The inbox in one SQLite file.
//!
//! One thread owns the writing connection and does every write, so the requests of an application never wait
//! for each other's locks: what queued while the last commit was in flight goes into the next one. Reading has
//! a connection of its own and does not hold up writing.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
mod checkpoint;
mod connection;
mod dialect;
mod files;
#[path = "shared/migrations.rs"]
mod migrations;
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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diesel::{QueryResult, SqliteConnection};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use jaas_core::Timestamp;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, HandOver, Lease, Step, StoreError, StoreErrorKind, TxWork,
};
use tokio::sync::{oneshot, watch};

use self::SqliteStore as Store;
use self::connection::Open;
use self::dialect::answer;
pub use self::settings_table::SettingsTable;
use self::transaction::Ran;
use self::writer::{Claimed, Command, Wake, Writer};
use crate::error::{closed, not_in_time, unavailable};
use crate::migrations::{Migration, MigrationError};
use crate::now::Now;
use crate::rows::{NewEvent, NewQuarantined, Success};

/// The connection of a SQLite transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a
/// transactional handler. Use it with [`diesel_async::RunQueryDsl`].
pub type Connection = SyncConnectionWrapper<SqliteConnection>;

/// An [`EventStore`](jaas_core::store::EventStore) in one SQLite file, in WAL mode with `synchronous=FULL`: what was acknowledged survives a
/// crash of process and machine.
///
/// SQLite has one writer at a time. While a [transactional](jaas_core::Handlers::transactional) handler runs,
/// nothing else can be written, not even a new event: keep such handlers short, and give the worker a low
/// [`transaction_time_limit`](jaas_core::WorkerBuilder::transaction_time_limit). Plain handlers hold up nothing.
///
/// Several processes may share the file; they wait for each other's writes.
///
/// When the file or its write-ahead log is deleted, moved or replaced while the store has it open, the store is
/// [`Unavailable`](StoreErrorKind::Unavailable) until the same file is back; it never opens another one. Outside Unix
/// only a missing file is noticed.
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
    time_limit: Duration,
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
        SqliteStoreBuilder {
            path: path.as_ref().to_owned(),
            queue: 1024,
            time_limit: Duration::from_secs(5),
            max_pages: None,
            migrate: true,
        }
    }

    /// Writes what is queued, ends the writing thread, and closes the file. Every call after it answers
    /// [`Closed`](StoreErrorKind::Closed).
    ///
    /// Dropping the last clone does the same without waiting for it.
    pub async fn close(&self) {
        self.shared.writer.close().await;
        // A query may be running on it, and its lock must not hold up the runtime.
        let reader = self.shared.reader.clone();
        let closed = tokio::task::spawn_blocking(move || drop(lock(&reader).take()));
        let _ = closed.await;
    }

    /// Queues a write and waits for its commit.
    async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        wake: Wake,
        write: impl FnMut(&mut SqliteConnection) -> QueryResult<Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answered_by) = Command::write(operation, wake, write);
        self.limited(operation, async {
            self.shared.writer.send(command).await?;
            answered(operation, answered_by).await
        })
        .await
    }

    /// Runs a query on the reading connection.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.shared.writer.is_closed() {
            return Err(closed(operation));
        }
        let reader = self.shared.reader.clone();
        let open = self.shared.open.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut slot = lock(&reader);
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => open.reader()?,
            };
            let result = read(&mut connection).map_err(|error| unavailable(operation, error));
            // A connection that failed is opened anew next time.
            if result.is_ok() {
                *slot = Some(connection);
            }
            result
        });
        self.limited(operation, async { task.await.map_err(|error| unavailable(operation, error))? }).await
    }

    /// Runs work in a transaction: with something to complete, which is committed with it, or else to be rolled back.
    async fn in_transaction(
        &self,
        completing: Option<(Lease, Step, Now)>,
        work: TxWork<Connection>,
    ) -> Result<Ran, StoreError> {
        const OPERATION: &str = "run a handler in a transaction";
        let (command, answered_by) = Command::run(completing, work);
        self.limited(OPERATION, self.shared.writer.send(command)).await?;
        answered(OPERATION, answered_by).await
    }

    /// The time is the caller's: all processes of one file are on one machine and share its clock.
    fn now(&self, callers: Timestamp) -> Now {
        Now::given(callers)
    }

    async fn limited<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.shared.time_limit;
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(not_in_time(operation, limit)))
    }
}

/// The slot is empty while a query runs, so one that panicked has left nothing half-done in it.
fn lock<T>(slot: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answered<T>(
    operation: &str,
    answered_by: oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    answered_by.await.unwrap_or_else(|_| {
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            format!(
                "cannot {operation}: it was cut off; the store was closed meanwhile, or the work panicked"
            ),
        ))
    })
}

/// What `shared/store.rs` does not do by `asked!`.
impl SqliteStore {
    /// Queues an event for the next group.
    async fn store_event(&self, event: NewEvent) -> Result<Accepted, StoreError> {
        const OPERATION: &str = "store the event";
        let (command, answered_by) = Command::accept(OPERATION, event);
        self.shared.writer.try_send(command)?;
        self.limited(OPERATION, answered(OPERATION, answered_by)).await
    }

    /// Refuses the body when the queue is full, as [`store_event`](Self::store_event) does.
    async fn keep_unreadable(&self, body: NewQuarantined) -> Result<(), StoreError> {
        const OPERATION: &str = "quarantine the body";
        let (command, answered_by) = Command::write(OPERATION, Wake::Nobody, move |connection| {
            answer(queries::quarantine(connection, &body)).map(Ok)
        });
        self.shared.writer.try_send(command)?;
        self.limited(OPERATION, answered(OPERATION, answered_by)).await
    }

    async fn claim_events(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        const OPERATION: &str = "claim events";
        let (command, answered_by) = Command::claim(OPERATION, move |connection| {
            let mut buried = Vec::new();
            let rows = answer(queries::claim(connection, &request, Now::given(request.now), &mut buried))?;
            Ok(Claimed { claims: rows, buried })
        });
        let claimed = self.limited(OPERATION, async {
            self.shared.writer.send(command).await?;
            answered(OPERATION, answered_by).await
        });
        claimed.await.map(Claimed::told)
    }

    async fn record_success(&self, success: Success, now: Timestamp) -> Result<Option<Claim>, StoreError> {
        self.write("complete the event", Wake::Nobody, move |connection| {
            answer(queries::complete(connection, &success, Now::given(now)))
        })
        .await
    }

    /// Does nothing: with one writing thread a claim costs less than it would save.
    fn offer(&self, _: HandOver) {}

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.writer.wakeups()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.open.path()).finish_non_exhaustive()
    }
}

/// Opens a [`SqliteStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    queue: usize,
    time_limit: Duration,
    max_pages: Option<u32>,
    migrate: bool,
}

impl SqliteStoreBuilder {
    /// How many writes may wait; a delivery beyond that is answered 503. Defaults to 1024.
    pub fn queue(mut self, writes: usize) -> Self {
        self.queue = writes;
        self
    }

    /// How long a call may wait for the database before it is [`Unavailable`](StoreErrorKind::Unavailable).
    /// Handlers' transactions are not limited by it. Defaults to 5 s.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// How many pages of 4096 bytes the file may have; beyond that the store is
    /// [`Unavailable`](StoreErrorKind::Unavailable) as on a full disk. Defaults to SQLite's own maximum.
    pub fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Whether [`open`](Self::open) applies pending migrations. Otherwise it fails while there are some, and you
    /// apply them with [`apply_migrations`](Self::apply_migrations). Defaults to `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Opens the file, creating it if needed, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, a migration fails, or the tables were made by a newer version.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let open = Open::new(self.path, self.time_limit, self.max_pages)?;
        let migrate = self.migrate;
        let connection = on_new(&open, move |connection| {
            if migrate {
                answer(migrations::apply(connection)).map(drop)
            } else {
                answer(migrations::check(connection))
            }
        })
        .await?;
        let writer = Writer::start(open.clone(), connection.0, self.queue.max(1))?;
        Ok(SqliteStore {
            shared: Arc::new(Shared { open, time_limit: self.time_limit, writer, reader: Arc::default() }),
        })
    }

    /// Applies pending migrations; answers them. Processes that do so at once take turns.
    ///
    /// # Errors
    /// When the file cannot be opened or written, a migration fails, or the tables were made by a newer version.
    pub async fn apply_migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.migrations_on_new(|connection| answer(migrations::apply(connection))).await
    }

    /// Lists every migration that this version knows, in order.
    ///
    /// # Errors
    /// When the file cannot be opened, or the tables were made by a newer version.
    pub async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        self.migrations_on_new(|connection| answer(migrations::list(connection))).await
    }

    /// Reverts the migration applied last, and answers it. **What its tables hold is gone.**
    ///
    /// # Errors
    /// When the file cannot be opened or written, a migration fails, or the tables were made by a newer version.
    pub async fn revert_migration(&self) -> Result<Option<Migration>, StoreError> {
        self.migrations_on_new(|connection| answer(migrations::revert(connection))).await
    }

    async fn migrations_on_new<T: Send + 'static>(
        &self,
        work: impl Fn(&mut SqliteConnection) -> Result<T, MigrationError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let open = Open::new(self.path.clone(), self.time_limit, self.max_pages)?;
        Ok(on_new(&open, work).await?.1)
    }
}

/// Does this on a new connection, outside the runtime; answers both.
async fn on_new<T: Send + 'static>(
    open: &Open,
    work: impl Fn(&mut SqliteConnection) -> Result<T, MigrationError> + Send + 'static,
) -> Result<(SqliteConnection, T), StoreError> {
    let open = open.clone();
    let opened = tokio::task::spawn_blocking(move || open.writer_after(work));
    opened.await.map_err(|error| unavailable("open the database", error))?
}
