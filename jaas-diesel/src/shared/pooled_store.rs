//! The store of a database server as the application sees it: how it is built, opened, used for queries and closed.
//!
//! Compiled twice, as the module `pooled_store` of `postgres` and of `mysql`. `Store` is `PostgresStore` or `MysqlStore`,
//! `Builder` its builder, and `Connection` an `AsyncPgConnection` or `AsyncMysqlConnection`; `dialect`, `migrations` and
//! `server` are the backend's modules of these names.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jaas_core::store::StoreError;

use super::dialect::{self, Connection};
use super::server::connecting::{check_session, fit};
use super::{Builder, Pool, Store, migrations};
use crate::error::unavailable;
use crate::migrations::{Migration, MigrationError};

impl Store {
    /// Runs what is queued to its end and closes the connections outside the pool. Every later call returns
    /// [`Closed`](jaas_core::store::StoreErrorKind::Closed). The pool's connections are closed when the last clone of the
    /// pool is dropped.
    pub async fn close(&self) {
        self.shared.close().await;
    }

    /// The pool that the store takes its connections from, for the application's own queries. See [`Pool`] for the crates that
    /// it comes from.
    pub fn pool(&self) -> &Pool {
        self.shared.pool()
    }
}

impl Builder {
    /// How many events may wait for their commit. A further delivery gets a 503. Defaults to 1024.
    pub fn queue(mut self, events: usize) -> Self {
        self.plan.queue = events;
        self
    }

    /// How long a call may wait for the database before it fails as
    /// [`Unavailable`](jaas_core::store::StoreErrorKind::Unavailable). It does not limit handlers' transactions. Defaults to
    /// 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.plan.timeout = timeout;
        self
    }

    /// Whether [`open`](Self::open) applies pending migrations. If not, it fails while a migration is pending, and you
    /// apply them with [`apply_migrations`](Self::apply_migrations). Defaults to `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.plan.migrate = migrate;
        self
    }

    /// Whether the time comes from the worker's clock instead of the database. Only for tests that set the time: the clocks of
    /// several processes differ. Defaults to `false`.
    pub fn callers_time(mut self, callers_time: bool) -> Self {
        self.plan.callers_time = callers_time;
        self
    }

    /// Connects, and migrates the tables.
    ///
    /// # Errors
    /// When the database cannot be reached in time, does not fit (its encoding, its engine, its maximal packet), or holds tables
    /// of a newer version, and when a migration fails.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(self) -> Result<Store, StoreError> {
        const OPERATION: &str = "open the store";
        let pool = self.plan.pool().await?;
        let timeout = self.plan.timeout;
        check_session(&pool, timeout).await?;
        let mut connection = fit(&pool, timeout).await?;
        let migrated = if self.plan.migrate {
            // Without a timeout, because a migration of large tables takes long.
            migrations::apply(&mut connection).await.map(drop)
        } else {
            migrations::check(&mut connection).await
        };
        migrated.map_err(|error| unavailable("bring the tables up to date", error))?;
        let checked = dialect::check_tables(&mut connection).await;
        checked.map_err(|error| unavailable(OPERATION, error))?;
        let checked = dialect::check_durability(&mut connection).await;
        checked.map_err(|error| unavailable(OPERATION, error))?;
        Ok(Store { shared: Arc::new(self.plan.start(pool)) })
    }

    /// Applies pending migrations; returns them. Processes that do this at the same time take turns.
    ///
    /// # Errors
    /// When the database cannot be reached in time or holds tables of a newer version, and when a migration fails.
    pub async fn apply_migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::apply(&mut connection).await.map_err(not_migrated)
    }

    /// Lists every migration that this version knows, in order.
    ///
    /// # Errors
    /// When the database cannot be reached in time, or holds tables of a newer version.
    pub async fn migrations(&self) -> Result<Vec<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::list(&mut connection).await.map_err(not_migrated)
    }

    /// Reverts the migration that was applied last; returns it. **This deletes what its tables hold.**
    ///
    /// # Errors
    /// When the database cannot be reached in time or holds tables of a newer version, and when a migration fails.
    pub async fn revert_migration(&self) -> Result<Option<Migration>, StoreError> {
        let mut connection = self.migrating().await?;
        migrations::revert(&mut connection).await.map_err(not_migrated)
    }

    async fn migrating(&self) -> Result<Connection, StoreError> {
        fit(&self.plan.pool().await?, self.plan.timeout).await
    }
}

fn not_migrated(error: MigrationError) -> StoreError {
    unavailable("migrate the tables", error)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("pool", &self.shared.pool().state())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which holds the password.
        f.debug_struct(std::any::type_name::<Self>().rsplit("::").next().unwrap_or_default())
            .field("timeout", &self.plan.timeout)
            .finish_non_exhaustive()
    }
}
