//! The inbox in MySQL or MariaDB.
//!
//! Any number of processes share it. Each accepts with group commit on a connection of its own, and claims with `FOR
//! UPDATE SKIP LOCKED`. There is no `NOTIFY` here: workers find out what other processes accepted when they poll.

mod accept;
#[path = "shared/admin.rs"]
mod admin;
mod dialect;
#[path = "shared/migrations.rs"]
mod migrations;
#[path = "shared/queries/mod.rs"]
mod queries;
mod queues;
#[path = "shared/server/mod.rs"]
mod server;
mod session;
#[path = "shared/settings.rs"]
mod settings;
#[path = "shared/settings_table.rs"]
mod settings_table;
#[path = "shared/store.rs"]
mod store;

use std::sync::Arc;
use std::time::Duration;

use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection as _, AsyncMysqlConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use jaas_core::store::StoreError;
use tokio::sync::{Notify, watch};

use self::MysqlStore as Store;
use self::MysqlStoreBuilder as Builder;
use self::server::{Plan, Shared, Source};
pub use self::settings_table::SettingsTable;
use crate::error::unavailable;

/// The connection of a MySQL transaction, as [`Context::tx`](jaas_core::Context::tx) gives it to a transactional
/// handler. Use it with [`diesel_async::RunQueryDsl`].
pub type Connection = AsyncMysqlConnection;

/// A pool of such connections.
pub type Pool = diesel_async::pooled_connection::bb8::Pool<Connection>;

/// An [`EventStore`](jaas_core::store::EventStore) in MySQL 8 or MariaDB 10.6, or later, for any number of processes.
///
/// ```no_run
/// use jaas_diesel::MysqlStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MysqlStore::open("mysql://app:secret@db.example.com/app?require_ssl=true").await?;
/// # Ok(())
/// # }
/// ```
///
/// - **Durability** needs `innodb_flush_log_at_trx_commit = 1`, the server's default, and `sync_binlog = 1` when it has a binary
///   log (MariaDB's default is 0); the store warns otherwise.
/// - **TLS**: with `require_ssl=true` in the address. The driver checks the server's certificate against the roots of
///   Mozilla that are compiled in; it cannot be given others by the address. For a private authority, open a pool of
///   your own with `mysql_async`, and use [`from_pool`](MysqlStore::from_pool).
/// - **Time**: leases and retries go by the database's clock.
/// - **Sockets**: the store connects to what the address says. A pool of yours does so with `prefer_socket=false` in its address;
///   otherwise the driver goes through the socket of a server on this machine, which behind a tunnel, a proxy or a published port
///   of a container is another server.
/// - **Sessions**: each connection of the store's sets what the statements rely on, whatever the server's defaults are:
///   `autocommit` on, `completion_type` `NO_CHAIN`, no `EMPTY_STRING_IS_NULL` and `ORACLE` in `sql_mode`, no `sql_select_limit`,
///   no `sql_safe_updates`, `unique_checks` on; transactions are `READ COMMITTED`. With a pool of yours,
///   [`open`](MysqlStoreBuilder::open) fails when they do not fit.
/// - **Locks of tables**: on a connection of the store's own pool, the server waits for a table that another session locks or
///   changes for 60 s, or for the [`timeout`](MysqlStoreBuilder::timeout) if that is longer. It does not wait longer than
///   the store on those that accept, claim and complete.
/// - **Binary log**: with `binlog_format = STATEMENT` the store does not open, because the server would refuse every event.
/// - **Statements that change tables** commit by themselves: a transactional handler must not use them.
/// - **Connections**: besides those of the pool, the store holds three of its own: to accept, to claim and to complete.
///
/// Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct MysqlStore {
    shared: Arc<Shared>,
}

/// Opens a [`MysqlStore`].
#[must_use]
pub struct MysqlStoreBuilder {
    plan: Plan,
}

impl MysqlStore {
    /// Connects to this address with a pool of up to 20 connections, and brings the tables up to date. See
    /// [mysql_async](https://docs.rs/mysql_async/0.36/mysql_async/struct.Opts.html#method.from_url) for what an
    /// address may hold.
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Starts with a database at this address.
    pub fn builder(url: impl Into<String>) -> MysqlStoreBuilder {
        MysqlStoreBuilder { plan: Plan::new(Source::Own(Own { url: url.into(), max_size: 20 })) }
    }

    /// Starts with the application's pool. The store also opens connections of its own with it, outside the pool.
    ///
    /// Have `prefer_socket=false` in the pool's address: for an address of this machine the driver otherwise asks the server
    /// for the path of its socket and connects to that path on this machine, where another server may be.
    pub fn from_pool(pool: Pool) -> MysqlStoreBuilder {
        MysqlStoreBuilder { plan: Plan::new(Source::Pool(pool)) }
    }
}

impl MysqlStoreBuilder {
    /// How many connections the store's own pool may have. Each transactional handler that runs takes one. Defaults to
    /// 20; with [`from_pool`](MysqlStore::from_pool) the pool decides.
    pub fn pool_size(mut self, connections: u32) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.max_size = connections.max(1);
        }
        self
    }
}

/// The store's own pool.
struct Own {
    url: String,
    max_size: u32,
}

impl Own {
    // Like its counterpart for PostgreSQL, which has to read files.
    #[allow(clippy::unused_async)]
    async fn pool(&self, timeout: Duration) -> Result<Pool, StoreError> {
        let url = to_the_address(&self.url);
        // The error of the parser names the part, and not what stands there.
        let checked = mysql_async::Opts::from_url(&url);
        checked.map_err(|error| unavailable("parse the address of the MySQL database", error))?;
        let mut manager = ManagerConfig::default();
        manager.custom_setup = Box::new(move |url| connect(url, timeout).boxed());
        manager.recycling_method = RecyclingMethod::Verified;
        let manager = AsyncDieselConnectionManager::new_with_config(url, manager);
        Ok(Pool::builder()
            .max_size(self.max_size)
            .connection_timeout(timeout)
            .retry_connection(false)
            .build_unchecked(manager))
    }
}

/// The address, unless it says otherwise without the driver's way to a socket: on an address of this machine, it asks the
/// server for the path of its socket and goes on through that path *here*. Behind a tunnel, a proxy or a published port of a
/// container the server is another one than the socket's, and events would be stored in the wrong database.
fn to_the_address(url: &str) -> String {
    if url.contains("prefer_socket=") || url.contains("socket=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}prefer_socket=false")
}

/// How long a statement of a handler may wait for a table that another session changes or locks. A call of the store may wait
/// as long on the server if it is dropped meanwhile.
const TABLE_LOCKS: Duration = Duration::from_secs(60);

async fn connect(url: &str, timeout: Duration) -> diesel::ConnectionResult<Connection> {
    let mut connection = Connection::establish(url).await?;
    // A process that is stopped in the middle of a transaction must not hold up the others forever. MySQL does not know
    // this setting of MariaDB's.
    let _ = connection.batch_execute("SET SESSION idle_transaction_timeout = 60").await;
    let prepared = async {
        dialect::prepare(&mut connection).await?;
        dialect::limit_table_locks(&mut connection, timeout.max(TABLE_LOCKS)).await
    };
    prepared.await.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

/// There is nothing to listen to.
async fn listen(_: Pool, _: Duration, _: Arc<Notify>, _: Arc<watch::Sender<u64>>) {}

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
            let opts = mysql_async::Opts::from_url(&to_the_address(url)).expect("an address");
            assert_eq!(opts.prefer_socket(), prefers, "{url}");
        }
    }
}
