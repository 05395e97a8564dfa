//! [`MysqlStore`], and what it is opened with.

use std::sync::Arc;

use jaas_core::store::StoreError;

use super::Pool;
use super::pool::OwnPool;
use super::server::Shared;
use super::server::plan::{Plan, Source};

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
    pub(super) shared: Arc<Shared>,
}

/// Opens a [`MysqlStore`].
#[must_use]
pub struct MysqlStoreBuilder {
    pub(super) plan: Plan,
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
        MysqlStoreBuilder { plan: Plan::new(Source::Own(OwnPool { url: url.into(), max_size: 20 })) }
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
