//! The store's own pool, and how its connections are made.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bb8::QueueStrategy;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::BigInt;
use diesel::{IntoSql as _, QueryResult};
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{
    AsyncConnection as _, AsyncMysqlConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
};
use futures_util::FutureExt as _;
use jaas_core::store::StoreError;

use super::session;
use crate::error::unavailable;

/// What the store's own pool is made of.
pub(super) struct OwnPool {
    pub(super) url: String,
    pub(super) max_size: u32,
}

impl OwnPool {
    #[allow(clippy::unused_async, reason = "the method of the same name for PostgreSQL reads files")]
    pub(super) async fn open(&self, timeout: Duration) -> Result<Pool<AsyncMysqlConnection>, StoreError> {
        let url = without_socket(&self.url);
        // The parser's error names the part of the address, not its value, which may be a password.
        let checked = mysql_async::Opts::from_url(&url);
        checked.map_err(|error| unavailable("parse the address of the MySQL database", error))?;
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |url| connect(url, timeout).boxed());
        manager.recycling_method = RecyclingMethod::CustomFunction(Box::new(|lent| check(lent).boxed()));
        let manager = AsyncDieselConnectionManager::new_with_config(url, manager);
        Ok(Pool::builder()
            .max_size(self.max_size)
            .connection_timeout(timeout)
            .retry_connection(false)
            // The server has the plans of the connection used last at hand; and connections that are not needed end.
            .queue_strategy(QueueStrategy::Lifo)
            .build_unchecked(manager))
    }
}

/// The address with `prefer_socket=false`, unless it already says whether to use a socket. For an address of this machine, the
/// driver asks the server for the path of its socket, and connects to that path on this machine. If the address leads to a
/// tunnel, a proxy or the published port of a container, the socket belongs to another server, and events would be stored in
/// the wrong database.
fn without_socket(url: &str) -> String {
    if url.contains("prefer_socket=") || url.contains("socket=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}prefer_socket=false")
}

/// Fails unless the connection answers what it is asked now. After a query whose caller has gone, the next reply is the one to
/// that query, and `RecyclingMethod::Verified` takes any number for its own.
async fn check(connection: &mut AsyncMysqlConnection) -> QueryResult<()> {
    let asked = RandomState::new().hash_one(0).cast_signed();
    let answered: i64 = diesel::select(asked.into_sql::<BigInt>()).get_result(connection).await?;
    if answered == asked {
        return Ok(());
    }
    Err(Error::DatabaseError(
        DatabaseErrorKind::ClosedConnection,
        Box::new("the connection answers an earlier question".to_owned()),
    ))
}

/// How long a handler's statement may wait for a table that another session changes or locks. A call of the store that is
/// dropped meanwhile may wait as long on the server.
const TABLE_LOCKS: Duration = Duration::from_secs(60);

async fn connect(url: &str, timeout: Duration) -> diesel::ConnectionResult<AsyncMysqlConnection> {
    let mut connection = AsyncMysqlConnection::establish(url).await?;
    // A process that is stopped in the middle of a transaction must not hold its locks forever. Only MariaDB has this
    // setting.
    let _ = connection.batch_execute("SET SESSION idle_transaction_timeout = 60").await;
    let prepared = async {
        session::prepare(&mut connection).await?;
        session::limit_table_locks(&mut connection, timeout.max(TABLE_LOCKS)).await
    };
    prepared.await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_connects_to_its_address_and_not_to_a_socket_of_this_machine() {
        for (url, prefers) in [
            ("mysql://root@127.0.0.1:3307/app", false),
            ("mysql://root@127.0.0.1:3307/app?require_ssl=true", false),
            ("mysql://root@localhost/app?prefer_socket=true", true),
        ] {
            let opts = mysql_async::Opts::from_url(&without_socket(url)).expect("an address");
            assert_eq!(opts.prefer_socket(), prefers, "{url}");
        }
    }
}
