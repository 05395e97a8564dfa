//! The parts that are specific to SQLite.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_diesel::SqliteStore;
pub(crate) use jaas_diesel::sqlite::Connection;

pub(crate) use self::attendance::Attendance;
use crate::schema::{edges as table, endings};

/// The columns that identify a row and detect a conflict.
const SAME_EDGE: (table::session_id, table::presence, table::room, table::at, table::joined) =
    (table::session_id, table::presence, table::room, table::at, table::joined);

const SAME_SESSION: endings::session_id = endings::session_id;

/// Opens the inbox, and creates the tables of this application. For your own tables, write a migration.
pub(crate) async fn open(path: &str) -> Result<SqliteStore, Box<dyn Error>> {
    let store = SqliteStore::open(path).await?;
    let create = "PRAGMA busy_timeout = 5000;
        CREATE TABLE IF NOT EXISTS handled (
            id INTEGER NOT NULL PRIMARY KEY,
            event_key TEXT NOT NULL, kind TEXT NOT NULL, session_id TEXT, worker TEXT NOT NULL, attempt INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS edges (
            session_id TEXT NOT NULL, presence TEXT NOT NULL, room TEXT NOT NULL, at BIGINT NOT NULL,
            joined BOOLEAN NOT NULL, PRIMARY KEY (session_id, presence, room, at, joined));
        CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);";
    Connection::establish(path).await?.batch_execute(create).await?;
    Ok(store)
}
