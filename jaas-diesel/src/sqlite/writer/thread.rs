//! The thread that owns the writing connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use diesel::{QueryResult, SqliteConnection};
use jaas_core::Timestamp;
use jaas_core::store::{Lease, StoreError};
use jaas_core::telemetry::target;
use tokio::sync::{mpsc, watch};

use super::super::Connection;
use super::super::checkpoint::Checkpoints;
use super::super::connection::Open;
use super::super::dialect::polled;
use super::super::files::Opened;
use super::super::queries::settle::give_back;
use super::super::transaction::Run;
use super::command::{Command, Group};
use crate::now::Now;

/// The most writes that go into one commit.
const MAX_GROUP: usize = 256;

/// How long the thread waits after a group so that the next group can gather. The operating system sleeps about twice as long,
/// which is still shorter than a commit.
const GATHER: Duration = Duration::from_micros(50);

/// The thread's state.
pub(super) struct Writing {
    open: Open,
    connection: Option<SqliteConnection>,
    /// The write-ahead log of that connection.
    log: Option<Opened>,
    /// Whether the thread has logged that a file is gone.
    gone: bool,
    /// The connection that handlers write through. It is opened for the first handler.
    transactions: Option<Connection>,
    runtime: tokio::runtime::Runtime,
    queue: mpsc::Receiver<Command>,
    runs: VecDeque<Box<Run>>,
    wakeups: Arc<watch::Sender<u64>>,
    checkpoints: Checkpoints,
}

impl Writing {
    pub(super) fn new(
        open: Open,
        connection: SqliteConnection,
        runtime: tokio::runtime::Runtime,
        queue: mpsc::Receiver<Command>,
        wakeups: Arc<watch::Sender<u64>>,
    ) -> Result<Self, StoreError> {
        let checkpoints = Checkpoints::start(open.clone())?;
        let log = open.log()?;
        Ok(Self {
            open,
            connection: Some(connection),
            log,
            gone: false,
            transactions: None,
            runtime,
            queue,
            runs: VecDeque::new(),
            wakeups,
            checkpoints,
        })
    }

    /// Alternates between a group of writes and one handler, so that neither delays the other for long.
    pub(super) fn until_closed(mut self) {
        loop {
            let mut group = Group::default();
            if self.runs.is_empty() {
                match self.queue.blocking_recv() {
                    Some(command) => self.take(command, &mut group),
                    None => break,
                }
            }
            while group.len() < MAX_GROUP {
                match self.queue.try_recv() {
                    Ok(command) => self.take(command, &mut group),
                    Err(_) => break,
                }
            }
            let waited = group.len();
            if waited > 0 {
                self.commit(group);
            }
            if waited > 1 {
                // The callers of this group are about to queue their next writes. Without this pause, the next group would hold
                // only the first of these writes, and the others would wait for it.
                std::thread::sleep(GATHER);
            }
            if let Some(run) = self.runs.pop_front() {
                self.run(*run);
            }
            self.checkpoints.committed();
            if let Some(connection) = &mut self.connection {
                self.checkpoints.shorten(connection);
            }
        }
        // Does not wait for tasks that handlers have spawned.
        self.runtime.shutdown_background();
    }

    fn take(&mut self, command: Command, group: &mut Group) {
        match command {
            Command::Accept(accept) => group.accepts.push((*accept).into()),
            Command::Write(write) => group.writes.push(write),
            Command::Run(run) => self.runs.push_back(run),
        }
    }

    /// Commits the writes of a group together. If one of them fails, commits each alone.
    fn commit(&mut self, mut group: Group) {
        // Kept separately: when SQLite has rolled back by itself, as on a full disk, diesel reports the failed rollback
        // instead of the cause.
        let mut cause = None;
        let committed = self.with_connection(|connection| {
            connection.immediate_transaction(|connection| {
                group.apply(connection).inspect_err(|error| cause = Some(error.to_string()))
            })
        });
        if cause.is_some() && group.len() > 1 {
            return group.split().for_each(|alone| self.commit(alone));
        }
        let committed = committed.map_err(|error| cause.unwrap_or_else(|| error.to_string()));
        let committed =
            committed.and_then(|done| self.check_files().map(|()| done).map_err(|error| error.to_string()));
        if committed.as_ref().is_ok_and(|outcomes| group.wakes(outcomes)) {
            self.wake_workers();
        }
        let abandoned = group.finish(committed.as_deref().map_err(String::as_str));
        if !abandoned.is_empty() {
            self.give_back(&abandoned);
        }
    }

    /// Gives back claims that never reached their workers, so that they count neither as crashes nor as interruptions.
    fn give_back(&mut self, abandoned: &[Lease]) {
        let given_back = self.with_connection(|connection| {
            let now = Now::given(Timestamp::from_millis(0));
            connection.immediate_transaction(|connection| polled(give_back(connection, abandoned, now)))
        });
        match given_back {
            Ok(()) => self.wake_workers(),
            Err(error) => {
                tracing::warn!(target: target::STORE, %error, events = abandoned.len(), "claims whose callers no longer waited could not be given back; their events run when the leases end");
            }
        }
    }

    /// Fails when the last commit is not in the files that a restart would open.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let log = || self.log.as_ref().map_or(Ok(()), Opened::check);
        let checked = self.open.check().and_then(|()| log());
        match &checked {
            Err(error) if !self.gone => {
                tracing::error!(target: target::STORE, %error, "SQLite database gone; refusing events until the same file is back");
            }
            Ok(()) if self.gone => {
                tracing::info!(target: target::STORE, file = ?self.open.path(), "SQLite database back; accepting events again");
            }
            _ => {}
        }
        self.gone = checked.is_err();
        checked
    }

    fn wake_workers(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// Runs work on the writing connection. After an error the connection is not used again, because SQLite may have rolled back
    /// by itself.
    fn with_connection<T>(
        &mut self,
        work: impl FnOnce(&mut SqliteConnection) -> QueryResult<T>,
    ) -> QueryResult<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let connection = self.open.writer().map_err(as_query_error)?;
                self.log = self.open.log().map_err(as_query_error)?;
                connection
            }
        };
        let result = work(&mut connection);
        if result.is_ok() {
            self.connection = Some(connection);
        }
        result
    }

    /// Runs a handler in a transaction on a separate connection, so that it cannot disturb the writing connection.
    fn run(&mut self, run: Run) {
        if run.caller.is_closed() {
            return;
        }
        if let Err(error) = self.check_files() {
            let _ = run.caller.send(Err(error));
            return;
        }
        let connection = match self.transactions.take() {
            Some(connection) => connection,
            None => match self.open.writer() {
                Ok(connection) => {
                    let _runtime = self.runtime.enter();
                    Connection::new(connection)
                }
                Err(error) => {
                    let _ = run.caller.send(Err(error));
                    return;
                }
            },
        };
        // In a task, so that a panic of the handler ends the task and not this thread.
        let done = self.runtime.spawn(run.in_transaction(connection));
        self.transactions = self.runtime.block_on(done).unwrap_or_default();
    }
}

fn as_query_error(error: StoreError) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(Box::new(error))
}
