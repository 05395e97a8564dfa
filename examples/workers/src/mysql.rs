//! What is particular to MySQL and MariaDB.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel::dsl::DuplicatedKeys;
use diesel_async::SimpleAsyncConnection as _;
use jaas_diesel::MysqlStore;
pub(crate) use jaas_diesel::mysql::Connection;

pub(crate) use self::attendance::Attendance;

/// What tells that somebody's row exists already: here it is any unique key of the table.
const SAME_PRESENCE: DuplicatedKeys = DuplicatedKeys;

/// Opens the inbox, and creates the tables of this application. Of yours, write a migration.
pub(crate) async fn open(url: &str) -> Result<MysqlStore, Box<dyn Error>> {
    let store = MysqlStore::open(url).await?;
    // Ids are binary, so that they are compared byte for byte, with case and trailing spaces.
    let create = "CREATE TABLE IF NOT EXISTS handled (
            event_key VARBINARY(255) NOT NULL, kind VARCHAR(255) NOT NULL, session_id VARBINARY(255),
            worker VARCHAR(255) NOT NULL, attempt INTEGER NOT NULL) ENGINE = InnoDB;
        CREATE TABLE IF NOT EXISTS attendance (
            session_id VARBINARY(255) NOT NULL, participant_id VARBINARY(255) NOT NULL, joined_at BIGINT, left_at BIGINT,
            PRIMARY KEY (session_id, participant_id)) ENGINE = InnoDB;";
    store.pool().get().await?.batch_execute(create).await?;
    Ok(store)
}
