//! The application's database is PostgreSQL.

use std::error::Error;

use diesel_async::SimpleAsyncConnection as _;
pub(crate) use jaas_diesel::postgres::{Connection, Pool};

pub(crate) type Store = jaas_diesel::PostgresStore;

pub(crate) const DEFAULT_URL: &str = "postgres://localhost/existing_app";

/// Opens the application's pool, its tables and the inbox, in one database. The inbox creates the pool, with TLS and limits,
/// and the application uses it too. Each running handler takes one of its connections; the store opens a few more in the same
/// way. If your application already has a pool, give it to `Store::from_pool`. For your tables, write migrations.
pub(crate) async fn open(url: &str) -> Result<(Pool, Store), Box<dyn Error>> {
    if !url.starts_with("postgres") {
        return Err("DATABASE_URL must be postgres://…; for SQLite, build without --features postgres".into());
    }
    let inbox = Store::builder(url).pool_size(20).open().await?;
    let pool = inbox.pool().clone();
    // Processes that start at the same time take turns, because PostgreSQL checks for a table and creates it in two steps.
    let create = "BEGIN;
        SELECT pg_advisory_xact_lock(hashtext('existing-app'));
        CREATE TABLE IF NOT EXISTS rooms (name TEXT NOT NULL PRIMARY KEY, title TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS edges (
            session_id TEXT NOT NULL, presence TEXT NOT NULL, place TEXT NOT NULL, at BIGINT NOT NULL,
            joined BOOLEAN NOT NULL, room TEXT NOT NULL REFERENCES rooms, name TEXT,
            PRIMARY KEY (session_id, presence, place, at, joined));
        CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);
        CREATE INDEX IF NOT EXISTS edges_of_room ON edges (room);
        COMMIT;";
    pool.get().await?.batch_execute(create).await?;
    Ok((pool, inbox))
}
