//! Running a handler in a transaction.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`;
//! `complete` and `dialect` are the backend's modules of these names.

use std::ops::DerefMut;
use std::time::Duration;

use diesel_async::{AsyncConnection, SimpleAsyncConnection as _, TransactionManager as _};
use jaas_core::HandlerResult;
use jaas_core::store::{Claim, StoreError, TxWork};
use tokio::sync::oneshot;
use tokio::time;

use super::super::complete;
use super::super::dialect::{self, Connection};
use crate::ending::Ending;
use crate::error::{not_committed, not_in_time, transaction_ended, unavailable};
use crate::now::Now;
use crate::rows::Success;

pub(super) const OPERATION: &str = "run a handler in a transaction";

type Transactions = <Connection as AsyncConnection>::TransactionManager;

/// What a handler returned, and the claim of the session's next event.
pub(in super::super) type Ran = (HandlerResult, Option<Claim>);

/// A handler to run in a transaction.
pub(super) struct Run {
    pub(super) ending: Ending,
    pub(super) work: TxWork<Connection>,
    pub(super) caller: oneshot::Sender<Result<Ran, StoreError>>,
}

impl Run {
    /// Runs the work on this connection, ends the transaction as the [`Ending`] says, and sends the result to the
    /// caller.
    pub(super) async fn on(self, mut lent: impl DerefMut<Target = Connection>, timeout: Duration) {
        let connection: &mut Connection = &mut lent;
        let Self { ending, work, mut caller } = self;
        if caller.is_closed() {
            return;
        }
        let late = |_| not_in_time(OPERATION, timeout);
        let begun = time::timeout(timeout, begin(connection)).await.map_err(late);
        if let Err(error) = begun.and_then(|begun| begun.map_err(|error| unavailable(OPERATION, error))) {
            // The next call on this connection would fail, too.
            Transactions::transaction_manager_status_mut(connection).set_in_error();
            let _ = caller.send(Err(error));
            return;
        }
        let handled = tokio::select! {
            result = work(connection) => result,
            // The worker has aborted the handler. The connection is in a transaction, so it is not used again, and the
            // database rolls back.
            () = caller.closed() => return,
        };
        let result = match (handled, ending) {
            (Ok(handled), Ending::Complete(lease, step, now)) => {
                let success = Success::new(lease, &step, &handled);
                match time::timeout(timeout, complete_and_commit(connection, &success, now)).await {
                    Ok(Ok(next)) => Ok((Ok(handled), next)),
                    Ok(Err(error)) => {
                        rolled_back(connection, timeout).await;
                        Err(error)
                    }
                    Err(elapsed) => Err(late(elapsed)),
                }
            }
            (Ok(handled), Ending::Commit) => match time::timeout(timeout, commit(connection)).await {
                Ok(Ok(())) => Ok((Ok(handled), None)),
                Ok(Err(error)) => {
                    rolled_back(connection, timeout).await;
                    Err(error)
                }
                Err(elapsed) => Err(late(elapsed)),
            },
            (Ok(handled), Ending::RollBack) => {
                rolled_back(connection, timeout).await;
                Ok((Ok(handled), None))
            }
            (Err(failed), _) => {
                rolled_back(connection, timeout).await;
                match time::timeout(timeout, dialect::check_writable(connection)).await {
                    // The handler is not at fault, and the next handler on this connection would fail, too.
                    Ok(Err(error)) if dialect::is_read_only(&error) => {
                        Transactions::transaction_manager_status_mut(connection).set_in_error();
                        Err(unavailable(OPERATION, error))
                    }
                    _ => Ok((Err(failed), None)),
                }
            }
        };
        let _ = caller.send(result);
    }
}

/// Completes the step and commits.
async fn complete_and_commit(
    connection: &mut Connection,
    success: &Success,
    now: Now,
) -> Result<Option<Claim>, StoreError> {
    still_ours(connection).await?;
    let failed = |error| not_committed(OPERATION, error);
    let next = complete::complete(connection, success, now).await.map_err(failed)??;
    Transactions::commit_transaction(connection).await.map_err(failed)?;
    Ok(next)
}

async fn commit(connection: &mut Connection) -> Result<(), StoreError> {
    still_ours(connection).await?;
    Transactions::commit_transaction(connection).await.map_err(|error| not_committed(OPERATION, error))
}

async fn begin(connection: &mut Connection) -> diesel::QueryResult<()> {
    Transactions::begin_transaction_sql(connection, dialect::BEGIN_FOR_HANDLER).await
}

/// Fails if what the handler wrote is no longer in the transaction that the store began: the handler ended that
/// transaction, left an inner one open, or continued after a failed statement.
async fn still_ours(connection: &mut Connection) -> Result<(), StoreError> {
    match Transactions::transaction_manager_status_mut(connection).transaction_depth() {
        Ok(Some(depth)) if depth.get() == 1 => {}
        Ok(_) => return Err(transaction_ended(diesel::result::Error::NotInTransaction)),
        Err(error) => return Err(transaction_ended(error)),
    }
    match connection.batch_execute(dialect::AFTER_HANDLER).await {
        Ok(()) => Ok(()),
        // The handler is not at fault.
        Err(error) if dialect::is_lost(&error) => Err(unavailable(OPERATION, error)),
        Err(error) => Err(transaction_ended(error)),
    }
}

/// Rolls back the transaction, with all inner transactions that the handler left open. If that fails, the connection is
/// not used again, and the database rolls back.
async fn rolled_back(connection: &mut Connection, timeout: Duration) {
    let _ = time::timeout(timeout, async {
        while let Ok(Some(_)) = Transactions::transaction_manager_status_mut(connection).transaction_depth() {
            if Transactions::rollback_transaction(connection).await.is_err() {
                break;
            }
        }
    })
    .await;
}
