//! Receiving and working: each operation is one transaction, on a thread where it may wait for the disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::tools::{EventTables as _, Unheard};
use jaas_core::store::*;
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp, Unreadable};
use redb::{Database, ReadTransaction, ReadableDatabase as _, StorageError, WriteTransaction};
use tokio::sync::{Semaphore, watch};

use crate::change::Change;
use crate::rows::{Fault, Outcome, QUARANTINE};

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// The timeout of a call for its turn and the disk.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Keeps events in tables of a redb database, beside the application's tables. Clones share one queue of turns.
#[derive(Clone)]
pub struct RedbStore {
    database: Arc<Database>,
    writers: Arc<Semaphore>,
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
        store.write(Change::create).await?;
        Ok(store)
    }

    /// Returns the database, for the application's own tables.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Runs a closure with the database, on a thread that may block, when it is its turn.
    async fn ask<T: Send + 'static>(
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
        self.ask(&self.writers, move |database| Change::commit(database, work)).await
    }

    /// Runs a closure in a transaction that is rolled back.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Change) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(&self.writers, move |database| work(&mut Change::begin(database)?)).await
    }

    /// Claims events for a caller. If the caller is gone, they are given back.
    async fn claiming<C: IntoIterator<Item = Claim>>(
        &self,
        now: Timestamp,
        work: impl FnOnce(&mut Change) -> Outcome<C> + Send + 'static,
    ) -> Result<Vec<Claim>> {
        let store = self.clone();
        let claims = move |database: &_| Ok(Unheard::new(store, Change::commit(database, work)?, now));
        Ok(self.ask(&self.writers, claims).await?.take())
    }

    pub(crate) fn wake(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }
}

#[async_trait]
impl EventStore for RedbStore {
    type Tx = Transaction;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted> {
        let accepted = self.write(move |change| change.accept(&delivery)).await?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<()> {
        self.write(move |change| {
            let (key, at) = (unreadable.body_hash(), unreadable.received_at);
            let id = change.row_of((&*unreadable.endpoint, "", &key))?;
            let known = QUARANTINE.find(&change.tables, id)?;
            let seen = known.map_or_else(|| Quarantined::of(id, &unreadable), |known| known.seen_again(at));
            QUARANTINE.put(&change.tables, id, &seen)
        })
        .await
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

    async fn complete_all(
        &self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>> {
        let all = completions.to_vec();
        Ok(self.claiming(now, move |change| change.complete_all(lease, &all, next, now)).await?.pop())
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<Option<Claim>> {
        let failure = failure.clone();
        Ok(self.claiming(now, move |change| change.fail(lease, &failure, now)).await?.pop())
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<()> {
        let leases = leases.to_vec();
        self.write(move |change| change.release(&leases, now)).await.map(|()| self.wake())
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<()> {
        let leases = leases.to_vec();
        self.write(move |change| change.give_back(&leases, now)).await.map(|()| self.wake())
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue> {
        self.look(move |change| change.next_due(now)).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    /// First commits an empty transaction, because after a failed commit the database commits nothing until it is opened again.
    /// Then accepts an event and rolls back.
    async fn ping(&self) -> Result<()> {
        self.write(|_| Ok(())).await?;
        let body = r#"{"idempotencyKey":"probe","eventType":"PROBE"}"#;
        let probe = Delivery::parse("", Timestamp::from_millis(0), body.into());
        self.look(|change| change.accept(&probe.map_err(|unreadable| unreadable.reason)?).map(drop)).await
    }
}
