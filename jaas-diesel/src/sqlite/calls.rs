//! How the calls of a store reach the writing thread and the reading connection.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use diesel::{QueryResult, SqliteConnection};
use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{Accepted, Claim, ClaimRequest, StoreError, TxWork};
use jaas_core::{Delivery, Timestamp};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{oneshot, watch};

use super::Connection;
use super::connection::Open;
use super::dialect::polled;
use super::queries::claim::{self, Front};
use super::queries::{accept, settle};
use super::transaction::Ran;
use super::writer::{Claimed, Command, Wake, Writer};
use crate::ending::Ending;
use crate::error::{closed, not_in_time, unavailable};
use crate::now::Now;
use crate::rows::{NewQuarantined, Success};

/// Runs a query: `read` on the reading connection, `write` and `wake` on the writing thread. `wake` then wakes the workers. The
/// captured variables are cloned.
macro_rules! asked {
    (read, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let read = move |$connection: &mut diesel::SqliteConnection| $crate::sqlite::dialect::polled($query);
        $store.shared.read($operation, read).await
    }};
    (write, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {
        asked!(NoWorkers, $store, $operation, [$($captured),*] $connection => $query)
    };
    (wake, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {
        asked!(Workers, $store, $operation, [$($captured),*] $connection => $query)
    };
    ($wake:ident, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let write = move |$connection: &mut diesel::SqliteConnection| {
            $crate::sqlite::dialect::polled($query).map(Ok)
        };
        $store.shared.write($operation, $crate::sqlite::writer::Wake::$wake, write).await
    }};
}
pub(super) use asked;

type BoxFuture<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// What the clones of a store share.
pub(super) struct Shared {
    open: Open,
    timeout: Duration,
    writer: Writer,
    reader: Arc<Mutex<Option<SqliteConnection>>>,
    /// An asynchronous connection for [`on_connection`](Self::on_connection), while none of its calls has it.
    idle: Arc<Mutex<Option<Connection>>>,
}

impl Shared {
    pub(super) fn new(open: Open, timeout: Duration, writer: Writer) -> Self {
        Self { open, timeout, writer, reader: Arc::default(), idle: Arc::default() }
    }

    pub(super) fn path(&self) -> &Path {
        self.open.path()
    }

    /// Ends the writing thread once it has written what is queued, and closes the file.
    pub(super) async fn close(&self) {
        self.writer.close().await;
        // A query may be running on the connection, and waiting for its lock must not block the runtime.
        let (reader, idle) = (self.reader.clone(), self.idle.clone());
        let closed = tokio::task::spawn_blocking(move || drop((lock(&reader).take(), lock(&idle).take())));
        let _ = closed.await;
    }
}

/// The methods that `asked!` calls.
impl Shared {
    /// Queues a write and waits for its commit.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        operation: &'static str,
        wake: Wake,
        write: impl FnMut(&mut SqliteConnection) -> QueryResult<Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, result) = Command::write(operation, wake, write);
        self.limited(operation, async {
            self.writer.send(command).await?;
            done(operation, result).await
        })
        .await
    }

    /// Runs a query on the reading connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&mut SqliteConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.writer.is_closed() {
            return Err(closed(operation));
        }
        let reader = self.reader.clone();
        let open = self.open.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut slot = lock(&reader);
            let mut connection = match slot.take() {
                Some(connection) => connection,
                None => open.reader()?,
            };
            let result = read(&mut connection).map_err(|error| unavailable(operation, error));
            // A connection that failed is not used again; the next query opens another.
            if result.is_ok() {
                *slot = Some(connection);
            }
            result
        });
        self.limited(operation, async { task.await.map_err(|error| unavailable(operation, error))? }).await
    }

    /// Runs queries of the asynchronous connection, on a connection that cannot write: the idle one, or a new one.
    pub(super) async fn on_connection<T>(
        &self,
        operation: &'static str,
        work: impl for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, QueryResult<T>>,
    ) -> Result<T, StoreError> {
        if self.writer.is_closed() {
            return Err(closed(operation));
        }
        let open = self.open.clone();
        self.limited(operation, async {
            let idle = lock(&self.idle).take();
            let mut connection = match idle {
                Some(connection) => connection,
                None => {
                    let opening = tokio::task::spawn_blocking(move || open.reader());
                    Connection::new(opening.await.map_err(|error| unavailable(operation, error))??)
                }
            };
            // A connection that failed is not used again; the next call opens another.
            let result = work(&mut connection).await.map_err(|error| unavailable(operation, error))?;
            *lock(&self.idle) = Some(connection);
            if self.writer.is_closed() {
                lock(&self.idle).take();
            }
            Ok(result)
        })
        .await
    }

    async fn limited<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let timeout = self.timeout;
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(not_in_time(operation, timeout)))
    }
}

/// The methods that `shared/store.rs` and `shared/admin.rs` call without `asked!`.
impl Shared {
    /// Stores an event with the next group. Fails as `Overloaded` when the queue is full.
    pub(super) async fn store_event(&self, event: Delivery) -> Result<Accepted, StoreError> {
        const OPERATION: &str = "store the event";
        let (command, result) = Command::accept(OPERATION, event);
        self.writer.try_send(command)?;
        self.limited(OPERATION, done(OPERATION, result)).await
    }

    /// Stores a body in quarantine. Fails as `Overloaded` when the queue is full.
    pub(super) async fn keep_unreadable(&self, body: NewQuarantined) -> Result<(), StoreError> {
        const OPERATION: &str = "quarantine the body";
        let (command, result) = Command::write(OPERATION, Wake::NoWorkers, move |connection| {
            polled(accept::quarantine(connection, &body)).map(Ok)
        });
        self.writer.try_send(command)?;
        self.limited(OPERATION, done(OPERATION, result)).await
    }

    pub(super) async fn claim_events(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        const OPERATION: &str = "claim events";
        let (command, result) = Command::claim(OPERATION, move |connection| {
            let mut dead_letters = Vec::new();
            // Nothing of a deleted queue is left in its index.
            let (now, mut front) = (Now::given(request.now), Front::default());
            let claims = polled(claim::claim(connection, &request, now, &mut front, &mut dead_letters))?;
            Ok(Claimed { claims, dead_letters })
        });
        let claimed = self.limited(OPERATION, async {
            self.writer.send(command).await?;
            done(OPERATION, result).await
        });
        claimed.await.map(Claimed::reported)
    }

    /// Records a success; returns the claim of the session's next event.
    pub(super) async fn record_success(
        &self,
        success: Success,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        self.write("complete the event", Wake::NoWorkers, move |connection| {
            polled(settle::complete(connection, &success, Now::given(now)))
        })
        .await
    }

    /// Runs work in a transaction, which ends like this if the work succeeds, and is rolled back if not.
    pub(super) async fn in_transaction(
        &self,
        ending: Ending,
        work: TxWork<Connection>,
    ) -> Result<Ran, StoreError> {
        const OPERATION: &str = "run a handler in a transaction";
        let (command, result) = Command::run(ending, work);
        self.limited(OPERATION, self.writer.send(command)).await?;
        done(OPERATION, result).await
    }

    /// Does nothing: with one writing thread a claim costs less than it would save.
    pub(super) fn offer(&self, _: HandOver) {}

    /// The caller's time: all processes of one file are on one machine and share its clock.
    pub(super) fn now(&self, callers: Timestamp) -> Now {
        Now::given(callers)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.writer.wakeups()
    }
}

/// Locks the slot, also after a panic: the slot is empty while a query runs, so a panic leaves nothing half-done in it.
pub(super) fn lock<T>(slot: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    slot.lock()
}

/// Waits for the result that the writing thread sends.
async fn done<T>(operation: &str, result: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    result.await.unwrap_or_else(|_| {
        Err(unavailable(
            operation,
            "it was cut off, because the store was closed meanwhile or the work panicked",
        ))
    })
}
