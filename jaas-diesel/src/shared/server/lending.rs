//! Connections of the pool, and which of them go back to it. `Connection` is that of the backend that compiles this file.

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

/// How long a call waits for a connection of the pool before it asks for one more. A pool that could not connect does not
/// notify those who wait, nor does it try again for them: without this, they would wait long after the database is back.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Takes a connection out of the pool, within the timeout.
pub(super) async fn lend(
    pool: &Pool<Connection>,
    tasks: &TaskTracker,
    operation: &str,
    timeout: Duration,
) -> Result<PooledConnection<'static, Connection>, StoreError> {
    let deadline = Instant::now() + timeout;
    let mut asked = FuturesUnordered::new();
    loop {
        // In a task, so that it is not cut off while the pool asks the server whether the connection still lives: the next
        // statement would read the answer. A task that comes too late gives its connection back.
        let pool = pool.clone();
        asked.push(tasks.spawn(async move { pool.get_owned().await }));
        match timeout_at(deadline.min(Instant::now() + ASK_AGAIN), asked.next()).await {
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

/// A connection whose work may be cut off. Unless all was [answered](Self::answered), the connection does not go back to the
/// pool: the next statement would take what is left unread on it for its answer.
pub(super) struct Lent {
    connection: PooledConnection<'static, Connection>,
    answered: bool,
}

impl Lent {
    pub(super) fn new(connection: PooledConnection<'static, Connection>) -> Self {
        Self { connection, answered: false }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        type Transactions = <Connection as AsyncConnection>::TransactionManager;
        if !self.answered {
            Transactions::transaction_manager_status_mut(&mut *self.connection).set_in_error();
        }
    }
}
