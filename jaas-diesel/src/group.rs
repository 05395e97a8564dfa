//! Group commit: items that arrive while a commit is in flight go into the next commit together.

use std::time::Duration;

use diesel::QueryResult;
use jaas_core::store::StoreError;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, Instant};

use crate::error::{closed, not_in_time, overloaded, same, unavailable};
use crate::rows::MAX_BYTES;

/// How the items of a group are committed.
pub(crate) trait Commit: Send + 'static {
    type Connection: Send;
    /// What a caller hands in. The task makes an item of it, so that its callers do not wait for that.
    type Request: Send + Into<Self::Item>;
    type Item: Send;
    type Outcome: Send;

    /// What a commit does, for error messages.
    const OPERATION: &'static str;

    /// The most items that go into one commit.
    const MAX_ITEMS: usize = 256;

    /// The approximate size of an item, in bytes.
    fn bytes(_: &Self::Request) -> usize {
        0
    }

    /// Opens the connection that the items are committed on.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// Commits items and returns their outcomes, in their order. If `again` is set, an earlier attempt with the same
    /// items may have been committed.
    fn commit(
        &mut self,
        connection: &mut Self::Connection,
        items: &mut [Self::Item],
        again: bool,
    ) -> impl Future<Output = QueryResult<Vec<Self::Outcome>>> + Send;

    /// Undoes the outcomes whose callers no longer wait for them.
    fn abandoned(
        &mut self,
        _: &mut Self::Connection,
        _: Vec<Self::Outcome>,
    ) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the connection cannot be used after this error.
    fn is_lost(error: &diesel::result::Error) -> bool;
}

/// A request, and the channel to its caller.
type Queued<C> = (<C as Commit>::Request, oneshot::Sender<Result<<C as Commit>::Outcome, StoreError>>);

/// The handle of the task that commits.
pub(crate) struct Group<C: Commit> {
    queue: Mutex<Option<mpsc::Sender<Queued<C>>>>,
}

impl<C: Commit> Group<C> {
    /// A group whose queue holds `room` items, and the future that commits them. The future ends once the group is
    /// closed or dropped and every queued item is committed.
    pub(crate) fn new(commit: C, room: usize, timeout: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, requests) = mpsc::channel(room);
        let task = Task { commit, connection: None, timeout };
        (Self { queue: Mutex::new(Some(queue)) }, task.until_closed(requests))
    }

    fn sender(&self) -> Result<mpsc::Sender<Queued<C>>, StoreError> {
        let queue = self.queue.lock();
        queue.clone().ok_or_else(|| closed(C::OPERATION))
    }

    /// Queues an item.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full.
    pub(crate) fn try_submit(
        &self,
        request: C::Request,
    ) -> Result<oneshot::Receiver<Result<C::Outcome, StoreError>>, StoreError> {
        let (caller, outcome) = oneshot::channel();
        self.sender()?.try_send((request, caller)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => overloaded(C::OPERATION),
            mpsc::error::TrySendError::Closed(_) => closed(C::OPERATION),
        })?;
        Ok(outcome)
    }

    /// Queues an item as soon as the queue has room, and waits for its outcome.
    pub(crate) async fn submit(&self, request: C::Request) -> Result<C::Outcome, StoreError> {
        let (caller, outcome) = oneshot::channel();
        let closed_meanwhile = |_| closed(C::OPERATION);
        self.sender()?.send((request, caller)).await.map_err(closed_meanwhile)?;
        outcome.await.unwrap_or_else(|_| Err(closed(C::OPERATION)))
    }

    /// Refuses further items. Those that are queued are still committed.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().take());
    }
}

struct Task<C: Commit> {
    commit: C,
    connection: Option<C::Connection>,
    timeout: Duration,
}

/// Why a group was not committed.
enum Failure {
    /// The database could not be reached, or did not return a result in time.
    Unreachable(StoreError),
    /// The connection was lost during the commit.
    Lost(diesel::result::Error),
    /// The database refused the commit.
    Refused(diesel::result::Error),
}

impl<C: Commit> Task<C> {
    async fn until_closed(mut self, mut queue: mpsc::Receiver<Queued<C>>) {
        let mut requests = Vec::with_capacity(C::MAX_ITEMS);
        while queue.recv_many(&mut requests, C::MAX_ITEMS).await > 0 {
            while !requests.is_empty() {
                let mut bytes = 0;
                let fitting = requests.iter().take_while(|(request, _)| {
                    let first = bytes == 0;
                    bytes += C::bytes(request).max(1);
                    first || bytes <= MAX_BYTES
                });
                let fitting = fitting.count();
                let items = requests.drain(..fitting).map(|(request, caller)| (request.into(), caller));
                let (items, callers) = items.unzip();
                self.all(items, callers).await;
            }
            // The callers of this group are about to queue their next items. Without this pause, the next group would
            // hold only the first of these items, and the others would wait for it.
            let mut queued = 0;
            loop {
                tokio::task::yield_now().await;
                let more = queue.len() > queued && queue.len() < C::MAX_ITEMS;
                queued = queue.len();
                if !more {
                    break;
                }
            }
        }
    }

    /// Commits items, and sends each caller its outcome.
    async fn all(
        &mut self,
        mut items: Vec<C::Item>,
        callers: Vec<oneshot::Sender<Result<C::Outcome, StoreError>>>,
    ) {
        let mut committed = self.together(&mut items, false).await;
        if let Err(Failure::Lost(_)) = committed {
            // The connection may have died while it was idle or in the middle of the commit. `again` makes sure that
            // nothing is committed twice.
            committed = self.together(&mut items, true).await;
        }
        let failed = match committed {
            Ok(committed) => {
                let sent = callers.into_iter().zip(committed).map(|(caller, done)| caller.send(Ok(done)));
                let abandoned: Vec<_> = sent.filter_map(|sent| sent.err()?.ok()).collect();
                return self.abandoned(abandoned).await;
            }
            // A server closes the connection when a statement is too large for it.
            Err(Failure::Refused(_) | Failure::Lost(_)) if items.len() > 1 => {
                return self.singly(items, callers).await;
            }
            Err(failure) => error::<C>(failure),
        };
        for caller in callers {
            let _ = caller.send(Err(same(&failed)));
        }
    }

    /// Commits one item after the other, so that an item that cannot be stored does not fail the others. Once the
    /// database cannot be reached or the timeout is over, the remaining items fail.
    async fn singly(
        &mut self,
        items: Vec<C::Item>,
        callers: Vec<oneshot::Sender<Result<C::Outcome, StoreError>>>,
    ) {
        let end = Instant::now() + self.timeout;
        let mut stopped: Option<StoreError> = None;
        for (mut item, caller) in items.into_iter().zip(callers) {
            if stopped.is_none() && Instant::now() >= end {
                stopped = Some(not_in_time(C::OPERATION, self.timeout));
            }
            if let Some(why) = &stopped {
                let _ = caller.send(Err(same(why)));
                continue;
            }
            let committed = self.together(std::slice::from_mut(&mut item), true).await;
            let _ = caller.send(match committed.map(|mut outcomes| outcomes.pop()) {
                Ok(Some(outcome)) => Ok(outcome),
                Ok(None) => Err(closed(C::OPERATION)),
                Err(Failure::Unreachable(why)) => {
                    let error = same(&why);
                    stopped = Some(why);
                    Err(error)
                }
                Err(failure) => Err(error::<C>(failure)),
            });
        }
    }

    /// Undoes outcomes whose callers no longer wait. If that fails, the connection is dropped.
    async fn abandoned(&mut self, outcomes: Vec<C::Outcome>) {
        let Some(connection) = self.connection.as_mut().filter(|_| !outcomes.is_empty()) else { return };
        let taken_back = time::timeout(self.timeout, self.commit.abandoned(connection, outcomes)).await;
        if !matches!(taken_back, Ok(Ok(()))) {
            self.connection = None;
        }
    }

    /// Commits items in one commit, on the connection kept from the last one or on a new one.
    async fn together(&mut self, items: &mut [C::Item], again: bool) -> Result<Vec<C::Outcome>, Failure> {
        let late = || Failure::Unreachable(not_in_time(C::OPERATION, self.timeout));
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => time::timeout(self.timeout, self.commit.connect())
                .await
                .map_err(|_| late())?
                .map_err(Failure::Unreachable)?,
        };
        // On a timeout the connection is dropped, and the server rolls back.
        let committed = time::timeout(self.timeout, self.commit.commit(&mut connection, items, again)).await;
        match committed.map_err(|_| Failure::Unreachable(not_in_time(C::OPERATION, self.timeout)))? {
            Ok(outcomes) => {
                self.connection = Some(connection);
                Ok(outcomes)
            }
            Err(error) if C::is_lost(&error) => Err(Failure::Lost(error)),
            Err(error) => {
                self.connection = Some(connection);
                Err(Failure::Refused(error))
            }
        }
    }
}

fn error<C: Commit>(failure: Failure) -> StoreError {
    match failure {
        Failure::Unreachable(error) => error,
        Failure::Lost(error) | Failure::Refused(error) => unavailable(C::OPERATION, error),
    }
}
