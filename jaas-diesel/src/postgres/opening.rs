//! [`PostgresStore`], and what it is opened with.

use std::sync::Arc;

use jaas_core::store::StoreError;

use super::Pool;
use super::pool::OwnPool;
use super::server::Shared;
use super::server::plan::{Plan, Source};

/// An [`EventStore`](jaas_core::store::EventStore) in PostgreSQL, 12 or later, for any number of processes.
///
/// ```no_run
/// use jaas_diesel::PostgresStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::open("postgres://app:secret@db.example.com/app?sslmode=require").await?;
/// # Ok(())
/// # }
/// ```
///
/// - **Schema**: the tables, named `jaas_…`, are in the current schema of the connection. Choose one with
///   `?options=-c%20search_path%3Dwebhooks` in the address.
/// - **TLS**: with `sslmode=require` in the address, the store checks the server's certificate against the certificates that
///   the system trusts, or those given to [`root_certificates`](PostgresStoreBuilder::root_certificates). The default,
///   `prefer`, encrypts if the server can, and accepts any certificate unless `root_certificates` are given. `disable` does
///   not encrypt.
/// - **Time**: leases and retries follow the database's clock.
/// - **Poolers** such as PgBouncer must be in session mode, because the store uses prepared statements and `LISTEN`.
/// - **Connections**: besides the pool, the store holds four connections: to accept, to claim, to complete and to listen.
///
/// Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct PostgresStore {
    pub(super) shared: Arc<Shared>,
}

/// Opens a [`PostgresStore`].
#[must_use]
pub struct PostgresStoreBuilder {
    pub(super) plan: Plan,
}

impl PostgresStore {
    /// Connects to this address with a pool of up to 20 connections, and migrates the tables. See
    /// [tokio-postgres](https://docs.rs/tokio-postgres/latest/tokio_postgres/config/struct.Config.html) for what an
    /// address can contain.
    ///
    /// # Errors
    /// When the database cannot be reached in time or holds tables of a newer version, and when a migration fails.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Builds a store for the database at this address, with its own pool.
    pub fn builder(url: impl Into<String>) -> PostgresStoreBuilder {
        let url = url.into();
        let own = OwnPool { url, max_size: 20, root_certificates: None };
        PostgresStoreBuilder { plan: Plan::new(Source::Own(own)) }
    }

    /// Builds a store with the application's pool. The store opens further connections outside the pool, made as the pool makes
    /// its connections.
    pub fn from_pool(pool: Pool) -> PostgresStoreBuilder {
        PostgresStoreBuilder { plan: Plan::new(Source::Pool(pool)) }
    }
}

impl PostgresStoreBuilder {
    /// How many connections the store's own pool may have. Each running transactional handler takes one. With
    /// [`from_pool`](PostgresStore::from_pool) it has no effect. Defaults to 20.
    pub fn pool_size(mut self, connections: u32) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.max_size = connections.max(1);
        }
        self
    }

    /// The certificates, in PEM, that the server's certificate is checked against. With
    /// [`from_pool`](PostgresStore::from_pool) it has no effect. Defaults to the certificates that the system trusts.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.root_certificates = Some(pem.into());
        }
        self
    }
}
