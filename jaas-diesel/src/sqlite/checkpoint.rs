//! The thread that moves committed pages from the write-ahead log into the database file, so that commits do not wait for
//! that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{QueryResult, RunQueryDsl as _, SqliteConnection};
use jaas_core::store::StoreError;
use jaas_core::telemetry::target;

use super::connection::Open;
use crate::error::unavailable;

/// The shortest interval between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(200);

/// The number of pages, 64 MiB, above which the log restarts from its beginning before the next commit.
const MAX_PAGES: i64 = 16 * 1024;

/// How long a restart of the log waits for those who read from it, in ms. Meanwhile nothing is written.
const RESTART_TIMEOUT_MS: u32 = 50;

/// The handle of the thread. Dropping it ends the thread.
pub(super) struct Checkpoints {
    due: Option<SyncSender<()>>,
    pages: Arc<AtomicI64>,
    /// Above so many pages the log restarts.
    restart_above: i64,
    /// For how long the writing connection waits for a lock otherwise.
    busy: Duration,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(open: Open) -> Result<Self, StoreError> {
        let (due, commits) = sync_channel(1);
        let pages = Arc::new(AtomicI64::new(0));
        let (known, busy) = (pages.clone(), open.busy());
        let thread = std::thread::Builder::new()
            .name("jaas-sqlite-wal".to_owned())
            .spawn(move || until_dropped(&open, &commits, &known))
            .map_err(|error| unavailable("start the checkpointing thread", error))?;
        Ok(Self { due: Some(due), pages, restart_above: MAX_PAGES, busy, thread: Some(thread) })
    }

    /// Notifies the thread of a commit.
    pub(super) fn committed(&self) {
        if let Some(due) = &self.due {
            // If a notification is waiting already, one is enough.
            let _ = due.try_send(());
        }
    }

    /// Restarts the log from its beginning when it has become long: a page is looked for in the whole log. Under load the thread
    /// alone never gets there, because there is always a commit behind the last page that it has moved. Most pages are moved by
    /// then, so this is quick, unless somebody reads for a long time.
    pub(super) fn shorten(&mut self, connection: &mut SqliteConnection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages <= self.restart_above {
            if pages <= MAX_PAGES {
                self.restart_above = MAX_PAGES;
            }
            return;
        }
        match restart(connection, self.busy) {
            Ok(true) => {
                self.pages.store(0, Ordering::Relaxed);
                self.restart_above = MAX_PAGES;
            }
            // Not after each commit: every one of them would wait.
            Ok(false) => self.restart_above = pages + MAX_PAGES,
            Err(error) => {
                self.restart_above = pages + MAX_PAGES;
                tracing::debug!(target: target::STORE, %error, "write-ahead log could not restart; trying again when it has grown");
            }
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        drop(self.due.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn until_dropped(open: &Open, commits: &Receiver<()>, pages: &AtomicI64) {
    let mut connection = None;
    while commits.recv().is_ok() {
        // After a failure it is tried again after the next commit. Until then the log grows.
        let mut opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => open.writer(),
        };
        if let Ok(opened) = &mut opened {
            match checkpoint(opened, "PASSIVE") {
                Ok(checkpoint) => pages.store(checkpoint.log.into(), Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(target: target::STORE, %error, "checkpoint of the write-ahead log failed; trying again after the next commit");
                }
            }
        }
        connection = opened.ok();
        std::thread::sleep(INTERVAL);
    }
}

/// Moves what is left, and lets the next commit write at the beginning of the log; returns whether that was possible.
fn restart(connection: &mut SqliteConnection, busy: Duration) -> QueryResult<bool> {
    connection.batch_execute(&format!("PRAGMA busy_timeout = {RESTART_TIMEOUT_MS}"))?;
    let restarted = checkpoint(connection, "RESTART");
    connection.batch_execute(&format!("PRAGMA busy_timeout = {}", busy.as_millis()))?;
    Ok(restarted?.busy == 0)
}

fn checkpoint(connection: &mut SqliteConnection, mode: &str) -> QueryResult<Checkpoint> {
    diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(connection)
}

#[derive(diesel::QueryableByName)]
struct Checkpoint {
    /// 1 when somebody read or wrote for too long.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    busy: i32,
    /// How many pages the log has, moved or not.
    #[diesel(sql_type = diesel::sql_types::Integer)]
    log: i32,
}
