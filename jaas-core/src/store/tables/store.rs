//! Both traits of a store, over a database that has its tables.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Claimed, EventTables, ReadTables, TableRow};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::id::SessionId;
use crate::store::activity::ActivitySample;
use crate::store::dead_lettered::DeadLettered;
use crate::store::row::EventRow;
use crate::store::unheard::Unheard;
use crate::store::{
    Accepted, Activity, Attempt, AttemptQuery, AuditAction, AuditEntry, AuditNote, Claim, ClaimRequest,
    Completion, Conflict, EventAdmin, EventQuery, EventStore, Failure, Lease, NextClaim, NextDue, Page,
    PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step, StoreError,
    StoreErrorKind, StoreStats, StoredEvent, TxWork,
};
use crate::timestamp::Timestamp;

/// A database from which [`TableStore`] makes a store: how work waits for its turn, and how a transaction begins and ends.
/// Clones share one database.
pub trait TableDatabase: Clone + Send + Sync + 'static {
    /// An error in a transaction: of the database, or of the contract.
    type Error: From<StoreError> + Send + 'static;

    /// A transaction that reads. It sees what was committed before it began.
    type Reader: ReadTables<Error = Self::Error>;

    /// A transaction that writes. When it is dropped, it is rolled back. No other one may change what it has read.
    type Writer: EventTables<Error = Self::Error>;

    /// What a transactional handler writes to: [`EventStore::Tx`]. It is [applied](Self::apply) when the handler has
    /// succeeded, so that a handler that waits does not hold a transaction.
    type Tx: Default + Send + 'static;

    /// Runs work that blocks, on a thread that may wait for the disk, when it is its turn.
    ///
    /// A caller that drops the future before the turn has asked for nothing. Work that has begun ends; if the caller is
    /// gone then, its result is dropped.
    ///
    /// # Errors
    /// The error of the work, as a [`StoreError`]: one of the contract as it is, and one of the database with the kind that
    /// [`EventStore`] demands. If the turn or the disk takes too long,
    /// [`Unavailable`](StoreErrorKind::Unavailable).
    fn ask<T: Send + 'static>(
        &self,
        access: Access,
        work: impl FnOnce(&Self) -> Result<T, Self::Error> + Send + 'static,
    ) -> impl Future<Output = Result<T, StoreError>> + Send;

    /// Begins a transaction that reads.
    ///
    /// # Errors
    /// Those of the database.
    fn read(&self) -> Result<Self::Reader, Self::Error>;

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// Those of the database.
    fn begin(&self) -> Result<Self::Writer, Self::Error>;

    /// Commits a transaction. When this returns `Ok`, what it wrote survives a crash of the process and of the machine.
    ///
    /// # Errors
    /// Those of the database; then nothing was written.
    fn commit(&self, transaction: Self::Writer) -> Result<(), Self::Error>;

    /// Writes what a handler asked for, in the transaction that completes its event.
    ///
    /// # Errors
    /// [`Refused`](StoreErrorKind::Refused) for an error of the handler's writes; then the transaction is rolled back.
    fn apply(&self, writes: Self::Tx, transaction: &mut Self::Writer) -> Result<(), Self::Error>;
}

/// What work does with a [`TableDatabase`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It reads.
    Read,
    /// It begins a transaction that writes.
    Write,
}

/// A store over a [`TableDatabase`]: each operation is one transaction. Clones share their wake-ups. Lists, erasing and
/// purging look at every row of their kind.
///
/// The example `custom-store` is such a store. A store that does some operation in a better way implements the two traits
/// itself, and can pass the other methods on to this.
#[derive(Debug, Clone)]
pub struct TableStore<D> {
    database: D,
    wakeups: watch::Sender<u64>,
}

impl<D: TableDatabase> TableStore<D> {
    /// Creates a store over this database, which has its [tables](super::TABLES).
    pub fn new(database: D) -> Self {
        Self { database, wakeups: watch::Sender::new(0) }
    }

    /// Returns the database.
    pub fn database(&self) -> &D {
        &self.database
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&D::Reader) -> Result<T, D::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.database.ask(Access::Read, move |database: &D| work(&database.read()?)).await
    }

    async fn list<R: TableRow>(
        &self,
        page: PageRequest,
        matches: impl Fn(&R) -> bool + Send + 'static,
    ) -> Result<Page<R>, StoreError> {
        self.read(move |tables| Ok(Page::cut(tables.all()?.into_iter().filter(matches), page, R::id))).await
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut D::Writer) -> Result<T, D::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.database.ask(Access::Write, move |database: &D| committed(database, work)).await
    }

    /// Runs a closure in a transaction that is rolled back.
    async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut D::Writer) -> Result<T, D::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.database.ask(Access::Write, move |database: &D| work(&mut database.begin()?)).await
    }

    /// Claims events for a caller. If the caller is gone, they are given back.
    async fn claiming(
        &self,
        now: Timestamp,
        work: impl FnOnce(&mut D::Writer) -> Result<Claimed, D::Error> + Send + 'static,
    ) -> Result<Vec<Claim>, StoreError> {
        let store = self.clone();
        let claiming = move |database: &D| {
            let Claimed { claims, dead_letters } = committed(database, work)?;
            dead_letters.iter().for_each(DeadLettered::report);
            Ok(Unheard::new(store, claims, now))
        };
        Ok(self.database.ask(Access::Write, claiming).await?.take())
    }

    /// Settles an event, and claims the next one if that was asked for.
    async fn settling(
        &self,
        now: Timestamp,
        work: impl FnOnce(&mut D::Writer) -> Result<Option<Claim>, D::Error> + Send + 'static,
    ) -> Result<Option<Claim>, StoreError> {
        let claimed =
            |next: Option<Claim>| Claimed { claims: next.into_iter().collect(), ..Claimed::default() };
        Ok(self.claiming(now, move |tables| work(tables).map(claimed)).await?.pop())
    }

    fn wake(&self) {
        self.wakeups.send_modify(|generation| *generation = generation.wrapping_add(1));
    }
}

/// Runs a closure in a transaction, and commits it.
fn committed<D: TableDatabase, T>(
    database: &D,
    work: impl FnOnce(&mut D::Writer) -> Result<T, D::Error>,
) -> Result<T, D::Error> {
    let mut transaction = database.begin()?;
    let done = work(&mut transaction)?;
    database.commit(transaction)?;
    Ok(done)
}

#[async_trait]
impl<D: TableDatabase> EventStore for TableStore<D> {
    type Tx = D::Tx;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        let accepted = self.write(move |tables| tables.accept(&delivery)).await?;
        if accepted == Accepted::New {
            self.wake();
        }
        Ok(accepted)
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.write(move |tables| tables.quarantine(&unreadable)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let request = request.clone();
        self.claiming(request.now, move |tables| tables.claim(&request)).await
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let leases = leases.to_vec();
        self.write(move |tables| tables.renew(&leases, now, lease)).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<D::Tx>,
    ) -> Result<(HandlerResult, Option<Claim>), StoreError> {
        let mut writes = D::Tx::default();
        let handled = match work(&mut writes).await {
            Ok(handled) => handled,
            failed => return Ok((failed, None)),
        };
        let (step, settled, database) = (step.clone(), handled.clone(), self.database.clone());
        let next = self.settling(now, move |tables| {
            let next = tables.complete(lease, &step, &settled, now)?;
            database.apply(writes, tables)?;
            Ok(next)
        });
        Ok((Ok(handled), next.await?))
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let (step, handled) = (step.clone(), handled.clone());
        self.settling(now, move |tables| tables.complete(lease, &step, &handled, now)).await
    }

    async fn complete_all(
        &self,
        lease: Lease,
        completions: &[Completion],
        next: Option<NextClaim>,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let completions = completions.to_vec();
        self.settling(now, move |tables| tables.complete_all(lease, &completions, next, now)).await
    }

    async fn fail(
        &self,
        lease: Lease,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError> {
        let failure = failure.clone();
        self.settling(now, move |tables| tables.fail(lease, &failure, now)).await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let leases = leases.to_vec();
        self.write(move |tables| tables.release(&leases, now)).await.map(|()| self.wake())
    }

    async fn give_back(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let leases = leases.to_vec();
        self.write(move |tables| tables.give_back(&leases, now)).await.map(|()| self.wake())
    }

    async fn next_due(&self, now: Timestamp) -> Result<NextDue, StoreError> {
        self.read(move |tables| tables.next_due(now)).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.wakeups.subscribe()
    }

    /// First commits an empty transaction, because some databases commit nothing after a failed commit until they are
    /// opened again. Then accepts an event and rolls back.
    async fn ping(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await?;
        let body = r#"{"idempotencyKey":"probe","eventType":"PROBE"}"#;
        let unreadable = |why: Unreadable| StoreError::new(StoreErrorKind::Corrupt, why.reason.to_string());
        let probe = Delivery::parse("", Timestamp::from_millis(0), body.into()).map_err(unreadable)?;
        self.look(move |tables| tables.accept(&probe).map(drop)).await
    }
}

#[async_trait]
impl<D: TableDatabase> EventAdmin for TableStore<D> {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let query = query.clone();
        let rows = self.list(query.page, move |row: &EventRow| query.matches(&row.event)).await?;
        Ok(rows.map(|row| row.event))
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>, StoreError> {
        self.read(move |tables| Ok(tables.find::<EventRow>(event)?.map(|row| row.event))).await
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, StoreError> {
        self.read(move |tables| tables.queue_of(event)).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        self.list(page, |_| true).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        self.list(page, |_| true).await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        let query = query.clone();
        self.list(query.page, move |attempt| query.matches(attempt)).await
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let note = audit.clone();
        self.write(move |tables| tables.replay(event, &note, now)).await.map(|()| self.wake())
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, StoreError> {
        let note = audit.clone();
        let replayed = self.write(move |tables| {
            let page = Page::cut(tables.all()?, page, Quarantined::id);
            tables.replay_quarantined(page, &note, now)
        });
        replayed.await.inspect(|_| self.wake())
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let note = audit.clone();
        // It may have held back other events of its session.
        self.write(move |tables| tables.discard(event, &note, now)).await.map(|()| self.wake())
    }

    async fn rehearse(&self, work: TxWork<D::Tx>) -> Result<HandlerResult, StoreError> {
        let mut writes = D::Tx::default();
        let handled = work(&mut writes).await;
        if handled.is_err() {
            return Ok(handled);
        }
        let database = self.database.clone();
        self.look(move |tables| database.apply(writes, tables)).await.map(|()| handled)
    }

    async fn reveal(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let note = audit.clone();
        self.write(move |tables| tables.record(event, AuditAction::Revealed, &note, now)).await
    }

    async fn record_rehearsal(
        &self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let note = audit.clone();
        self.write(move |tables| tables.record(event, AuditAction::Rehearsed, &note, now)).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.list(page, |_| true).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        let retention = retention.clone();
        self.write(move |tables| tables.purge(&retention, now, limit as usize)).await
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (session, note) = (session.clone(), audit.clone());
        self.write(move |tables| {
            let mut rows = tables.all::<EventRow>()?;
            rows.retain(|row| row.event.session_id.as_ref() == Some(&session));
            tables.erase(rows, &note, now)
        })
        .await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.read(|tables| tables.stats()).await
    }

    async fn record_activity(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tables| tables.record_activity(now)).await
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>, StoreError> {
        self.read(move |tables| Ok(ActivitySample::within(tables.all()?, since, until))).await
    }
}
