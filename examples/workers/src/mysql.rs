//! The parts that are specific to MySQL and MariaDB.

#[path = "attendance.rs"]
mod attendance;

use std::error::Error;

use diesel::dsl::DuplicatedKeys;
use diesel_async::SimpleAsyncConnection as _;
use jaas_diesel::MysqlStore;
pub(crate) use jaas_diesel::mysql::Connection;

pub(crate) use self::attendance::Attendance;

/// Detects a conflict: here any unique key of the table.
const SAME_EDGE: DuplicatedKeys = DuplicatedKeys;
const SAME_SESSION: DuplicatedKeys = DuplicatedKeys;

/// Opens the inbox, and creates the tables of this application. For your own tables, write a migration.
pub(crate) async fn open(url: &str) -> Result<MysqlStore, Box<dyn Error>> {
    let store = MysqlStore::open(url).await?;
    // Ids are binary, so that MySQL compares them byte for byte, including case and trailing spaces.
    let create = "CREATE TABLE IF NOT EXISTS handled (
            id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
            event_key VARBINARY(255) NOT NULL, kind VARCHAR(255) NOT NULL, session_id VARBINARY(255),
            worker VARCHAR(255) NOT NULL, attempt INTEGER NOT NULL) ENGINE = InnoDB;
        CREATE TABLE IF NOT EXISTS edges (
            session_id VARBINARY(255) NOT NULL, presence VARBINARY(255) NOT NULL, room VARBINARY(255) NOT NULL,
            at BIGINT NOT NULL, joined BOOLEAN NOT NULL,
            PRIMARY KEY (session_id, presence, room, at, joined)) ENGINE = InnoDB;
        CREATE TABLE IF NOT EXISTS endings (
            session_id VARBINARY(255) NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL) ENGINE = InnoDB;";
    store.pool().get().await?.batch_execute(create).await?;
    Ok(store)
}
