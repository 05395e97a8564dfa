//! Recording successful runs in MySQL and MariaDB: statement by statement, as the shared queries do.

use diesel::QueryResult;
use diesel_async::AsyncMysqlConnection;
use jaas_core::store::{Claim, StoreError};

use super::dialect::atomically;
use super::queries::settle;
pub(super) use super::queries::settle::complete;
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

/// Does nothing: the driver prepares each statement when it is first used.
pub(in super::super) async fn prepare(_: &mut AsyncMysqlConnection) -> QueryResult<()> {
    Ok(())
}
