//! Group commit: what queued while the last commit was in flight goes into the next one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diesel::QueryResult;
use jaas_core::store::StoreError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, Instant};

use crate::error::{closed, not_in_time, overloaded, same, unavailable};
use crate::rows::MAX_BYTES;

/// What a group does with its items. It owns the connection they are committed on.
pub(crate) trait Commit: Send + 'static {
    type Connection: Send;
    type Item: Send;
    type Outcome: Send;

    /// What it is doing, for errors.
    const OPERATION: &'static str;

    /// How many items go into one commit at most.
    const MAX_ITEMS: usize = 256;

    /// How many bytes an item has, roughly.
    fn bytes(_: &Self::Item) -> usize {
        0
    }

    fn connect(&self) -> impl Future<Output = Result<Self::Connection, StoreError>> + Send;

    /// Commits items; returns the outcome of each, in their order. With `again`, an earlier try may have been committed.
    fn commit(
        &mut self,
        connection: &mut Self::Connection,
        items: &mut [Self::Item],
        again: bool,
    ) -> impl Future<Output = QueryResult<Vec<Self::Outcome>>> + Send;

    /// Takes back outcomes whose callers no longer wait for them.
    fn abandoned(
        &mut self,
        _: &mut Self::Connection,
        _: Vec<Self::Outcome>,
    ) -> impl Future<Output = QueryResult<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether the connection is of no use after this error.
    fn is_lost(error: &diesel::result::Error) -> bool;
}

type Asked<C> = (<C as Commit>::Item, oneshot::Sender<Result<<C as Commit>::Outcome, StoreError>>);

/// The way to the task that commits.
pub(crate) struct Group<C: Commit> {
    queue: Mutex<Option<mpsc::Sender<Asked<C>>>>,
}

impl<C: Commit> Group<C> {
    /// A group with room for this many items, and the future that commits them. It ends when the group is closed or
    /// dropped and what was queued is done.
    pub(crate) fn new(commit: C, room: usize, timeout: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, asked) = mpsc::channel(room);
        let task = Task { commit, connection: None, timeout };
        (Self { queue: Mutex::new(Some(queue)) }, task.until_closed(asked))
    }

    fn sender(&self) -> Result<mpsc::Sender<Asked<C>>, StoreError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.clone().ok_or_else(|| closed(C::OPERATION))
    }

    /// Queues an item, or refuses it when there is no room.
    pub(crate) fn try_ask(
        &self,
        item: C::Item,
    ) -> Result<oneshot::Receiver<Result<C::Outcome, StoreError>>, StoreError> {
        let (caller, outcome) = oneshot::channel();
        self.sender()?.try_send((item, caller)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => overloaded(C::OPERATION),
            mpsc::error::TrySendError::Closed(_) => closed(C::OPERATION),
        })?;
        Ok(outcome)
    }

    /// Queues an item when there is room, and waits for its outcome.
    pub(crate) async fn ask(&self, item: C::Item) -> Result<C::Outcome, StoreError> {
        let (caller, outcome) = oneshot::channel();
        let closed_meanwhile = |_| closed(C::OPERATION);
        self.sender()?.send((item, caller)).await.map_err(closed_meanwhile)?;
        outcome.await.unwrap_or_else(|_| Err(closed(C::OPERATION)))
    }

    /// Takes nothing more.
    pub(crate) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

struct Task<C: Commit> {
    commit: C,
    connection: Option<C::Connection>,
    timeout: Duration,
}

/// Why a group was not committed.
enum Failure {
    /// There is no connection, or the database has not answered in time.
    Unreachable(StoreError),
    /// The connection was lost on the way.
    Lost(diesel::result::Error),
    /// The database refused it.
    Refused(diesel::result::Error),
}

impl<C: Commit> Task<C> {
    async fn until_closed(mut self, mut queue: mpsc::Receiver<Asked<C>>) {
        let mut asked = Vec::with_capacity(C::MAX_ITEMS);
        while queue.recv_many(&mut asked, C::MAX_ITEMS).await > 0 {
            while !asked.is_empty() {
                let mut bytes = 0;
                let fitting = asked.iter().take_while(|(item, _)| {
                    let first = bytes == 0;
                    bytes += C::bytes(item).max(1);
                    first || bytes <= MAX_BYTES
                });
                let fitting = fitting.count();
                let (items, callers) = asked.drain(..fitting).unzip();
                self.all(items, callers).await;
            }
            // The callers of this group may have the next item at hand. Let them queue it, or the next group has one item and
            // all others wait for it.
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

    async fn all(
        &mut self,
        mut items: Vec<C::Item>,
        callers: Vec<oneshot::Sender<Result<C::Outcome, StoreError>>>,
    ) {
        let mut committed = self.together(&mut items, false).await;
        if let Err(Failure::Lost(_)) = committed {
            // It may have died while nothing was to do, or in the middle of the commit. What was committed then is
            // not committed twice.
            committed = self.together(&mut items, true).await;
        }
        let failed = match committed {
            Ok(committed) => {
                let sent = callers.into_iter().zip(committed).map(|(caller, done)| caller.send(Ok(done)));
                let abandoned: Vec<_> = sent.filter_map(|sent| sent.err()?.ok()).collect();
                return self.abandoned(abandoned).await;
            }
            // A server ends the connection on which a statement comes that is too large for it.
            Err(Failure::Refused(_) | Failure::Lost(_)) if items.len() > 1 => {
                return self.singly(items, callers).await;
            }
            Err(failure) => error::<C>(failure),
        };
        for caller in callers {
            let _ = caller.send(Err(same(&failed)));
        }
    }

    /// Commits one item after the other, so that an item that cannot be stored does not take its neighbours with it. When
    /// the database cannot be reached, or the timeout is over, the rest fails.
    async fn singly(
        &mut self,
        items: Vec<C::Item>,
        callers: Vec<oneshot::Sender<Result<C::Outcome, StoreError>>>,
    ) {
        let end = Instant::now() + self.timeout;
        let mut given_up: Option<StoreError> = None;
        for (mut item, caller) in items.into_iter().zip(callers) {
            if given_up.is_none() && Instant::now() >= end {
                given_up = Some(not_in_time(C::OPERATION, self.timeout));
            }
            if let Some(why) = &given_up {
                let _ = caller.send(Err(same(why)));
                continue;
            }
            let committed = self.together(std::slice::from_mut(&mut item), true).await;
            let _ = caller.send(match committed.map(|mut outcomes| outcomes.pop()) {
                Ok(Some(outcome)) => Ok(outcome),
                Ok(None) => Err(closed(C::OPERATION)),
                Err(Failure::Unreachable(why)) => {
                    let error = same(&why);
                    given_up = Some(why);
                    Err(error)
                }
                Err(failure) => Err(error::<C>(failure)),
            });
        }
    }

    async fn abandoned(&mut self, outcomes: Vec<C::Outcome>) {
        let Some(connection) = self.connection.as_mut().filter(|_| !outcomes.is_empty()) else { return };
        let taken_back = time::timeout(self.timeout, self.commit.abandoned(connection, outcomes)).await;
        if !matches!(taken_back, Ok(Ok(()))) {
            self.connection = None;
        }
    }

    async fn together(&mut self, items: &mut [C::Item], again: bool) -> Result<Vec<C::Outcome>, Failure> {
        let late = || Failure::Unreachable(not_in_time(C::OPERATION, self.timeout));
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => time::timeout(self.timeout, self.commit.connect())
                .await
                .map_err(|_| late())?
                .map_err(Failure::Unreachable)?,
        };
        // A connection that did not answer in time is dropped, and with it what it was doing.
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
