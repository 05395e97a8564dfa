//! Writes records in the background, after the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::record::{SettingsLog, SettingsRecord};
use crate::clock::Clock;
use crate::store::Keep;
use crate::telemetry::{self, Escaped, target};

/// How many records may wait in the queue.
const QUEUE: usize = 4096;
/// How many records are written together.
const BATCH: usize = 100;
/// How often a batch is tried.
const TRIES: usize = 3;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// The timeout of one write; a store's own timeout should be shorter.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// How long closing waits for the queue.
const CLOSE_LIMIT: Duration = Duration::from_secs(20);
/// The interval between two purges.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);
/// How many records one purge deletes, and the pause before the next one.
const PURGE_BATCH: u32 = 500;
const PURGE_PAUSE: Duration = Duration::from_millis(50);

/// A queue of records, and the task that writes them. Answers never wait for it.
pub(super) struct Recorder {
    queue: mpsc::Sender<SettingsRecord>,
    losing: AtomicBool,
    closing: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What the task needs.
pub(super) struct Writing {
    pub(super) log: Arc<dyn SettingsLog>,
    pub(super) keep: Keep,
    pub(super) clock: Arc<dyn Clock>,
}

impl Recorder {
    /// Starts the task on the current runtime.
    pub(super) fn start(writing: Writing) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let task = tokio::spawn(telemetry::heard(writing.run(queued, closing.clone())));
        Self { queue, losing: AtomicBool::new(false), closing, task: Mutex::new(Some(task)) }
    }

    /// Queues a record. A record that does not fit is counted, and the log reports when the loss begins.
    pub(super) fn record(&self, record: SettingsRecord) {
        let reason = match self.queue.try_send(record) {
            Ok(()) => {
                self.losing.store(false, Ordering::Relaxed);
                return;
            }
            Err(TrySendError::Full(_)) => "queue_full",
            Err(TrySendError::Closed(_)) => "closed",
        };
        lost(1, reason);
        if !self.losing.swap(true, Ordering::Relaxed) {
            tracing::error!(
                target: target::SETTINGS, reason,
                "the queue is full; records of settings are lost, answers are not delayed"
            );
        }
    }

    /// Writes the queued records and ends the task.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        let task = self.task.lock().take();
        let Some(mut task) = task else { return };
        if timeout(CLOSE_LIMIT, &mut task).await.is_err() {
            task.abort();
            tracing::error!(target: target::SETTINGS, "records of settings were not written before closing; they are lost");
        }
    }
}

/// Without a close, queued records are still written while the runtime lives: the task ends by itself when the queue is
/// closed and empty.
impl Drop for Recorder {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Writing {
    async fn run(self, mut queued: mpsc::Receiver<SettingsRecord>, closing: CancellationToken) {
        let mut purge_at = Instant::now();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = closing.cancelled(), if !queued.is_closed() => queued.close(),
                taken = queued.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    self.write(&batch).await;
                    batch.clear();
                }
                () = sleep_until(purge_at), if self.keep != Keep::FOREVER => {
                    let more = self.purge().await;
                    purge_at = Instant::now() + if more { PURGE_PAUSE } else { PURGE_EVERY };
                }
            }
        }
    }

    async fn write(&self, batch: &[SettingsRecord]) {
        for tried in 1.. {
            let error = match timeout(WRITE_LIMIT, self.log.record_settings(batch)).await {
                Ok(Ok(())) => return,
                Ok(Err(error)) if error.is_transient() && tried < TRIES => error.to_string(),
                Err(_) if tried < TRIES => format!("no response within {WRITE_LIMIT:?}"),
                Ok(Err(error)) => return not_written(batch, &error),
                Err(_) => return not_written(batch, &format!("no response within {WRITE_LIMIT:?}")),
            };
            tracing::debug!(target: target::SETTINGS, error = %Escaped(&error), tried, "records of settings not written; trying again");
            sleep(PAUSE).await;
        }
    }

    /// Deletes a batch; returns whether there may be more.
    async fn purge(&self) -> bool {
        let purging = self.log.purge_settings_records(self.keep, self.clock.now(), PURGE_BATCH);
        match timeout(WRITE_LIMIT, purging).await {
            Ok(Ok(deleted)) => deleted >= u64::from(PURGE_BATCH),
            Ok(Err(error)) => {
                tracing::warn!(target: target::SETTINGS, error = %Escaped(&error), "old records of settings not deleted; trying again at the next purge");
                false
            }
            Err(_) => {
                tracing::warn!(target: target::SETTINGS, limit = ?WRITE_LIMIT, "old records of settings not deleted within the timeout; trying again at the next purge");
                false
            }
        }
    }
}

fn not_written(batch: &[SettingsRecord], error: &dyn std::fmt::Display) {
    lost(batch.len(), "not_written");
    tracing::error!(target: target::SETTINGS, records = batch.len(), error = %Escaped(&error), "records of settings not written; they are lost");
}

fn lost(records: usize, reason: &'static str) {
    telemetry::SETTINGS_RECORDS_LOST.add(records as u64, [reason.into()]);
}
