//! Connections outside the pool.
//!
//! Compiled twice, for `postgres` and `mysql`: `Connection` is `AsyncPgConnection` or `AsyncMysqlConnection`,
//! and `dialect` the backend's module of this name.

use std::time::Duration;

use diesel_async::pooled_connection::bb8::Pool;
use jaas_core::store::StoreError;
use tokio::time;

use super::super::dialect::{self, Connection};
use crate::error::{not_in_time, unavailable};

const OPERATION: &str = "connect to the database";

/// Fails when the connections of the pool do not have the settings that the statements rely on.
pub(in super::super) async fn check_session(
    pool: &Pool<Connection>,
    timeout: Duration,
) -> Result<(), StoreError> {
    let checked = time::timeout(timeout, async {
        let connected = pool.dedicated_connection().await;
        let mut connection = connected.map_err(|error| unavailable(OPERATION, error))?;
        dialect::check_session(&mut connection).await.map_err(|error| unavailable(OPERATION, error))
    });
    checked.await.map_err(|_| not_in_time(OPERATION, timeout))?
}

/// A connection to a database that fits: the tables can be created in it.
pub(in super::super) async fn fit(
    pool: &Pool<Connection>,
    timeout: Duration,
) -> Result<Connection, StoreError> {
    const OPERATION: &str = "use this database";
    let mut connection = dedicated(pool, timeout).await?;
    let checked = time::timeout(timeout, dialect::check_database(&mut connection)).await;
    checked.map_err(|_| not_in_time(OPERATION, timeout))?.map_err(|error| unavailable(OPERATION, error))?;
    Ok(connection)
}

/// A connection without the server's own timeouts.
pub(in super::super) async fn dedicated(
    pool: &Pool<Connection>,
    timeout: Duration,
) -> Result<Connection, StoreError> {
    let connected = time::timeout(timeout, async {
        let connected = pool.dedicated_connection().await;
        let mut connection = connected.map_err(|error| unavailable(OPERATION, error))?;
        let prepared = async {
            dialect::prepare(&mut connection).await?;
            dialect::lift_limits(&mut connection).await
        };
        prepared.await.map_err(|error| unavailable(OPERATION, error))?;
        Ok(connection)
    });
    connected.await.map_err(|_| not_in_time(OPERATION, timeout))?
}

/// A connection for a task that owns it. No statement on it takes longer than the timeout, and the planner is set up for the
/// statements on queues.
pub(super) async fn limited(pool: &Pool<Connection>, timeout: Duration) -> Result<Connection, StoreError> {
    let mut connection = dedicated(pool, timeout).await?;
    let failed = |error| unavailable(OPERATION, error);
    dialect::limit_statements(&mut connection, timeout).await.map_err(failed)?;
    dialect::plan_for_queues(&mut connection).await.map_err(failed)?;
    Ok(connection)
}
