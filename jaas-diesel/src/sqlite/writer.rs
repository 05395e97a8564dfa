//! The thread that owns the writing connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::{QueryResult, SqliteConnection};
use jaas_core::Timestamp;
use jaas_core::store::{Accepted, Burial, Claim, Lease, Step, StoreError, StoreErrorKind, TxWork};
use jaas_core::telemetry::target;
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::Checkpoints;
use super::connection::Open;
use super::dialect::answer;
use super::files::Opened;
use super::transaction::{Ran, Run};
use super::{Connection, queries};
use crate::error::{closed, unavailable};
use crate::now::Now;
use crate::rows::NewEvent;

/// How many writes go into one commit at most.
const MAX_GROUP: usize = 256;

/// The way to the writing thread.
pub(super) struct Writer {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    wakeups: Arc<watch::Sender<u64>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread is asked to do.
pub(super) enum Command {
    Accept(Box<Accept>),
    Write(Box<dyn Write>),
    Run(Box<Run>),
}

/// An event to be stored.
pub(super) struct Accept {
    operation: &'static str,
    event: NewEvent,
    answer: oneshot::Sender<Result<Accepted, StoreError>>,
}

/// What is committed together.
#[derive(Default)]
struct Group {
    accepts: Vec<Accept>,
    writes: Vec<Box<dyn Write>>,
}

impl Group {
    fn len(&self) -> usize {
        self.accepts.len() + self.writes.len()
    }

    /// Each on its own.
    fn split(self) -> impl Iterator<Item = Self> {
        let accepts =
            self.accepts.into_iter().map(|accept| Self { accepts: vec![accept], writes: Vec::new() });
        let writes = self.writes.into_iter().map(|write| Self { accepts: Vec::new(), writes: vec![write] });
        accepts.chain(writes)
    }

    fn apply(&mut self, connection: &mut SqliteConnection) -> QueryResult<Vec<Accepted>> {
        let events: Vec<&NewEvent> = self.accepts.iter().map(|accept| &accept.event).collect();
        let outcomes = answer(queries::accept(connection, &events, true))?;
        self.writes.iter_mut().try_for_each(|write| write.apply(connection))?;
        Ok(outcomes.into_iter().map(|outcome| outcome.accepted).collect())
    }
}

/// How long is waited after a group for the next one to gather. The system makes about twice as much of it, which is a
/// part of what a commit takes.
const GATHER: Duration = Duration::from_micros(50);

/// Whom a committed write concerns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    Workers,
    Nobody,
}

/// One write among those of a group. It can be tried again on its own when the group fails.
pub(super) trait Write: Send {
    fn wake(&self) -> Wake;
    fn apply(&mut self, connection: &mut SqliteConnection) -> QueryResult<()>;
    /// Answers the caller; returns the leases that it was to get and is not there to take.
    fn answer(self: Box<Self>, committed: Result<(), &str>) -> Vec<Lease>;
}

/// What a claim has done.
pub(super) struct Claimed {
    pub(super) claims: Vec<Claim>,
    pub(super) buried: Vec<Burial>,
}

impl Claimed {
    /// Reports what was given up, now that it is committed; answers the claims.
    pub(super) fn told(self) -> Vec<Claim> {
        self.buried.iter().for_each(Burial::report);
        self.claims
    }
}

struct Closure<T, F> {
    operation: &'static str,
    wake: Wake,
    write: F,
    /// Whether it is not even begun once the caller has given up.
    for_caller_only: bool,
    leases: fn(T) -> Vec<Lease>,
    result: Option<Result<T, StoreError>>,
    answer: oneshot::Sender<Result<T, StoreError>>,
}

impl Command {
    pub(super) fn accept(
        operation: &'static str,
        event: NewEvent,
    ) -> (Self, oneshot::Receiver<Result<Accepted, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Self::Accept(Box::new(Accept { operation, event, answer })), answered)
    }

    pub(super) fn write<T: Send + 'static>(
        operation: &'static str,
        wake: Wake,
        write: impl FnMut(&mut SqliteConnection) -> QueryResult<Result<T, StoreError>> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let leases = |_| Vec::new();
        let for_caller_only = false;
        let closure = Closure { operation, wake, write, for_caller_only, leases, result: None, answer };
        (Self::Write(Box::new(closure)), answered)
    }

    /// A write whose result holds leases, which nobody would renew or give back if the caller had given up.
    pub(super) fn claim(
        operation: &'static str,
        mut claim: impl FnMut(&mut SqliteConnection) -> QueryResult<Claimed> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<Claimed, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let write = move |connection: &mut SqliteConnection| claim(connection).map(Ok);
        let leases = |claimed: Claimed| claimed.told().iter().map(|claim| claim.lease).collect();
        let (wake, for_caller_only) = (Wake::Nobody, true);
        let closure = Closure { operation, wake, write, for_caller_only, leases, result: None, answer };
        (Self::Write(Box::new(closure)), answered)
    }

    pub(super) fn run(
        completing: Option<(Lease, Step, Now)>,
        work: TxWork<Connection>,
    ) -> (Self, oneshot::Receiver<Result<Ran, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        (Self::Run(Box::new(Run { completing, work, answer })), answered)
    }
}

impl<T, F> Write for Closure<T, F>
where
    T: Send,
    F: FnMut(&mut SqliteConnection) -> QueryResult<Result<T, StoreError>> + Send,
{
    fn wake(&self) -> Wake {
        self.wake
    }

    fn apply(&mut self, connection: &mut SqliteConnection) -> QueryResult<()> {
        if !(self.for_caller_only && self.answer.is_closed()) {
            self.result = Some((self.write)(connection)?);
        }
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), &str>) -> Vec<Lease> {
        let operation = self.operation;
        let result = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(closed(operation))),
            Err(error) => Err(unavailable(operation, error)),
        };
        match self.answer.send(result) {
            // The caller has given up waiting.
            Err(Ok(result)) => (self.leases)(result),
            _ => Vec::new(),
        }
    }
}

impl Writer {
    pub(super) fn start(open: Open, connection: SqliteConnection, queue: usize) -> Result<Self, StoreError> {
        let failed = |error| unavailable("start the writing thread", error);
        // Several threads, because diesel-async waits with `block_in_place` for a query whose future is dropped,
        // as it is when a handler exceeds its time limit; that would panic on a current-thread runtime such as
        // the application's may be.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("jaas-sqlite-tx")
            .enable_all()
            .build()
            .map_err(failed)?;
        let checkpoints = Checkpoints::start(open.clone())?;
        let log = open.log()?;
        let (commands, queue) = mpsc::channel(queue);
        let wakeups = Arc::new(watch::Sender::new(0));
        let writing = Writing {
            open,
            connection: Some(connection),
            log,
            gone: false,
            transactions: None,
            runtime,
            queue,
            runs: VecDeque::new(),
            wakeups: wakeups.clone(),
            checkpoints,
        };
        let thread = std::thread::Builder::new()
            .name("jaas-sqlite".to_owned())
            .spawn(|| writing.until_closed())
            .map_err(failed)?;
        Ok(Self { commands: Mutex::new(Some(commands)), wakeups, thread: Mutex::new(Some(thread)) })
    }

    fn sender(&self) -> Result<mpsc::Sender<Command>, StoreError> {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.clone().ok_or_else(|| closed("write"))
    }

    /// Queues a command, or refuses it when the queue is full.
    pub(super) fn try_send(&self, command: Command) -> Result<(), StoreError> {
        self.sender()?.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::new(
                StoreErrorKind::Overloaded,
                "cannot store the delivery: as many writes are waiting for the SQLite file as may queue",
            ),
            mpsc::error::TrySendError::Closed(_) => closed("write"),
        })
    }

    /// Queues a command when there is room.
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

    /// Lets the thread finish what is queued, and waits for it.
    pub(super) async fn close(&self) {
        drop(self.commands.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The thread's state.
struct Writing {
    open: Open,
    connection: Option<SqliteConnection>,
    /// The write-ahead log of that connection.
    log: Option<Opened>,
    /// Whether it was reported that a file is gone.
    gone: bool,
    /// The connection handlers write through; opened when the first one comes.
    transactions: Option<Connection>,
    runtime: tokio::runtime::Runtime,
    queue: mpsc::Receiver<Command>,
    runs: VecDeque<Box<Run>>,
    wakeups: Arc<watch::Sender<u64>>,
    checkpoints: Checkpoints,
}

impl Writing {
    /// Alternates between a group of writes and one handler, so neither holds up the other for long.
    fn until_closed(mut self) {
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
                // Those who were answered have the next one at hand soon. Without this pause the first of them is a group
                // of one, and everybody else waits for it.
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
        // Not to wait for what a handler may have spawned.
        self.runtime.shutdown_background();
    }

    fn take(&mut self, command: Command, group: &mut Group) {
        match command {
            Command::Accept(accept) => group.accepts.push(*accept),
            Command::Write(write) => group.writes.push(write),
            Command::Run(run) => self.runs.push_back(run),
        }
    }

    /// Commits writes together; if one of them fails, each on its own.
    fn commit(&mut self, mut group: Group) {
        // Kept apart, because where SQLite has rolled back by itself, as on a full disk, diesel reports that it
        // could not.
        let mut cause = None;
        let committed = self.with_connection(|connection| {
            connection.immediate_transaction(|connection| {
                group.apply(connection).inspect_err(|error| cause = Some(error.to_string()))
            })
        });
        if cause.is_some() && group.len() > 1 {
            return group.split().for_each(|alone| self.commit(alone));
        }
        let Group { accepts, writes } = group;
        let committed = committed.map_err(|error| cause.unwrap_or_else(|| error.to_string()));
        let committed =
            committed.and_then(|done| self.check_files().map(|()| done).map_err(|error| error.to_string()));
        if let Ok(outcomes) = &committed
            && (outcomes.contains(&Accepted::New) || writes.iter().any(|write| write.wake() == Wake::Workers))
        {
            self.wake_workers();
        }
        for (index, accept) in accepts.into_iter().enumerate() {
            let _ = accept.answer.send(match &committed {
                Ok(outcomes) => outcomes.get(index).copied().ok_or_else(|| closed(accept.operation)),
                Err(error) => Err(unavailable(accept.operation, error.as_str())),
            });
        }
        let committed = committed.as_ref().map(drop).map_err(String::as_str);
        let abandoned: Vec<Lease> = writes.into_iter().flat_map(|write| write.answer(committed)).collect();
        if !abandoned.is_empty() {
            self.give_back(&abandoned);
        }
    }

    /// Gives back claims that never reached their worker, so that they count neither as crash nor interruption.
    fn give_back(&mut self, abandoned: &[Lease]) {
        let given_back = self.with_connection(|connection| {
            let now = Now::given(Timestamp::from_millis(0));
            connection
                .immediate_transaction(|connection| answer(queries::give_back(connection, abandoned, now)))
        });
        match given_back {
            Ok(()) => self.wake_workers(),
            Err(error) => {
                tracing::warn!(target: target::STORE, %error, events = abandoned.len(), "claims that nobody waited for end with their leases");
            }
        }
    }

    /// Fails when what was committed last is not in the files that a restart would find.
    fn check_files(&mut self) -> Result<(), StoreError> {
        let log = || self.log.as_ref().map_or(Ok(()), Opened::check);
        let checked = self.open.check().and_then(|()| log());
        match &checked {
            Err(error) if !self.gone => {
                tracing::error!(target: target::STORE, %error, "the SQLite database is gone; nothing is accepted until it is back");
            }
            Ok(()) if self.gone => {
                tracing::info!(target: target::STORE, file = ?self.open.path(), "the SQLite database is back");
            }
            _ => {}
        }
        self.gone = checked.is_err();
        checked
    }

    fn wake_workers(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }

    /// A connection that failed is not used again: SQLite may have rolled back on its own.
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

    /// Runs a handler in a transaction on the other connection, so that it cannot disturb this one.
    fn run(&mut self, run: Run) {
        if run.answer.is_closed() {
            return;
        }
        if let Err(error) = self.check_files() {
            let _ = run.answer.send(Err(error));
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
                    let _ = run.answer.send(Err(error));
                    return;
                }
            },
        };
        // In a task, so that a panic of the work ends the task and not this thread.
        let done = self.runtime.spawn(run.in_transaction(connection));
        self.transactions = self.runtime.block_on(done).unwrap_or_default();
    }
}

fn as_query_error(error: StoreError) -> diesel::result::Error {
    diesel::result::Error::QueryBuilderError(Box::new(error))
}
