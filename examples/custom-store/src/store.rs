//! Receiving and working: each operation is one transaction, on a thread where it may wait for the disk.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::tools::DeadLettered;
use jaas_core::store::*;
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp, Unreadable};
use redb::{Database, ReadTransaction, ReadableDatabase as _, StorageError, WriteTransaction};
use tokio::sync::{Semaphore, watch};

use crate::rows::{Change, DUE, Fault, Outcome};
use crate::work::{READY, RUNNING, SUSPECT, SUSPECT_RUNS};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The timeout of a call for its turn and the disk.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Keeps events in tables of a redb database, beside the application's tables. Clones share one queue of turns.
#[derive(Clone)]
pub struct RedbStore {
    database: Arc<Database>,
    pub(crate) writers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    wakeups: watch::Sender<u64>,
}

/// A transactional handler's writes to the application's tables. They are committed together with the event's
/// completion, or not at all.
///
/// redb has one writer at a time. So that a waiting handler does not block the others, its writes happen after it has run, in
/// the order given. Values that a write depends on must be read in the write, too.
#[derive(Default)]
pub struct Transaction(Vec<Write>);

type Write = Box<dyn FnOnce(&WriteTransaction) -> Outcome<()> + Send>;

impl Transaction {
    /// Adds a write for when the handler has succeeded. An error rolls everything back, and the worker treats it as the handler's
    /// error.
    pub fn write(&mut self, write: impl FnOnce(&WriteTransaction) -> Outcome<()> + Send + 'static) {
        self.0.push(Box::new(write));
    }

    pub(crate) fn apply(self, to: &WriteTransaction) -> Outcome<()> {
        let refused = |cause| {
            StoreError::new(StoreErrorKind::Refused, "the handler's writes failed").with_source(cause)
        };
        Ok(self.0.into_iter().try_for_each(|write| write(to)).map_err(refused)?)
    }
}

impl RedbStore {
    /// Opens a store over this database, and creates its tables if they do not exist.
    ///
    /// # Errors
    /// When the database cannot be written before the timeout.
    pub async fn over(database: Arc<Database>) -> Result<Self> {
        let [writers, readers] = [1, 4].map(|threads| Arc::new(Semaphore::new(threads)));
        let store = Self { database, writers, readers, wakeups: watch::Sender::new(0) };
        store.write(|change| change.create()).await?;
        Ok(store)
    }

    /// Returns the database, for the application's own tables.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs a closure with the database, on a thread that may block, when it is its turn.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&Database) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let database = self.database.clone();
        let asked = tokio::time::timeout(TIME_LIMIT, async {
            // A caller that is gone before its turn has asked for nothing.
            let turn = turns.clone().acquire_owned().await?;
            let working = tokio::task::spawn_blocking(move || (work(&database), turn).0);
            working.await?
        });
        asked.await.map_err(Fault::from).flatten().map_err(|fault| match fault.downcast::<StoreError>() {
            Ok(error) => *error,
            Err(fault) => {
                let corrupt = fault.is::<serde_json::Error>()
                    || matches!(fault.downcast_ref(), Some(StorageError::Corrupted(_)));
                let kind = if corrupt { StoreErrorKind::Corrupt } else { StoreErrorKind::Unavailable };
                StoreError::new(kind, "the redb database cannot do this").with_source(fault)
            }
        })
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(&self.readers, move |database| work(&database.begin_read()?)).await
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Change) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(&self.writers, move |database| commit(database, work)).await
    }

    async fn claiming(
        &self,
        now: Timestamp,
        work: impl FnOnce(&mut Change) -> Outcome<Vec<Claim>> + Send + 'static,
    ) -> Result<Vec<Claim>> {
        let store = self.clone();
        let claims = move |database: &_| Ok(Unheard { claims: commit(database, work)?, store, now });
        Ok(take(&mut self.ask(&self.writers, claims).await?.claims))
    }

    pub(crate) fn wake(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }
}

fn commit<T>(database: &Database, work: impl FnOnce(&mut Change) -> Outcome<T>) -> Outcome<T> {
    let mut change = Change { tables: database.begin_write()?, dead_letters: Vec::new() };
    let done = work(&mut change)?;
    change.tables.commit()?;
    change.dead_letters.iter().for_each(DeadLettered::report);
    Ok(done)
}

/// Claims on the way to their caller. If the caller is gone, they are given back. Otherwise their leases would end, which
/// would count as a crash.
struct Unheard {
    claims: Vec<Claim>,
    store: RedbStore,
    now: Timestamp,
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let leases: Vec<Lease> = self.claims.iter().map(|claim| claim.lease).collect();
        let (store, now) = (self.store.clone(), self.now);
        if !leases.is_empty()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { store.give_back(&leases, now).await });
        }
    }
}

#[async_trait]
impl EventStore for RedbStore {
    type Tx = Transaction;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted> {
        let accepted = self.write(|change| change.accept(delivery)).await?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<()> {
        self.write(move |change| change.quarantine(&unreadable)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>> {
        let request = request.clone();
        self.claiming(request.now, move |change| change.claim(&request)).await
    }

    async fn renew(&self, leases: &[Lease], now: Timestamp, lease: Duration) -> Result<Vec<Lease>> {
        let leases = leases.to_vec();
        self.write(move |change| change.renew(&leases, now, lease)).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<Transaction>,
    ) -> Result<(HandlerResult, Option<Claim>)> {
        let mut transaction = Transaction::default();
        let handled = match work(&mut transaction).await {
            Ok(handled) => handled,
            error => return Ok((error, None)),
        };
        let (step, settled) = (step.clone(), handled.clone());
        let completed = self.claiming(now, move |change| {
            let next = change.complete(lease, &step, &settled, now)?;
            transaction.apply(&change.tables)?;
            Ok(next)
        });
        Ok((Ok(handled), completed.await?.pop()))
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        let (step, handled) = (step.clone(), handled.clone());
        Ok(self.claiming(now, move |change| change.complete(lease, &step, &handled, now)).await?.pop())
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<Option<Claim>> {
        let failure = failure.clone();
        Ok(self.claiming(now, move |change| change.fail(lease, &failure, now)).await?.pop())
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<()> {
        let leases = leases.to_vec();
        self.write(move |change| change.release(&leases, true, now)).await.map(|()| self.wake())
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<()> {
        let leases = leases.to_vec();
        self.write(move |change| change.release(&leases, false, now)).await.map(|()| self.wake())
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue> {
        let (now, later) = (now.as_millis(), now.as_millis().saturating_add(1));
        self.read(move |tables| {
            let (due, mut known) = (tables.open_table(DUE)?, NextDue::default());
            for phase in [READY, SUSPECT, RUNNING, SUSPECT_RUNS] {
                let is_due = due.range((phase, i64::MIN, "")..(phase, later, ""))?.next().is_some();
                known.held_back |= is_due && phase < RUNNING;
                if let Some(next) = due.range((phase, later, "")..(phase + 1, i64::MIN, ""))?.next() {
                    let after = Duration::from_millis(next?.0.value().1.abs_diff(now));
                    known.after = Some(known.after.map_or(after, |known| known.min(after)));
                }
            }
            Ok(known)
        })
        .await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    /// First commits an empty transaction, because after a failed commit the database commits nothing until it is opened again.
    /// Then accepts an event and rolls back.
    async fn ping(&self) -> Result<()> {
        self.write(|_| Ok(())).await?;
        self.ask(&self.writers, |database| {
            let body = r#"{"idempotencyKey":"probe","eventType":"PROBE"}"#;
            let probe = Delivery::parse("", Timestamp::from_millis(0), body.into());
            let change = Change { tables: database.begin_write()?, dead_letters: Vec::new() };
            change.accept(probe.map_err(|unreadable| unreadable.reason)?)?;
            Ok(change.tables.abort()?)
        })
        .await
    }
}
