//! Noticing that a file of the database is gone. SQLite goes on writing to a file that was deleted or replaced, and
//! nothing of that is there after a restart.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use diesel::{QueryResult, RunQueryDsl as _, SqliteConnection};
use jaas_core::store::StoreError;

use crate::error::unavailable;

/// The files of a database.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: Opened,
    /// Where the write-ahead log is. SQLite deletes it with its last connection and makes a new one with the next.
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
        // SQLite lists what a symbolic link leads to. It is the link that is followed at the next start.
        let given = std::path::absolute(path).ok().and_then(|given| Opened::at(given).ok());
        let database = given.filter(|given| given.id == database.id).unwrap_or(database);
        Ok(Self { database, log: log.into() })
    }

    /// The log as a connection has just opened it.
    pub(super) fn log(&self) -> Result<Opened, StoreError> {
        Opened::at(self.log.clone())
    }
}

/// A file as it was when a connection had just opened it.
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

/// Nothing: elsewhere only a missing file is noticed. Windows does not let a file be deleted or replaced that SQLite has
/// open.
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

    /// Fails when another file is there now, or none.
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

/// The name of the file of the main database, with its folder and without links.
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
