//! The application's database is an SQLite file.

use std::error::Error;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, bb8};
use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
pub(crate) use jaas_diesel::sqlite::Connection;

pub(crate) type Pool = bb8::Pool<Connection>;
pub(crate) type Store = jaas_diesel::SqliteStore;

pub(crate) const DEFAULT_URL: &str = "sqlite://existing-app.sqlite";

/// Opens the application's pool, its tables and the inbox. All tables are in one file, so a handler's rows and the event's
/// completion are one transaction. On SQLite the store has its own connections and does not use the pool: only one
/// connection writes to a file at a time, and the store's writing thread lets many events share one commit. For your tables,
/// write migrations.
pub(crate) async fn open(url: &str) -> Result<(Pool, Store), Box<dyn Error>> {
    let mut config = ManagerConfig::<Connection>::default();
    config.custom_setup = Box::new(|path| {
        Box::pin(async move {
            let mut connection = Connection::establish(path).await?;
            // The inbox writes to the same file, so a connection may have to wait.
            let set = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;";
            connection.batch_execute(set).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
            Ok(connection)
        })
    });
    let manager = AsyncDieselConnectionManager::new_with_config(path(url)?, config);
    let pool = Pool::builder().max_size(8).connection_timeout(Duration::from_secs(5)).build(manager).await?;
    let create = "CREATE TABLE IF NOT EXISTS rooms (name TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS edges (
            session_id TEXT NOT NULL, presence TEXT NOT NULL, place TEXT NOT NULL, at BIGINT NOT NULL,
            joined BOOLEAN NOT NULL, room TEXT NOT NULL REFERENCES rooms, name TEXT,
            PRIMARY KEY (session_id, presence, place, at, joined));
        CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);
        CREATE INDEX IF NOT EXISTS edges_of_room ON edges (room);";
    pool.get().await?.batch_execute(create).await?;
    Ok((pool, Store::open(path(url)?).await?))
}

fn path(url: &str) -> Result<&str, &'static str> {
    let path = url.strip_prefix("sqlite://").filter(|path| !path.is_empty());
    path.ok_or("DATABASE_URL must be sqlite://path; for PostgreSQL, build with --features postgres")
}
