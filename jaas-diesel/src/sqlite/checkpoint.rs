//! The thread that moves committed pages from the write-ahead log into the database file, so that commits do not wait for
//! that.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::{QueryResult, RunQueryDsl as _, SqliteConnection};
use jaas_core::store::StoreError;
use jaas_core::telemetry::target;

use super::connection::Open;
use crate::error::unavailable;

/// The shortest interval between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(200);

/// The number of pages, 64 MiB, above which the log restarts from its beginning before the next commit.
const MAX_PAGES: i64 = 16 * 1024;

/// The handle of the thread. Dropping it ends the thread.
pub(super) struct Checkpoints {
    due: Option<SyncSender<()>>,
    pages: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(open: Open) -> Result<Self, StoreError> {
        let (due, commits) = sync_channel(1);
        let pages = Arc::new(AtomicI64::new(0));
        let known = pages.clone();
        let thread = std::thread::Builder::new()
            .name("jaas-sqlite-wal".to_owned())
            .spawn(move || until_dropped(&open, &commits, &known))
            .map_err(|error| unavailable("start the checkpointing thread", error))?;
        Ok(Self { due: Some(due), pages, thread: Some(thread) })
    }

    /// Notifies the thread of a commit.
    pub(super) fn committed(&self) {
        if let Some(due) = &self.due {
            // If a notification is waiting already, one is enough.
            let _ = due.try_send(());
        }
    }

    /// Restarts the log from its beginning when it has become long. Under load the thread alone never gets there, because there
    /// is always a commit behind the last page that it has moved. Most pages are moved by then, so this is quick.
    pub(super) fn shorten(&self, connection: &mut SqliteConnection) {
        if self.pages.load(Ordering::Relaxed) > MAX_PAGES
            && let Ok(pages) = checkpoint(connection, "RESTART")
        {
            self.pages.store(pages, Ordering::Relaxed);
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
                Ok(left) => pages.store(left, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(target: target::STORE, %error, "checkpoint of the write-ahead log failed; trying again after the next commit");
                }
            }
        }
        connection = opened.ok();
        std::thread::sleep(INTERVAL);
    }
}

/// Runs a checkpoint; returns how many pages the log has after it.
fn checkpoint(connection: &mut SqliteConnection, mode: &str) -> QueryResult<i64> {
    let row: Checkpoint =
        diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(connection)?;
    // Once all pages are moved, the log restarts from its beginning.
    Ok(if row.checkpointed == row.log { 0 } else { i64::from(row.log) })
}

#[derive(diesel::QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    log: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    checkpointed: i32,
}
