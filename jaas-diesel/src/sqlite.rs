//! The inbox in one SQLite file.
//!
//! One thread owns the writing connection and does every write, so the requests of an application never wait
//! for each other's locks: what queued while the last commit was in flight goes into the next one. Reading has
//! a connection of its own and does not hold up writing.

mod connection;
mod migrations;
mod queries;
mod transaction;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use diesel::{QueryResult, SqliteConnection};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, Conflict, EventQuery, EventStore, Failure, Lease, Page, PageRequest,
    Quarantined, RowId, SessionOrder, Step, StoreError, StoreErrorKind, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp, Unreadable};
use tokio::sync::{oneshot, watch};

use self::connection::Open;
use self::writer::{Command, Wake, Writer};
use crate::error::unavailable;
use crate::rows::{NewEvent, NewQuarantined};

/// The connection of a SQLite transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a
/// transactional handler. Use it with [`diesel_async::RunQueryDsl`].
pub type Connection = SyncConnectionWrapper<SqliteConnection>;

/// An [`EventStore`] in one SQLite file, in WAL mode with `synchronous=FULL`: what was acknowledged survives a
/// crash of process and machine.
///
/// SQLite has one writer at a time. While a [transactional](jaas_core::Handlers::transactional) handler runs,
/// nothing else can be written, not even a new event: keep such handlers short, and give the worker a low
/// [`transaction_time_limit`](jaas_core::WorkerBuilder::transaction_time_limit). Plain handlers hold up nothing.
///
/// Several processes may share the file; they wait for each other's writes.
///
/// ```
/// use jaas_core::store::EventStore;
/// use jaas_diesel::SqliteStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("jaas.sqlite");
/// let store = SqliteStore::open(path).await?;
/// assert_eq!(store.stats().await?.waiting, 0);
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
        let (command, answer) = Command::write(operation, wake, write);
        self.limited(operation, async {
            self.shared.writer.send(command).await?;
            answered(operation, answer).await
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
            return Err(writer::closed(operation));
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

    async fn limited<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.shared.time_limit;
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            Err(StoreError::new(
                StoreErrorKind::Unavailable,
                format!("cannot {operation}: the database did not answer within {limit:?}"),
            ))
        })
    }
}

/// The slot is empty while a query runs, so one that panicked has left nothing half-done in it.
fn lock<T>(slot: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answered<T>(
    operation: &str,
    answer: oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    answer.await.unwrap_or_else(|_| {
        Err(StoreError::new(
            StoreErrorKind::Unavailable,
            format!(
                "cannot {operation}: it was cut off; the store was closed meanwhile, or the work panicked"
            ),
        ))
    })
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

    /// Opens the file, creating it if needed, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or written, or a migration fails.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        let open = Open::new(self.path, self.time_limit, self.max_pages)?;
        let at_start = open.clone();
        let connection = tokio::task::spawn_blocking(move || at_start.migrated())
            .await
            .map_err(|error| unavailable("open the database", error))??;
        let writer = Writer::start(open.clone(), connection, self.queue.max(1))?;
        Ok(SqliteStore {
            shared: Arc::new(Shared { open, time_limit: self.time_limit, writer, reader: Arc::default() }),
        })
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    type Tx = Connection;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        const OPERATION: &str = "store the event";
        let event = NewEvent::from(delivery);
        let (command, answer) = Command::write(OPERATION, Wake::Workers, move |connection| {
            queries::accept(connection, &event).map(Ok)
        });
        self.shared.writer.try_send(command)?;
        self.limited(OPERATION, answered(OPERATION, answer)).await
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        const OPERATION: &str = "quarantine the body";
        let body = NewQuarantined::from(unreadable);
        let (command, answer) = Command::write(OPERATION, Wake::Nobody, move |connection| {
            queries::quarantine(connection, &body).map(Ok)
        });
        self.shared.writer.try_send(command)?;
        self.limited(OPERATION, answered(OPERATION, answer)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        const OPERATION: &str = "claim events";
        let request = request.clone();
        let (command, answer) =
            Command::claim(OPERATION, move |connection| queries::claim(connection, &request).map(Ok));
        self.limited(OPERATION, async {
            self.shared.writer.send(command).await?;
            answered(OPERATION, answer).await
        })
        .await
    }

    async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        let leases = leases.to_vec();
        self.write("renew leases", Wake::Nobody, move |connection| {
            queries::renew(connection, &leases, until).map(Ok)
        })
        .await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Connection>,
    ) -> Result<HandlerResult, StoreError> {
        let (command, answer) = Command::run(lease, step.clone(), now, work);
        self.limited("run a handler in a transaction", self.shared.writer.send(command)).await?;
        answered("run a handler in a transaction", answer).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (step, handled) = (step.clone(), handled.clone());
        self.write("complete the event", Wake::Nobody, move |connection| {
            queries::complete(connection, lease, &step, &handled, now)
        })
        .await
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let failure = failure.clone();
        self.write("record the failure", Wake::Nobody, move |connection| {
            queries::fail(connection, lease, &failure, now)
        })
        .await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let leases = leases.to_vec();
        self.write("give events back", Wake::Workers, move |connection| {
            queries::release(connection, &leases, now).map(Ok)
        })
        .await
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<Option<Timestamp>, StoreError> {
        self.read("find the next event", move |connection| queries::next_due(connection, now, order)).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.shared.writer.wakeups()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.write("reach the database", Wake::Nobody, |connection| queries::ping(connection).map(Ok)).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let (query, limit) = (query.clone(), query.page.clamped_limit());
        let rows = self.read("list events", move |connection| queries::events(connection, &query)).await?;
        let events = rows.into_iter().map(StoredEvent::try_from).collect::<Result<_, _>>()?;
        Ok(Page::from_rows(events, limit, |event| event.id))
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let rows =
            self.read("list conflicts", move |connection| queries::conflicts(connection, page)).await?;
        Ok(Page::from_rows(rows.into_iter().map(Conflict::from).collect(), page.clamped_limit(), |row| {
            row.id
        }))
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        let rows = self
            .read("list the quarantine", move |connection| queries::quarantined(connection, page))
            .await?;
        Ok(Page::from_rows(rows.into_iter().map(Quarantined::from).collect(), page.clamped_limit(), |row| {
            row.id
        }))
    }

    async fn replay(&self, event: RowId, now: Timestamp) -> Result<(), StoreError> {
        self.write("replay the event", Wake::Workers, move |connection| {
            queries::replay(connection, event, now)
        })
        .await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.read("count events", queries::stats).await
    }
}

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<SqliteStore>();
};
