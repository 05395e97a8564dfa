//! Opening connections to the file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::{Connection as _, RunQueryDsl as _, SqliteConnection};
use jaas_core::store::StoreError;

use super::files::{Files, Opened};
use crate::error::unavailable;
use crate::migrations::MigrationError;

/// How large the file of the write-ahead log may stay after the log has restarted, in bytes: twice as large as it usually
/// becomes. It is larger after somebody has read for a long time.
const MAX_LOG_FILE: u32 = 128 * 1024 * 1024;

/// Opens connections to the file.
#[derive(Clone, Debug)]
pub(super) struct Open {
    path: PathBuf,
    url: String,
    busy: Duration,
    pragmas: String,
    /// The files that the first connection has opened. Every later connection must open the same files.
    files: Arc<OnceLock<Files>>,
}

impl Open {
    pub(super) fn new(path: PathBuf, timeout: Duration, max_pages: Option<u32>) -> Result<Self, StoreError> {
        let refuse = |why: &str| unavailable(&format!("open the SQLite file {path:?}"), why);
        let url = path.to_str().ok_or_else(|| refuse("its name is not UTF-8; rename it"))?;
        if url.is_empty() || url.contains(":memory:") || url.contains("mode=memory") {
            return Err(refuse(
                "a database in memory keeps nothing across restarts and cannot be shared by two connections; name a \
                 file, or use jaas_core::store::MemoryStore in tests",
            ));
        }
        let max_pages =
            max_pages.map(|pages| format!("PRAGMA max_page_count = {pages};")).unwrap_or_default();
        // Shorter than the timeout of the calls, so that the error names the lock of another process.
        let busy = timeout / 2;
        let pragmas = format!(
            "PRAGMA busy_timeout = {}; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0; \
             PRAGMA journal_size_limit = {MAX_LOG_FILE}; {max_pages}",
            busy.as_millis()
        );
        Ok(Self { url: url.to_owned(), busy, pragmas, path, files: Arc::default() })
    }

    /// For how long a connection waits for a lock.
    pub(super) fn busy(&self) -> Duration {
        self.busy
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A connection that may write.
    pub(super) fn writer(&self) -> Result<SqliteConnection, StoreError> {
        let mut mode = String::new();
        let connection = self.connect(|connection| {
            mode = diesel::sql_query("PRAGMA journal_mode = WAL")
                .get_result::<JournalMode>(connection)?
                .journal_mode;
            Ok(())
        })?;
        if mode != "wal" {
            return Err(self.failed(format!(
                "it has journal mode {mode:?} and cannot change to WAL, as databases in memory, temporary ones and those on \
                 some network drives cannot; name a file on a local disk"
            )));
        }
        Ok(connection)
    }

    /// A connection that cannot write.
    pub(super) fn reader(&self) -> Result<SqliteConnection, StoreError> {
        self.connect(|connection| connection.batch_execute("PRAGMA query_only = ON"))
    }

    /// A connection that may write, and the result of `work` on it. Processes that start at the same time take turns.
    pub(super) fn writer_after<T>(
        &self,
        work: impl Fn(&mut SqliteConnection) -> Result<T, MigrationError>,
    ) -> Result<(SqliteConnection, T), StoreError> {
        // SQLite does not wait for a lock when it changes to WAL mode.
        let deadline = Instant::now() + self.busy;
        loop {
            let opened = self.writer().and_then(|mut connection| {
                let done = work(&mut connection).map_err(|error| self.failed(error))?;
                Ok((connection, done))
            });
            match opened {
                Err(error)
                    if error.to_string().contains("database is locked") && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                result => return result,
            }
        }
    }

    fn connect(
        &self,
        prepare: impl FnOnce(&mut SqliteConnection) -> diesel::QueryResult<()>,
    ) -> Result<SqliteConnection, StoreError> {
        self.check()?;
        let url = if self.files.get().is_some() { url_of_existing(&self.url) } else { self.url.clone() };
        let mut connection = SqliteConnection::establish(&url).map_err(|error| self.failed(error))?;
        connection.batch_execute(&self.pragmas).map_err(|error| self.failed(error))?;
        prepare(&mut connection).map_err(|error| self.failed(error))?;
        if self.files.get().is_none() {
            let files = Files::of(&mut connection, &self.path)?;
            // Another connection may have set it meanwhile.
            let _ = self.files.set(files);
        }
        self.check()?;
        Ok(connection)
    }

    /// Fails when the file at the path is not the file that the first connection opened.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.files.get().map_or(Ok(()), |files| files.database.check())
    }

    /// The write-ahead log that a connection has just opened.
    pub(super) fn log(&self) -> Result<Option<Opened>, StoreError> {
        self.files.get().map(Files::log).transpose()
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        unavailable(&format!("open the SQLite file {:?}", self.path), error)
    }
}

/// The address of the same file, with which SQLite does not create it. The file may have been moved away since the last check,
/// and the log of a new database would replace its log.
fn url_of_existing(url: &str) -> String {
    // A URI contains its own mode. Only on Unix a path can be used in a URI as it is.
    if url.starts_with("file:") || !cfg!(unix) {
        return url.to_owned();
    }
    let path = url.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?mode=rw")
}

#[derive(diesel::QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = diesel::sql_types::Text)]
    journal_mode: String,
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_not_created_again_whatever_its_name() {
        let folder = std::env::temp_dir().join(format!("jaas-existing-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in ["plain.sqlite", "100%?a#b c&d=é.sqlite"] {
            let path = folder.join(name);
            let open = Open::new(path.clone(), Duration::from_secs(1), None).expect("a name");
            let first = open.writer().expect("created");
            drop(open.writer().expect("opened again"));
            drop(first);
            std::fs::remove_file(&path).expect("deleted");
            let url = url_of_existing(path.to_str().expect("UTF-8"));
            let opened = SqliteConnection::establish(&url).and_then(|mut connection| {
                connection
                    .batch_execute("PRAGMA journal_mode = WAL")
                    .map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))
            });
            opened.expect_err("it is not there");
            assert!(!path.exists(), "{name}");
        }
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
