//! Calls that run on a connection of the pool.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`,
//! and `dialect` the backend's module of this name.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::pooled_connection::bb8::PooledConnection;
use jaas_core::store::{StoreError, TxWork};
use tokio::sync::oneshot;
use tokio::time;

use super::super::dialect::{self, Connection};
use super::lending::{Lent, lend};
use super::transaction::{self, Ran, Run};
use super::{Shared, TRIES, before_retry};
use crate::ending::Ending;
use crate::error::{closed, not_in_time, unavailable};

/// Work on a connection that can be tried again.
pub(in super::super) type Work<T> = Box<
    dyn for<'c> Fn(&'c mut Connection) -> Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'c>>
        + Send
        + Sync,
>;

/// Runs a query on a connection of the pool; `wake` then wakes the workers of this process. The captured variables are cloned
/// for each try.
macro_rules! asked {
    (wake, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        let done = super::asked!(write, $store, $operation, [$($captured),*] $connection => $query);
        $store.shared.wake();
        done
    }};
    ($how:ident, $store:expr, $operation:expr, [$($captured:ident),*] $connection:ident => $query:expr) => {{
        $(let $captured = $captured.clone();)*
        let work: super::server::pooled::Work<_> = Box::new(move |$connection| {
            $(let $captured = $captured.clone();)*
            Box::pin(async move { $query.await })
        });
        $store.shared.on_connection($operation, work).await
    }};
}
pub(in super::super) use asked;

impl Shared {
    /// Runs work on a connection of the pool, in a task.
    pub(in super::super) async fn on_connection<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        work: Work<T>,
    ) -> Result<T, StoreError> {
        if self.tasks.is_closed() {
            return Err(closed(operation));
        }
        let shared = self.clone();
        let task =
            self.tasks.spawn(async move { shared.limited(operation, shared.tried(operation, &work)).await });
        task.await.map_err(|error| unavailable(operation, error))?
    }

    /// Runs work in a transaction, which ends like this if the work succeeds, and is rolled back if not.
    pub(in super::super) async fn in_transaction(
        self: &Arc<Self>,
        ending: Ending,
        work: TxWork<Connection>,
    ) -> Result<Ran, StoreError> {
        const OPERATION: &str = transaction::OPERATION;
        if self.tasks.is_closed() {
            return Err(closed(OPERATION));
        }
        let (caller, ran) = oneshot::channel();
        let run = Run { ending, work, caller };
        let shared = self.clone();
        // In a task: cut off with the caller, a statement would leave its reply unread on the connection.
        self.tasks.spawn(async move {
            match shared.connection(OPERATION).await {
                Ok(connection) => run.on(connection, shared.timeout).await,
                Err(error) => {
                    let _ = run.caller.send(Err(error));
                }
            }
        });
        ran.await.unwrap_or_else(|_| Err(unavailable(OPERATION, "the work panicked")))
    }

    pub(super) async fn limited<T>(
        &self,
        operation: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let timeout = self.timeout;
        time::timeout(timeout, work).await.unwrap_or_else(|_| Err(not_in_time(operation, timeout)))
    }

    async fn connection(&self, operation: &str) -> Result<PooledConnection<'static, Connection>, StoreError> {
        if self.tasks.is_closed() {
            return Err(closed(operation));
        }
        lend(&self.pool, &self.tasks, operation, self.timeout).await
    }

    async fn tried<T>(&self, operation: &'static str, work: &Work<T>) -> Result<T, StoreError> {
        let mut lent = Lent::new(self.connection(operation).await?);
        let mut tries = 1;
        let result = loop {
            match work(lent.connection()).await {
                // Another statement was in the way, and the database has undone this one.
                Err(error) if dialect::can_be_tried_again(&error) && tries < TRIES => {
                    before_retry(tries).await;
                    tries += 1;
                }
                // The server has become a replica. Another connection of the pool may lead to the server that is behind the
                // address now.
                Err(error) if dialect::is_read_only(&error) && tries < TRIES => {
                    tries += 1;
                    drop(lent);
                    lent = Lent::new(self.connection(operation).await?);
                }
                result => break result,
            }
        };
        // A connection that was lost does not go back to the pool.
        if !result.as_ref().is_err_and(dialect::is_lost) {
            lent.finished();
        }
        result.map_err(|error| unavailable(operation, error))
    }
}
