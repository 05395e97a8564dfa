//! What runs on a connection of the pool. `Store`, `Connection` and `dialect` are those of the backend that compiles this
//! file.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use diesel::QueryResult;
use diesel_async::pooled_connection::bb8::PooledConnection;
use jaas_core::store::{Lease, Step, StoreError, TxWork};
use tokio::sync::oneshot;
use tokio::time;

use super::super::dialect::{self, Connection};
use super::lending::{Lent, lend};
use super::transaction::{self, Ran, Run};
use super::{Shared, TRIES};
use crate::error::{closed, not_in_time, unavailable};
use crate::now::Now;

/// Work on a connection that can be tried again.
pub(in super::super) type Work<T> = Box<
    dyn for<'c> Fn(&'c mut Connection) -> Pin<Box<dyn Future<Output = QueryResult<T>> + Send + 'c>>
        + Send
        + Sync,
>;

/// Runs a query on a connection of the pool, and with `wake` wakes the workers of this process after it. What is captured is
/// cloned for each try.
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
    /// Does this on a connection of the pool, in a task.
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

    /// Runs work in a transaction, and completes what is to be completed with the same commit. Without that, the transaction
    /// is rolled back.
    pub(in super::super) async fn in_transaction(
        self: &Arc<Self>,
        completing: Option<(Lease, Step, Now)>,
        work: TxWork<Connection>,
    ) -> Result<Ran, StoreError> {
        const OPERATION: &str = transaction::OPERATION;
        if self.tasks.is_closed() {
            return Err(closed(OPERATION));
        }
        let (caller, ran) = oneshot::channel();
        let run = Run { completing, work, caller };
        let shared = self.clone();
        // In a task, so that nothing on the connection is cut off with the caller, which would leave an unread answer on it.
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
                // Two statements were in each other's way, and the database has undone this one.
                Err(error) if dialect::can_be_tried_again(&error) && tries < TRIES => tries += 1,
                // A connection to a server that has become a replica. The pool may have connections to the server that is
                // behind the address now.
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
            lent.answered();
        }
        result.map_err(|error| unavailable(operation, error))
    }
}
