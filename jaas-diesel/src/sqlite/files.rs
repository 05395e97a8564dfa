//! Detecting that a file of the database is gone. SQLite continues to write to a file that was deleted or replaced, and what
//! it writes is lost at a restart.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use diesel::{QueryResult, RunQueryDsl as _, SqliteConnection};
use jaas_core::store::StoreError;

use crate::error::unavailable;

/// The files of a database.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: Opened,
    /// The path of the write-ahead log. SQLite deletes the log with its last connection, and creates a new one with the next.
    log: PathBuf,
}

impl Files {
    /// The files of the database that the connection has just opened with this path.
    pub(super) fn of(connection: &mut SqliteConnection, path: &Path) -> Result<Self, StoreError> {
        let listed =
            listed(connection).map_err(|error| unavailable("ask for the name of the file", error))?;
        let mut log = listed.clone();
        log.push("-wal");
        let database = Opened::at(listed.into())?;
        // SQLite lists the target of a symbolic link. The next start follows the link, so the link is what is checked.
        let given = std::path::absolute(path).ok().and_then(|given| Opened::at(given).ok());
        let database = given.filter(|given| given.id == database.id).unwrap_or(database);
        Ok(Self { database, log: log.into() })
    }

    /// The log that a connection has just opened.
    pub(super) fn log(&self) -> Result<Opened, StoreError> {
        Opened::at(self.log.clone())
    }
}

/// A file that a connection has opened, and its identity at that time.
#[derive(Debug)]
pub(super) struct Opened {
    path: PathBuf,
    id: Id,
}

/// Device and inode.
#[cfg(unix)]
type Id = (u64, u64);

#[cfg(unix)]
fn id(metadata: &Metadata) -> Id {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Nothing: outside Unix only a missing file is detected. Windows does not allow an open file to be deleted or replaced.
#[cfg(not(unix))]
type Id = ();

#[cfg(not(unix))]
fn id(_: &Metadata) -> Id {}

impl Opened {
    fn at(path: PathBuf) -> Result<Self, StoreError> {
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(Self { path, id: id(&metadata) }),
            Err(error) => Err(unavailable(&format!("find the file {path:?}, which was just opened"), error)),
        }
    }

    /// Fails when the file at the path is missing or is another file.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let gone = |how: &str| {
            unavailable(
                &format!("use the file {:?}", self.path),
                format!(
                    "it was {how} while the store had it open, and what is written now would be lost at a restart; put the \
                     same file back, or stop the process, restore the file from a backup and start the process again"
                ),
            )
        };
        match std::fs::metadata(&self.path) {
            Ok(metadata) if id(&metadata) == self.id => Ok(()),
            Ok(_) => Err(gone("replaced by another one")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(gone("deleted or moved")),
            Err(error) => Err(unavailable(&format!("look at the file {:?}", self.path), error)),
        }
    }
}

/// The path of the main database's file, without links.
fn listed(connection: &mut SqliteConnection) -> QueryResult<std::ffi::OsString> {
    let row: Listed = diesel::sql_query("SELECT file FROM pragma_database_list WHERE name = 'main'")
        .get_result(connection)?;
    Ok(row.file.into())
}

#[derive(diesel::QueryableByName)]
struct Listed {
    #[diesel(sql_type = diesel::sql_types::Text)]
    file: String,
}
