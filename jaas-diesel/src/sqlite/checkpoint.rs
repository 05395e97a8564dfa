//! The thread that moves committed pages from the write-ahead log into the database file, so that no commit waits for it.

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

/// The least time from one checkpoint to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// A log of more pages, 64 MiB, begins again before the next commit.
const MAX_PAGES: i64 = 16 * 1024;

/// The way to the thread; it ends when this is dropped.
pub(super) struct Checkpoints {
    due: Option<SyncSender<()>>,
    pages: Arc<AtomicI64>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(open: Open) -> Result<Self, StoreError> {
        let (due, asked) = sync_channel(1);
        let pages = Arc::new(AtomicI64::new(0));
        let known = pages.clone();
        let thread = std::thread::Builder::new()
            .name("jaas-sqlite-wal".to_owned())
            .spawn(move || until_dropped(&open, &asked, &known))
            .map_err(|error| unavailable("start the checkpointing thread", error))?;
        Ok(Self { due: Some(due), pages, thread: Some(thread) })
    }

    /// Notifies the thread that something was committed.
    pub(super) fn committed(&self) {
        if let Some(due) = &self.due {
            // One notification is enough.
            let _ = due.try_send(());
        }
    }

    /// Begins the log again when it has become long, because under load there is always a commit after the last page that
    /// the thread has moved. Most pages are moved by then, so this takes little.
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

fn until_dropped(open: &Open, asked: &Receiver<()>, pages: &AtomicI64) {
    let mut connection = None;
    while asked.recv().is_ok() {
        // When this fails, it will be tried after the next commit; the log only grows meanwhile.
        let mut opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => open.writer(),
        };
        if let Ok(opened) = &mut opened {
            match checkpoint(opened, "PASSIVE") {
                Ok(left) => pages.store(left, Ordering::Relaxed),
                Err(error) => {
                    tracing::debug!(target: target::STORE, %error, "the write-ahead log was not moved into the file");
                }
            }
        }
        connection = opened.ok();
        std::thread::sleep(PAUSE);
    }
}

/// How many pages the log has after this checkpoint.
fn checkpoint(connection: &mut SqliteConnection, mode: &str) -> QueryResult<i64> {
    let row: Checkpoint =
        diesel::sql_query(format!("PRAGMA wal_checkpoint({mode})")).get_result(connection)?;
    // Fully moved, the log is written from its beginning again.
    Ok(if row.checkpointed == row.log { 0 } else { i64::from(row.log) })
}

#[derive(diesel::QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    log: i32,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    checkpointed: i32,
}
