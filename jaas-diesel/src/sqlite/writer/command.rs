//! The commands of the writing thread, and the groups that it commits together.

use diesel::{QueryResult, SqliteConnection};
use jaas_core::Delivery;
use jaas_core::store::tools::DeadLettered;
use jaas_core::store::{Accepted, Claim, Lease, StoreError, TxWork};
use tokio::sync::oneshot;

use super::super::Connection;
use super::super::dialect::polled;
use super::super::queries::accept::accept;
use super::super::transaction::{Ran, Run};
use crate::ending::Ending;
use crate::error::{closed, unavailable};
use crate::rows::NewEvent;

/// A command for the writing thread.
pub(in super::super) enum Command {
    Accept(Box<Accept>),
    Write(Box<dyn Write>),
    Run(Box<Run>),
}

/// Whether to wake the workers after the commit of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Wake {
    Workers,
    NoWorkers,
}

/// The result of a claim.
pub(in super::super) struct Claimed {
    pub(in super::super) claims: Vec<Claim>,
    pub(in super::super) dead_letters: Vec<DeadLettered>,
}

impl Claimed {
    /// Reports the dead letters, now that they are committed; returns the claims.
    pub(in super::super) fn reported(self) -> Vec<Claim> {
        self.dead_letters.iter().for_each(DeadLettered::report);
        self.claims
    }
}

impl Command {
    pub(in super::super) fn accept(
        operation: &'static str,
        event: Delivery,
    ) -> (Self, oneshot::Receiver<Result<Accepted, StoreError>>) {
        let (caller, result) = oneshot::channel();
        (Self::Accept(Box::new(Accept { operation, event, caller })), result)
    }

    pub(in super::super) fn write<T: Send + 'static>(
        operation: &'static str,
        wake: Wake,
        write: impl FnMut(&mut SqliteConnection) -> QueryResult<Result<T, StoreError>> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (caller, result) = oneshot::channel();
        let leases = |_| Vec::new();
        let for_caller_only = false;
        let closure = Closure { operation, wake, write, for_caller_only, leases, done: None, caller };
        (Self::Write(Box::new(closure)), result)
    }

    /// A write whose result contains leases. The thread gives them back if the caller no longer waits: nothing would renew them.
    pub(in super::super) fn claim(
        operation: &'static str,
        mut claim: impl FnMut(&mut SqliteConnection) -> QueryResult<Claimed> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<Claimed, StoreError>>) {
        let (caller, result) = oneshot::channel();
        let write = move |connection: &mut SqliteConnection| claim(connection).map(Ok);
        let leases = |claimed: Claimed| claimed.reported().iter().map(|claim| claim.lease).collect();
        let (wake, for_caller_only) = (Wake::NoWorkers, true);
        let closure = Closure { operation, wake, write, for_caller_only, leases, done: None, caller };
        (Self::Write(Box::new(closure)), result)
    }

    pub(in super::super) fn run(
        ending: Ending,
        work: TxWork<Connection>,
    ) -> (Self, oneshot::Receiver<Result<Ran, StoreError>>) {
        let (caller, result) = oneshot::channel();
        (Self::Run(Box::new(Run { ending, work, caller })), result)
    }
}

/// An event to store: as it was delivered, or as the row that the thread has made of it.
pub(in super::super) struct Accept<Event = Delivery> {
    operation: &'static str,
    event: Event,
    caller: oneshot::Sender<Result<Accepted, StoreError>>,
}

impl From<Accept> for Accept<NewEvent> {
    fn from(Accept { operation, event, caller }: Accept) -> Self {
        Self { operation, event: event.into(), caller }
    }
}

/// One write of a group. If the group fails, the write is tried again alone.
pub(in super::super) trait Write: Send {
    fn wake(&self) -> Wake;
    fn apply(&mut self, connection: &mut SqliteConnection) -> QueryResult<()>;
    /// Sends the result to the caller. Returns the leases in it if the caller no longer waits.
    fn finish(self: Box<Self>, committed: Result<(), &str>) -> Vec<Lease>;
}

struct Closure<T, F> {
    operation: &'static str,
    wake: Wake,
    write: F,
    /// Whether to skip the write if the caller no longer waits.
    for_caller_only: bool,
    leases: fn(T) -> Vec<Lease>,
    done: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
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
        if !(self.for_caller_only && self.caller.is_closed()) {
            self.done = Some((self.write)(connection)?);
        }
        Ok(())
    }

    fn finish(self: Box<Self>, committed: Result<(), &str>) -> Vec<Lease> {
        let operation = self.operation;
        let result = match committed {
            Ok(()) => self.done.unwrap_or_else(|| Err(closed(operation))),
            Err(error) => Err(unavailable(operation, error)),
        };
        match self.caller.send(result) {
            // The caller no longer waits.
            Err(Ok(result)) => (self.leases)(result),
            _ => Vec::new(),
        }
    }
}

/// The commands that are committed together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) accepts: Vec<Accept<NewEvent>>,
    pub(super) writes: Vec<Box<dyn Write>>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.accepts.len() + self.writes.len()
    }

    /// Each command as its own group.
    pub(super) fn split(self) -> impl Iterator<Item = Self> {
        let accepts =
            self.accepts.into_iter().map(|accept| Self { accepts: vec![accept], writes: Vec::new() });
        let writes = self.writes.into_iter().map(|write| Self { accepts: Vec::new(), writes: vec![write] });
        accepts.chain(writes)
    }

    pub(super) fn apply(&mut self, connection: &mut SqliteConnection) -> QueryResult<Vec<Accepted>> {
        let events: Vec<&NewEvent> = self.accepts.iter().map(|accept| &accept.event).collect();
        let outcomes = polled(accept(connection, &events, true))?;
        self.writes.iter_mut().try_for_each(|write| write.apply(connection))?;
        Ok(outcomes.into_iter().map(|(outcome, _)| outcome).collect())
    }

    /// Whether workers have something new to do.
    pub(super) fn wakes(&self, outcomes: &[Accepted]) -> bool {
        outcomes.contains(&Accepted::New) || self.writes.iter().any(|write| write.wake() == Wake::Workers)
    }

    /// Sends each caller its result. Returns the leases whose callers no longer wait.
    pub(super) fn finish(self, committed: Result<&[Accepted], &str>) -> Vec<Lease> {
        for (index, accept) in self.accepts.into_iter().enumerate() {
            let _ = accept.caller.send(match committed {
                Ok(outcomes) => outcomes.get(index).copied().ok_or_else(|| closed(accept.operation)),
                Err(error) => Err(unavailable(accept.operation, error)),
            });
        }
        let committed = committed.map(drop);
        self.writes.into_iter().flat_map(|write| write.finish(committed)).collect()
    }
}
