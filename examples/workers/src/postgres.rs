//! What is particular to PostgreSQL.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel_async::SimpleAsyncConnection as _;
use jaas_diesel::PostgresStore;
pub(crate) use jaas_diesel::postgres::Connection;

pub(crate) use self::attendance::Attendance;
use crate::schema::attendance as table;

/// What tells that somebody's row exists already.
const SAME_PRESENCE: (table::session_id, table::participant_id) = (table::session_id, table::participant_id);

/// Opens the inbox, and creates the tables of this application. Of yours, write a migration.
pub(crate) async fn open(url: &str) -> Result<PostgresStore, Box<dyn Error>> {
    let store = PostgresStore::open(url).await?;
    // Processes that start at once take turns: PostgreSQL looks for the table and creates it in two steps.
    let create = "BEGIN;
        SELECT pg_advisory_xact_lock(hashtext('workers'));
        CREATE TABLE IF NOT EXISTS handled (
            event_key TEXT NOT NULL, kind TEXT NOT NULL, session_id TEXT, worker TEXT NOT NULL, attempt INTEGER NOT NULL);
        CREATE TABLE IF NOT EXISTS attendance (
            session_id TEXT NOT NULL, participant_id TEXT NOT NULL, joined_at BIGINT, left_at BIGINT,
            PRIMARY KEY (session_id, participant_id));
        COMMIT;";
    store.pool().get().await?.batch_execute(create).await?;
    Ok(store)
}
