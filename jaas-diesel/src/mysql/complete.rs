//! Recording successful runs in MySQL and MariaDB: statement by statement, as the shared queries do.

use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::{AsyncMysqlConnection, SimpleAsyncConnection as _};
use jaas_core::store::{Claim, StoreError};

use super::dialect::{AFTER_HANDLER, atomically};
use super::queries::settle;
use crate::now::Now;
use crate::rows::Success;

/// Records successful runs together.
pub(in super::super) async fn complete_all(
    connection: &mut AsyncMysqlConnection,
    successes: &[&Success],
    now: Now,
) -> QueryResult<Vec<Result<Option<Claim>, StoreError>>> {
    atomically!(connection, { settle::complete_all(connection, successes, now).await })
}

/// After a handler in its open transaction: sends [`AFTER_HANDLER`] and records the run that succeeded. Returns the result of
/// each.
pub(in super::super) async fn complete(
    connection: &mut AsyncMysqlConnection,
    success: &Success,
    now: Now,
) -> (QueryResult<()>, QueryResult<Result<Option<Claim>, StoreError>>) {
    let after = connection.batch_execute(AFTER_HANDLER).await;
    let completed = match &after {
        Ok(()) => settle::complete(connection, success, now).await,
        Err(_) => Err(Error::RollbackTransaction),
    };
    (after, completed)
}

/// Does nothing: the driver prepares each statement when it is first used.
pub(in super::super) async fn prepare(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}
