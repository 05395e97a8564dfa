//! Running a handler inside a transaction of a database server. A module of each such backend, like `queries`.

use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection as _, TransactionManager as _};
use jaas_core::HandlerResult;
use jaas_core::store::{Lease, Step, StoreError, StoreErrorKind, TxWork};
use tokio::time::timeout;

use super::dialect::Connection;
use super::queries;
use crate::error::{not_committed, not_in_time, unavailable};
use crate::now::Now;

pub(super) const OPERATION: &str = "run a handler in a transaction";

type Transactions = <Connection as AsyncConnection>::TransactionManager;

/// Runs the work and completes the step, together or not at all.
pub(super) async fn run(
    connection: &mut Connection,
    (lease, step): (Lease, &Step),
    now: Now,
    work: TxWork<Connection>,
    limit: Duration,
) -> Result<HandlerResult, StoreError> {
    let late = |_| not_in_time(OPERATION, limit);
    timeout(limit, begin(connection)).await.map_err(late)?.map_err(|error| unavailable(OPERATION, error))?;
    let handled = match work(connection).await {
        Ok(handled) => handled,
        Err(error) => {
            rolled_back(connection, limit).await;
            return Ok(Err(error));
        }
    };
    let completed = timeout(limit, async {
        if let Err(error) = still_ours(connection).await {
            return Ok(Err(error));
        }
        let completed = queries::complete(connection, lease, step, &handled, now).await?;
        if completed.is_ok() {
            Transactions::commit_transaction(connection).await?;
        }
        Ok(completed)
    });
    match completed.await.map_err(late)? {
        Ok(Ok(())) => Ok(Ok(handled)),
        Ok(Err(refused)) => {
            rolled_back(connection, limit).await;
            Err(refused)
        }
        Err(error) => {
            rolled_back(connection, limit).await;
            Err(not_committed(OPERATION, error))
        }
    }
}

async fn begin(connection: &mut Connection) -> diesel::QueryResult<()> {
    Transactions::begin_transaction(connection).await?;
    connection.batch_execute("SAVEPOINT jaas_handler").await
}

/// Fails when what the handler wrote is no longer in the transaction that was begun for it: it has ended that, or left
/// one inside it open, or a statement has failed in it.
async fn still_ours(connection: &mut Connection) -> Result<(), StoreError> {
    let refused = |error| {
        StoreError::new(
            StoreErrorKind::TransactionEnded,
            "cannot commit what the handler wrote: its transaction was ended, one inside it was left open, or a statement \
             in it failed and the handler went on (where that may happen, put the statement in a transaction of its own \
             inside, or use ON CONFLICT)",
        )
        .with_source(error)
    };
    match Transactions::transaction_manager_status_mut(connection).transaction_depth() {
        Ok(Some(depth)) if depth.get() == 1 => {}
        Ok(_) => return Err(refused(diesel::result::Error::NotInTransaction)),
        Err(error) => return Err(refused(error)),
    }
    connection.batch_execute("RELEASE SAVEPOINT jaas_handler").await.map_err(refused)
}

/// Rolls back however deep the handler left its own transactions. When that fails, the connection is not used again,
/// and the database rolls back.
async fn rolled_back(connection: &mut Connection, limit: Duration) {
    let _ = timeout(limit, async {
        while let Ok(Some(_)) = Transactions::transaction_manager_status_mut(connection).transaction_depth() {
            if Transactions::rollback_transaction(connection).await.is_err() {
                break;
            }
        }
    })
    .await;
}
