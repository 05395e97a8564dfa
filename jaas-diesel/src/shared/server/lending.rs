//! Connections of the pool, and which of them go back to it.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`.

use std::time::Duration;

use diesel_async::pooled_connection::bb8::{Pool, PooledConnection, RunError};
use diesel_async::{AsyncConnection, TransactionManager as _};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jaas_core::store::StoreError;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::super::dialect::Connection;
use crate::error::{not_in_time, unavailable};

/// How long a call waits for a connection before it asks the pool for another. A pool that could not connect neither notifies
/// the waiting calls nor tries again for them: without a second request they would wait long after the database is back.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Takes a connection out of the pool, within the timeout.
pub(super) async fn lend(
    pool: &Pool<Connection>,
    tasks: &TaskTracker,
    operation: &str,
    timeout: Duration,
) -> Result<PooledConnection<'static, Connection>, StoreError> {
    let deadline = Instant::now() + timeout;
    let mut requests = FuturesUnordered::new();
    loop {
        // In a task, so that it is not cut off while the pool checks on the server whether the connection still works: the next
        // statement would read the reply to the check. A task that is too late gives its connection back.
        let pool = pool.clone();
        requests.push(tasks.spawn(async move { pool.get_owned().await }));
        match timeout_at(deadline.min(Instant::now() + RETRY_INTERVAL), requests.next()).await {
            Ok(Some(Ok(Ok(connection)))) => return Ok(connection),
            Ok(Some(Ok(Err(RunError::User(error))))) => return Err(unavailable(operation, error)),
            Ok(Some(Err(ended))) => return Err(unavailable(operation, ended)),
            Ok(Some(Ok(Err(RunError::TimedOut))) | None) | Err(_) if Instant::now() < deadline => {}
            Ok(Some(Ok(Err(RunError::TimedOut))) | None) | Err(_) => {
                return Err(not_in_time(operation, timeout));
            }
        }
    }
}

/// A connection whose work may be cut off. It goes back to the pool only after [`finished`](Self::finished): on an unfinished
/// connection, the next statement would read the reply to the previous one.
pub(super) struct Lent {
    connection: PooledConnection<'static, Connection>,
    finished: bool,
}

impl Lent {
    pub(super) fn new(connection: PooledConnection<'static, Connection>) -> Self {
        Self { connection, finished: false }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Every reply was read: the connection can go back to the pool.
    pub(super) fn finished(mut self) {
        self.finished = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        type Transactions = <Connection as AsyncConnection>::TransactionManager;
        if !self.finished {
            Transactions::transaction_manager_status_mut(&mut *self.connection).set_in_error();
        }
    }
}
