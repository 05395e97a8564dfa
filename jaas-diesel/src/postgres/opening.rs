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
/// - **Schema**: the tables, named `jaas_…`, are in the schema that the connection has chosen, for example with
///   `?options=-c%20search_path%3Dwebhooks` in the address.
/// - **TLS**: with `sslmode=require` in the address the server's certificate is checked against those the system trusts,
///   or those given to [`root_certificates`](PostgresStoreBuilder::root_certificates). The default, `prefer`, encrypts
///   when the server can, and trusts any unless it is given some; `disable` does not encrypt.
/// - **Time**: leases and retries go by the database's clock.
/// - **Poolers** such as PgBouncer must be in session mode: prepared statements and `LISTEN` are used.
/// - **Connections**: besides those of the pool, the store holds four of its own: to accept, to claim, to complete, to listen.
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
    /// Connects to this address with a pool of up to 20 connections, and brings the tables up to date. See
    /// [tokio-postgres](https://docs.rs/tokio-postgres/latest/tokio_postgres/config/struct.Config.html) for what an
    /// address may hold.
    ///
    /// # Errors
    /// When the database cannot be reached in time, a migration fails, or the tables were made by a newer version.
    pub async fn open(url: impl Into<String>) -> Result<Self, StoreError> {
        Self::builder(url).open().await
    }

    /// Starts with a database at this address.
    pub fn builder(url: impl Into<String>) -> PostgresStoreBuilder {
        let url = url.into();
        let own = OwnPool { url, max_size: 20, root_certificates: None };
        PostgresStoreBuilder { plan: Plan::new(Source::Own(own)) }
    }

    /// Starts with the application's pool. The store also opens connections of its own with it, outside the pool.
    pub fn from_pool(pool: Pool) -> PostgresStoreBuilder {
        PostgresStoreBuilder { plan: Plan::new(Source::Pool(pool)) }
    }
}

impl PostgresStoreBuilder {
    /// How many connections the store's own pool may have. Each transactional handler that runs takes one. Defaults to
    /// 20; with [`from_pool`](PostgresStore::from_pool) the pool decides.
    pub fn pool_size(mut self, connections: u32) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.max_size = connections.max(1);
        }
        self
    }

    /// Trusts these certificates, in PEM, instead of those the system trusts. A pool of the application's brings its
    /// own.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Source::Own(own) = &mut self.plan.source {
            own.root_certificates = Some(pem.into());
        }
        self
    }
}
