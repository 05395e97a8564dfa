//! Running a handler in a transaction.

use diesel::SqliteConnection;
use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use jaas_core::HandlerResult;
use jaas_core::store::{Claim, StoreError, TxWork};
use tokio::sync::oneshot;

use super::Connection;
use super::dialect::polled;
use super::queries::settle;
use crate::ending::Ending;
use crate::error::{not_committed, transaction_ended, unavailable};
use crate::rows::Success;

/// A handler to run in a transaction.
pub(super) struct Run {
    pub(super) ending: Ending,
    pub(super) work: TxWork<Connection>,
    pub(super) caller: oneshot::Sender<Result<Ran, StoreError>>,
}

/// What a handler returned, and the claim of the session's next event.
pub(super) type Ran = (HandlerResult, Option<Claim>);

impl Run {
    /// Runs the handler and sends the result to the caller. Returns the connection, unless it may still be in a transaction.
    pub(super) async fn in_transaction(self, mut connection: Connection) -> Option<Connection> {
        const OPERATION: &str = "run a handler in a transaction";
        let Self { ending, work, mut caller } = self;
        let begun = connection
            .spawn_blocking(|connection| {
                AnsiTransactionManager::begin_transaction_sql(connection, "BEGIN IMMEDIATE")?;
                connection.batch_execute("SAVEPOINT jaas_handler")
            })
            .await;
        if let Err(error) = begun {
            let _ = caller.send(Err(unavailable(OPERATION, error)));
            return None;
        }
        let result = tokio::select! {
            result = work(&mut connection) => result,
            // The worker has cut the handler off. The connection is dropped, and SQLite rolls back.
            () = caller.closed() => return None,
        };
        let (result, back) = match (result, ending) {
            (Ok(handled), Ending::Complete(lease, step, now)) => {
                let success = Success::new(lease, &step, &handled);
                let completed = connection
                    .spawn_blocking(move |connection| {
                        if let Err(error) = still_ours(connection) {
                            return Ok(Err(error));
                        }
                        let completed = polled(settle::complete(connection, &success, now))?;
                        if completed.is_ok() {
                            AnsiTransactionManager::commit_transaction(connection)?;
                        }
                        Ok(completed)
                    })
                    .await;
                match completed {
                    Ok(Ok(next)) => (Ok((Ok(handled), next)), Some(connection)),
                    Ok(Err(refused)) => (Err(refused), rolled_back(connection).await),
                    Err(error) => (Err(not_committed(OPERATION, error)), None),
                }
            }
            (Ok(handled), Ending::Commit) => {
                let committed = connection
                    .spawn_blocking(|connection| {
                        if let Err(error) = still_ours(connection) {
                            return Ok(Err(error));
                        }
                        AnsiTransactionManager::commit_transaction(connection).map(Ok)
                    })
                    .await;
                match committed {
                    Ok(Ok(())) => (Ok((Ok(handled), None)), Some(connection)),
                    Ok(Err(refused)) => (Err(refused), rolled_back(connection).await),
                    Err(error) => (Err(not_committed(OPERATION, error)), None),
                }
            }
            (result, _) => (Ok((result, None)), rolled_back(connection).await),
        };
        let _ = caller.send(result);
        back
    }
}

/// Fails when what the handler wrote is no longer in the transaction that the store began for it: the handler ended that
/// transaction, a statement rolled it back, or an inner one was left open.
fn still_ours(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    match AnsiTransactionManager::transaction_manager_status_mut(connection).transaction_depth() {
        Ok(Some(depth)) if depth.get() == 1 => {}
        Ok(_) => return Err(transaction_ended(diesel::result::Error::NotInTransaction)),
        Err(error) => return Err(transaction_ended(error)),
    }
    connection.batch_execute("RELEASE jaas_handler").map_err(transaction_ended)
}

/// Rolls back the transaction, with all inner transactions that the handler left open. Returns the connection if that
/// succeeded.
async fn rolled_back(mut connection: Connection) -> Option<Connection> {
    let rolled_back = connection
        .spawn_blocking(|connection| {
            loop {
                let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
                match status.transaction_depth()? {
                    Some(_) => AnsiTransactionManager::rollback_transaction(connection)?,
                    None => return Ok(()),
                }
            }
        })
        .await;
    rolled_back.is_ok().then_some(connection)
}
