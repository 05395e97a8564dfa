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
/// - **Durability** needs `innodb_flush_log_at_trx_commit = 1`, the server's default, and with a binary log `sync_binlog = 1`
///   (MariaDB's default is 0). The store warns when the server has other values.
/// - **TLS**: with `require_ssl=true` in the address, the driver checks the server's certificate against Mozilla's roots, which
///   are compiled in. The address cannot name other roots. For a private authority, make a pool with `mysql_async`, and pass
///   it to [`from_pool`](MysqlStore::from_pool).
/// - **Time**: leases and retries follow the database's clock.
/// - **Sockets**: the store connects to the host and port of the address. Your own pool needs `prefer_socket=false` in its
///   address for that. Otherwise the driver connects to the socket of a server on this machine, which is another server if the
///   address leads to a tunnel, a proxy or the published port of a container.
/// - **Sessions**: each connection of the store's own pool sets what the statements rely on, independently of the server's
///   defaults: `autocommit` on, `completion_type` `NO_CHAIN`, no `EMPTY_STRING_IS_NULL` and `ORACLE` in `sql_mode`, no
///   `sql_select_limit`, no `sql_safe_updates`, `unique_checks` on; transactions are `READ COMMITTED`. With your own pool,
///   [`open`](MysqlStoreBuilder::open) fails when a session does not have these settings.
/// - **Locks of tables**: on a connection of the store's own pool, the server waits up to 60 s for a table that another session
///   locks or changes, or up to the [`timeout`](MysqlStoreBuilder::timeout) if that is longer. On the connections that accept,
///   claim and complete, it does not wait longer than the store.
/// - **Binary log**: with `binlog_format = STATEMENT` the store does not open, because the server would refuse every event.
/// - **Statements that change tables** commit by themselves: a transactional handler must not use them.
/// - **Connections**: besides the pool, the store holds three connections: to accept, to claim and to complete.
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
    /// Connects to this address with a pool of up to 20 connections, and migrates the tables. See
    /// [mysql_async](https://docs.rs/mysql_async/0.36/mysql_async/struct.Opts.html#method.from_url) for what an
    /// address can contain.
    ///
    /// # Errors
    /// When the database cannot be reached in time or holds tables of a newer version, and when a migration fails.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Builds a store for the database at this address, with its own pool.
    pub fn builder(url: impl Into<String>) -> MysqlStoreBuilder {
        MysqlStoreBuilder { plan: Plan::new(Source::Own(OwnPool { url: url.into(), max_size: 20 })) }
    }

    /// Builds a store with the application's pool. The store opens further connections outside the pool, made as the pool makes
    /// its connections.
    ///
    /// The pool's address needs `prefer_socket=false`. Otherwise, for an address of this machine, the driver asks the server for
    /// the path of its socket and connects to that path on this machine, where another server may listen.
    ///
    /// When the application drops a query before its reply, as a timeout does, the reply stays on the connection, and the check
    /// of diesel-async's pools (`RecyclingMethod::Verified`) takes a number in it for its own answer: the next call would then
    /// read the reply to the check. The store's own pool, which the application can use too (`pool()`), asks for a random number.
    /// A pool of the application needs the same as its `RecyclingMethod::CustomFunction`.
    pub fn from_pool(pool: Pool) -> MysqlStoreBuilder {
        MysqlStoreBuilder { plan: Plan::new(Source::Pool(pool)) }
    }
}

impl MysqlStoreBuilder {
    /// How many connections the store's own pool may have. Each running transactional handler takes one. With
    /// [`from_pool`](MysqlStore::from_pool) it has no effect. Defaults to 20.
    pub fn pool_size(mut self, connections: u32) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.max_size = connections.max(1);
        }
        self
    }
}
