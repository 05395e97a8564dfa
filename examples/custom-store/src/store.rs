//! The store: what is asked of the keeper, and how long it may take.

use std::convert::identity;
use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, AuditNote, Burial, Claim, ClaimRequest, Conflict,
    DeadLetterGroup, EventQuery, EventStore, Failure, HandOver, Lease, NextDue, Page, PageRequest, Purged,
    Quarantined, Retention, RowId, SessionOrder, Step, StoreError, StoreErrorKind, StoreStats, StoredEvent,
    TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::keeper::{self, Command};
use crate::record::Record;
use crate::rows::Rows;
use crate::transaction::Transaction;

/// How much may wait for the disk; a delivery beyond that is answered 503.
const QUEUE: usize = 1024;

/// How long a call waits, and of that how long for another process to end its turn.
const TIME_LIMIT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(4);

/// Keeps events in a journal: one file in a folder of its own, on a local disk. Several processes of one machine can share
/// it. Clones share one thread, which ends with the last of them.
#[derive(Debug, Clone)]
pub struct JournalStore {
    keeper: mpsc::Sender<Command>,
    wakeups: watch::Sender<u64>,
}

impl JournalStore {
    /// Opens the journal in this folder, and creates it if it is not there.
    ///
    /// # Errors
    /// When the folder cannot be written, another process does not end its turn, or the journal is damaged.
    pub async fn open(folder: impl AsRef<Path>) -> io::Result<Self> {
        let keeper = keeper::start(folder.as_ref(), QUEUE, PATIENCE).await?;
        Ok(Self { keeper, wakeups: watch::Sender::new(0) })
    }

    /// The value that an application's handler has put under this key, once that is committed.
    ///
    /// # Errors
    /// When the journal cannot be read in time.
    pub async fn value(&self, key: &str) -> Result<Option<String>, StoreError> {
        let key = key.to_owned();
        self.ask("read a value", move |rows| rows.values.get(&key).cloned()).await
    }

    /// Every value whose key begins so, in the order of their keys.
    ///
    /// # Errors
    /// When the journal cannot be read in time.
    pub async fn values(&self, prefix: &str) -> Result<Vec<(String, String)>, StoreError> {
        let prefix = prefix.to_owned();
        self.ask("read values", move |rows| {
            let from = rows.values.range(prefix.clone()..);
            let of_prefix = from.take_while(|(key, _)| key.starts_with(&prefix));
            of_prefix.map(|(key, value)| (key.clone(), value.clone())).collect()
        })
        .await
    }

    /// Does this with the rows, and answers once what it changed is on the disk.
    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Rows) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask_with(operation, command(work, identity)).await
    }

    async fn ask_with<T>(
        &self,
        operation: &'static str,
        (command, answer): (Command, oneshot::Receiver<T>),
    ) -> Result<T, StoreError> {
        let asked = async {
            self.keeper.send(command).await.map_err(|_| closed(operation))?;
            answer.await.map_err(|_| unwritten(operation))
        };
        timeout(TIME_LIMIT, asked).await.unwrap_or_else(|_| Err(late(operation)))
    }

    /// The same for what strangers can cause: it does not wait for room.
    async fn ask_at_once<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Rows) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (command, answer) = command(work, identity);
        self.keeper.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                let why = format!("cannot {operation}: {QUEUE} others wait for the disk already");
                StoreError::new(StoreErrorKind::Overloaded, why)
            }
            mpsc::error::TrySendError::Closed(_) => closed(operation),
        })?;
        let answer = timeout(TIME_LIMIT, answer).await.map_err(|_| late(operation))?;
        answer.map_err(|_| unwritten(operation))
    }

    fn wake(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }
}

/// Nothing is done for a call that was dropped before its turn. `written` makes the answer of what was done, once that is on
/// the disk.
fn command<T: Send + 'static, A: Send + 'static>(
    work: impl FnOnce(&mut Rows) -> T + Send + 'static,
    written: impl FnOnce(T) -> A + Send + 'static,
) -> (Command, oneshot::Receiver<A>) {
    let (sender, receiver) = oneshot::channel();
    let command: Command = Box::new(move |rows| {
        let done = (!sender.is_closed()).then(|| work(rows));
        Box::new(move || drop(done.map(|done| sender.send(written(done)))))
    });
    (command, receiver)
}

/// What was claimed. When nobody takes it, because the call was dropped, it is given back: otherwise nobody runs it before
/// its leases end, and that counts as a crash.
struct Claimed {
    claims: Vec<Claim>,
    keeper: mpsc::WeakSender<Command>,
    now: Timestamp,
}

impl Claimed {
    fn take(mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let leases: Vec<Lease> = self.claims.iter().map(|claim| claim.lease).collect();
        let Some(keeper) = self.keeper.upgrade().filter(|_| !leases.is_empty()) else { return };
        let now = self.now;
        let release: Command = Box::new(move |rows| {
            rows.release(&leases, now);
            Box::new(|| ())
        });
        drop(keeper.try_send(release));
    }
}

fn unwritten(operation: &str) -> StoreError {
    let why = format!("cannot {operation}: the journal cannot be read or written; the log says why");
    StoreError::new(StoreErrorKind::Unavailable, why)
}

fn late(operation: &str) -> StoreError {
    let why = format!("cannot {operation}: the disk did not answer within {TIME_LIMIT:?}");
    StoreError::new(StoreErrorKind::Unavailable, why)
}

fn closed(operation: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Closed, format!("cannot {operation}: the journal's thread has ended"))
}

#[async_trait]
impl EventStore for JournalStore {
    type Tx = Transaction;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        let accepted = self.ask_at_once("store the event", move |rows| rows.accept(&delivery)).await?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.ask_at_once("quarantine the body", move |rows| rows.quarantine(&unreadable)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let (request, keeper, now) = (request.clone(), self.keeper.downgrade(), request.now);
        let written = move |(claims, buried): (Vec<Claim>, Vec<Burial>)| {
            buried.iter().for_each(Burial::report);
            Claimed { claims, keeper, now }
        };
        let claimed = command(move |rows| rows.claim(&request), written);
        Ok(self.ask_with("claim events", claimed).await?.take())
    }

    /// Does nothing: a claim costs no more than what it would save.
    fn hand_over(&self, _: HandOver) {}

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let leases = leases.to_vec();
        self.ask("renew leases", move |rows| rows.renew(&leases, now, lease)).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Transaction>,
    ) -> Result<HandlerResult, StoreError> {
        let mut transaction = Transaction::new(self.clone());
        let handled = match work(&mut transaction).await {
            Ok(handled) => handled,
            Err(error) => return Ok(Err(error)),
        };
        let (step, settled) = (step.clone(), handled.clone());
        let completed = self.ask("complete the event", move |rows| {
            rows.complete(lease, &step, &settled, now)?;
            for (key, value) in transaction.into_written() {
                rows.put(Record::Value(key, value));
            }
            Ok::<_, StoreError>(())
        });
        completed.await??;
        Ok(Ok(handled))
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (step, handled) = (step.clone(), handled.clone());
        self.ask("complete the event", move |rows| rows.complete(lease, &step, &handled, now)).await?
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let failure = failure.clone();
        self.ask("record the failure", move |rows| rows.fail(lease, &failure, now)).await?
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let leases = leases.to_vec();
        self.ask("give events back", move |rows| rows.release(&leases, now)).await?;
        self.wake();
        Ok(())
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError> {
        self.ask("find the next event", move |rows| rows.next_due(now, order)).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.ask("reach the journal", |_| ()).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let query = query.clone();
        self.ask("list events", move |rows| rows.list_events(&query)).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        self.ask("list conflicts", move |rows| rows.list_conflicts(page)).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        self.ask("list the quarantine", move |rows| rows.list_quarantined(page)).await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        let query = query.clone();
        self.ask("list attempts", move |rows| rows.list_attempts(&query)).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        self.ask("group dead letters", |rows| rows.dead_letters()).await
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let audit = audit.clone();
        self.ask("replay the event", move |rows| rows.replay(event, &audit, now)).await??;
        self.wake();
        Ok(())
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        let (query, audit) = (query.clone(), audit.clone());
        let page = self.ask("replay events", move |rows| rows.replay_matching(&query, &audit, now)).await??;
        self.wake();
        Ok(page)
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let audit = audit.clone();
        self.ask("discard the event", move |rows| rows.discard(event, &audit, now)).await??;
        self.wake();
        Ok(())
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.ask("list the audit", move |rows| rows.list_audit(page)).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        let retention = retention.clone();
        self.ask("purge old rows", move |rows| rows.purge(&retention, now, limit as usize)).await
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (session, audit) = (session.clone(), audit.clone());
        let erased = self.ask("erase the session", move |rows| rows.erase_session(&session, &audit, now));
        let erased = erased.await??;
        self.wake();
        Ok(erased)
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.ask("count events", |rows| rows.stats()).await
    }
}
