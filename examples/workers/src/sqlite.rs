//! What is particular to SQLite.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel_async::{AsyncConnection as _, SimpleAsyncConnection as _};
use jaas_diesel::SqliteStore;
pub(crate) use jaas_diesel::sqlite::Connection;

pub(crate) use self::attendance::Attendance;
use crate::schema::attendance as table;

/// What tells that somebody's row exists already.
const SAME_PRESENCE: (table::session_id, table::participant_id) = (table::session_id, table::participant_id);

/// Opens the inbox, and creates the tables of this application. Of yours, write a migration.
pub(crate) async fn open(path: &str) -> Result<SqliteStore, Box<dyn Error>> {
    let store = SqliteStore::open(path).await?;
    let create = "PRAGMA busy_timeout = 5000;
        CREATE TABLE IF NOT EXISTS handled (
            event_key TEXT NOT NULL, kind TEXT NOT NULL, session_id TEXT, worker TEXT NOT NULL, attempt INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS attendance (
            session_id TEXT NOT NULL, participant_id TEXT NOT NULL, joined_at BIGINT, left_at BIGINT,
            PRIMARY KEY (session_id, participant_id));";
    Connection::establish(path).await?.batch_execute(create).await?;
    Ok(store)
}
