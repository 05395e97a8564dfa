//! The thread that does every write, and the handle to it.

mod command;
mod thread;

use std::sync::Arc;
use std::thread::JoinHandle;

use diesel::SqliteConnection;
use jaas_core::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

pub(super) use self::command::{Claimed, Command, Wake};
use self::thread::Writing;
use super::connection::Open;
use crate::error::{closed, overloaded, unavailable};

/// The handle of the writing thread.
pub(super) struct Writer {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    wakeups: Arc<watch::Sender<u64>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. Its queue holds `queue` commands.
    pub(super) fn start(open: Open, connection: SqliteConnection, queue: usize) -> Result<Self, StoreError> {
        let failed = |error| unavailable("start the writing thread", error);
        // A multi-threaded runtime, because diesel-async calls `block_in_place` when the future of a query is dropped,
        // as when a handler exceeds its timeout. On a current-thread runtime, which the application may have, that
        // would panic.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("jaas-sqlite-tx")
            .enable_all()
            .build()
            .map_err(failed)?;
        let (commands, queue) = mpsc::channel(queue);
        let wakeups = Arc::new(watch::Sender::new(0));
        let writing = Writing::new(open, connection, runtime, queue, wakeups.clone())?;
        let thread = std::thread::Builder::new()
            .name("jaas-sqlite".to_owned())
            .spawn(|| writing.until_closed())
            .map_err(failed)?;
        Ok(Self { commands: Mutex::new(Some(commands)), wakeups, thread: Mutex::new(Some(thread)) })
    }

    fn sender(&self) -> Result<mpsc::Sender<Command>, StoreError> {
        let commands = self.commands.lock();
        commands.clone().ok_or_else(|| closed("write"))
    }

    /// Queues a command. Fails as `Overloaded` when the queue is full.
    pub(super) fn try_send(&self, command: Command) -> Result<(), StoreError> {
        self.sender()?.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => overloaded("store the delivery"),
            mpsc::error::TrySendError::Closed(_) => closed("write"),
        })
    }

    /// Queues a command as soon as the queue has room.
    pub(super) async fn send(&self, command: Command) -> Result<(), StoreError> {
        let sender = self.sender()?;
        sender.send(command).await.map_err(|_| closed("write"))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender().is_err()
    }

    pub(super) fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    /// Refuses further commands, and waits until the thread has done those that are queued.
    pub(super) async fn close(&self) {
        drop(self.commands.lock().take());
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}
