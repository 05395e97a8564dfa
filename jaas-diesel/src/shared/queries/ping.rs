//! Whether the database can store events now.
//!
//! Compiled once per backend. `Connection` is `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect`
//! and `accept` are the backend's modules of these names.

use diesel::QueryResult;
use diesel::prelude::ExpressionMethods as _;
use diesel::result::Error;

use super::super::accept::insert_new;
use super::super::dialect::{self, Connection, RunQueryDsl as _, inside};
use crate::rows::NewEvent;

/// Checks that the database can commit and accept. First commits an update that changes nothing: that fails if the database
/// is read-only, waits for a lost standby, or has a full disk. Then stores an event as `accept` does, and rolls it back.
pub(in super::super) async fn ping(connection: &mut Connection) -> QueryResult<()> {
    use crate::schema::jaas_migrations::dsl;
    dialect::prepare(connection).await?;
    diesel::update(dsl::jaas_migrations).set(dsl::version.eq(dsl::version)).execute(connection).await?;
    match rolled_back(connection, &NewEvent::probe()?).await {
        Err(Error::RollbackTransaction) => Ok(()),
        result => result,
    }
}

/// Stores a probe. Always returns an error, so that the transaction is rolled back.
async fn rolled_back(connection: &mut Connection, probe: &NewEvent) -> QueryResult<()> {
    inside!(connection, {
        insert_new(connection, &[probe], true).await?;
        Err(Error::RollbackTransaction)
    })
}
