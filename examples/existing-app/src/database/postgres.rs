//! The application's database is PostgreSQL.

use std::error::Error;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_core::store::StoreError;
pub(crate) use jaas_diesel::postgres::{Connection, Pool};

pub(crate) type Store = jaas_diesel::PostgresStore;

pub(crate) const DEFAULT_URL: &str = "postgres://localhost/existing_app";

/// The application's pool, and its tables. Of yours, write migrations.
pub(crate) async fn connect(url: &str) -> Result<Pool, Box<dyn Error>> {
    if !url.starts_with("postgres") {
        return Err("DATABASE_URL must be postgres://…; for SQLite, build without --features postgres".into());
    }
    let mut config = ManagerConfig::<Connection>::default();
    config.custom_setup = Box::new(|url| {
        Box::pin(async move {
            // Without TLS. For a server on another machine, connect with tokio-postgres and rustls here.
            let mut connection = Connection::establish(url).await?;
            // A frozen process does not hold the locks of its transaction for ever.
            let set = "SET idle_in_transaction_session_timeout = '60s'";
            connection.batch_execute(set).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    let pool = Pool::builder().max_size(20).connection_timeout(Duration::from_secs(5)).build(manager).await?;
    // Processes that start at once take turns: PostgreSQL looks for a table and creates it in two steps.
    let create = "BEGIN;
        SELECT pg_advisory_xact_lock(hashtext('existing-app'));
        CREATE TABLE IF NOT EXISTS rooms (name TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS edges (
            session_id TEXT NOT NULL, participant_id TEXT NOT NULL, place TEXT NOT NULL, at BIGINT NOT NULL,
            joined BOOLEAN NOT NULL, room TEXT NOT NULL REFERENCES rooms, name TEXT,
            PRIMARY KEY (session_id, participant_id, place, at, joined));
        CREATE INDEX IF NOT EXISTS edges_of_room ON edges (room);
        COMMIT;";
    pool.get().await?.batch_execute(create).await?;
    Ok(pool)
}

/// The inbox, in the application's database and on its pool. Each handler that runs takes one of its connections; the few
/// that the store has besides are made as the pool makes its own.
pub(crate) async fn inbox(_: &str, pool: &Pool) -> Result<Store, StoreError> {
    Store::from_pool(pool.clone()).open().await
}
