//! The parts that are specific to PostgreSQL.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel_async::SimpleAsyncConnection as _;
use jaas_diesel::PostgresStore;
pub(crate) use jaas_diesel::postgres::Connection;

pub(crate) use self::attendance::Attendance;
use crate::schema::{edges as table, endings};

/// The columns that identify a row and detect a conflict.
const SAME_EDGE: (table::session_id, table::presence, table::room, table::at, table::joined) =
    (table::session_id, table::presence, table::room, table::at, table::joined);

const SAME_SESSION: endings::session_id = endings::session_id;

/// Opens the inbox, and creates the tables of this application. For your own tables, write a migration.
pub(crate) async fn open(url: &str) -> Result<PostgresStore, Box<dyn Error>> {
    let store = PostgresStore::open(url).await?;
    // Processes that start at the same time take turns, because PostgreSQL checks for the table and creates it in two steps.
    let create = "BEGIN;
        SELECT pg_advisory_xact_lock(hashtext('workers'));
        CREATE TABLE IF NOT EXISTS handled (
            id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            event_key TEXT NOT NULL, kind TEXT NOT NULL, session_id TEXT, worker TEXT NOT NULL, attempt INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS edges (
            session_id TEXT NOT NULL, presence TEXT NOT NULL, room TEXT NOT NULL, at BIGINT NOT NULL,
            joined BOOLEAN NOT NULL, PRIMARY KEY (session_id, presence, room, at, joined));
        CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);
        COMMIT;";
    store.pool().get().await?.batch_execute(create).await?;
    Ok(store)
}
