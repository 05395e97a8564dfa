//! A memory store that can be made to fail, and tells when something happened in it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Conflict, DeadLetterGroup,
    EventQuery, EventStore, Failure, HandOver, Lease, MemoryStore, NextDue, Page, PageRequest, Purged,
    Quarantined, Retention, RowId, SessionOrder, Step, StoreError, StoreErrorKind, StoreStats, StoredEvent,
    TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::watch;

/// What a worker asks of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Claim,
    Renew,
    Run,
    Complete,
    Fail,
    Release,
    NextDue,
}

pub(crate) const EVERY_OP: [Op; 7] =
    [Op::Claim, Op::Renew, Op::Run, Op::Complete, Op::Fail, Op::Release, Op::NextDue];

/// How an operation fails; all but the kind of trouble is as in a real store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happens, and the store is unavailable.
    Down,
    /// The same, for this many calls.
    DownFor(usize),
    /// It happens, but the answer is lost on the way.
    AnswerLost,
    /// Nothing happens, which is only known after the store's own time limit.
    Slow(Duration),
}

pub(crate) struct TestStore {
    inner: MemoryStore,
    faults: Mutex<HashMap<Op, Fault>>,
    calls: Mutex<HashMap<Op, usize>>,
    changes: watch::Sender<u64>,
    /// Instead of the store's own, when workers are to hear nothing.
    silence: Option<watch::Sender<u64>>,
    hand_overs: Mutex<Vec<HandOver>>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryStore::new(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            changes: watch::Sender::new(0),
            silence: None,
            hand_overs: Mutex::default(),
        }
    }

    /// A store that wakes no worker, as if every event were accepted by another process.
    pub(crate) fn silent() -> Self {
        Self { silence: Some(watch::Sender::new(0)), ..Self::new() }
    }

    pub(crate) fn fail(&self, ops: impl IntoIterator<Item = Op>, fault: Fault) {
        self.faults.lock().expect("unpoisoned").extend(ops.into_iter().map(|op| (op, fault)));
    }

    pub(crate) fn mend(&self) {
        self.faults.lock().expect("unpoisoned").clear();
    }

    /// How often this was asked for, in vain or not.
    pub(crate) fn calls(&self, op: Op) -> usize {
        self.calls.lock().expect("unpoisoned").get(&op).copied().unwrap_or(0)
    }

    /// The way to the worker that was built last.
    pub(crate) fn hand_over_to(&self) -> HandOver {
        self.hand_overs.lock().expect("unpoisoned").last().expect("a worker was built").clone()
    }

    /// Claims the only waiting event for a worker, which is no call of that worker's.
    pub(crate) async fn claim_for(&self, to: &HandOver, now: Timestamp) -> Claim {
        let mut request = ClaimRequest::new(to.worker().clone(), now, 1);
        request.lease = to.lease();
        self.inner.claim(&request).await.expect("claimed").pop().expect("one waits")
    }

    /// Changes after every call.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn faulty<T>(
        &self,
        op: Op,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        *self.calls.lock().expect("unpoisoned").entry(op).or_default() += 1;
        let unavailable =
            || StoreError::new(StoreErrorKind::Unavailable, format!("cannot {op:?}: out of order"));
        let fault = {
            let mut faults = self.faults.lock().expect("unpoisoned");
            let fault = faults.get(&op).copied();
            match fault {
                Some(Fault::DownFor(1)) => drop(faults.remove(&op)),
                Some(Fault::DownFor(calls)) => drop(faults.insert(op, Fault::DownFor(calls - 1))),
                _ => {}
            }
            fault
        };
        match fault {
            Some(Fault::Down | Fault::DownFor(_)) => return Err(unavailable()),
            Some(Fault::AnswerLost) => drop(call.await?),
            Some(Fault::Slow(limit)) => {
                tokio::time::sleep(limit).await;
                return Err(unavailable());
            }
            None => {
                let result = call.await;
                self.changes.send_modify(|calls| *calls += 1);
                return result;
            }
        }
        self.changes.send_modify(|calls| *calls += 1);
        Err(unavailable())
    }
}

#[async_trait]
impl EventStore for TestStore {
    type Tx = ();

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        self.inner.accept(delivery).await
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.inner.quarantine(unreadable).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        self.faulty(Op::Claim, self.inner.claim(request)).await
    }

    /// Only remembers it: tests do what a store does with it.
    fn hand_over(&self, to: HandOver) {
        self.hand_overs.lock().expect("unpoisoned").push(to);
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        self.faulty(Op::Renew, self.inner.renew(leases, now, lease)).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<()>,
    ) -> Result<HandlerResult, StoreError> {
        self.faulty(Op::Run, self.inner.run(lease, step, now, work)).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.faulty(Op::Complete, self.inner.complete(lease, step, handled, now)).await
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        self.faulty(Op::Fail, self.inner.fail(lease, failure, now)).await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        self.faulty(Op::Release, self.inner.release(leases, now)).await
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError> {
        self.faulty(Op::NextDue, self.inner.next_due(now, order)).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.silence.as_ref().map_or_else(|| self.inner.wakeups(), watch::Sender::subscribe)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        self.inner.events(query).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        self.inner.conflicts(page).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        self.inner.quarantined(page).await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        self.inner.attempts(query).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        self.inner.dead_letters().await
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.inner.replay(event, audit, now).await
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        self.inner.replay_matching(query, audit, now).await
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        self.inner.discard(event, audit, now).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.inner.audit(page).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        self.inner.purge(retention, now, limit).await
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        self.inner.erase_session(session, audit, now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats().await
    }
}
