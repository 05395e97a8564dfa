//! A memory store that can be made to fail, and tells when something happened in it.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Conflict, DeadLetterGroup,
    EventQuery, EventStore, Failure, HandOver, Lease, MemoryStore, NextDue, Page, PageRequest, Purged,
    Quarantined, Retention, RowId, SessionOrder, Step, StoreError, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use jaas_testkit::FaultyStore;
pub(crate) use jaas_testkit::{Fault, Op};
use tokio::sync::watch;

/// What a worker asks of a store.
pub(crate) const EVERY_OP: [Op; 7] =
    [Op::Claim, Op::Renew, Op::Run, Op::Complete, Op::Fail, Op::Release, Op::NextDue];

pub(crate) struct TestStore {
    inner: FaultyStore<MemoryStore>,
    changes: watch::Sender<u64>,
    /// Instead of the store's own, when workers are to hear nothing.
    silence: Option<watch::Sender<u64>>,
    hand_overs: Mutex<Vec<HandOver>>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: FaultyStore::new(MemoryStore::new()),
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
        self.inner.outage(ops, fault);
    }

    /// Nothing happens this many times, and the store is unavailable.
    pub(crate) fn fail_times(&self, op: Op, times: usize) {
        for _ in 0..times {
            self.inner.script(op, Fault::Before);
        }
    }

    pub(crate) fn mend(&self) {
        self.inner.mend();
    }

    /// How often this was asked for, in vain or not.
    pub(crate) fn calls(&self, op: Op) -> u64 {
        self.inner.calls(op)
    }

    /// The way to the worker that was built last.
    pub(crate) fn hand_over_to(&self) -> HandOver {
        self.hand_overs.lock().expect("unpoisoned").last().expect("a worker was built").clone()
    }

    /// Claims the only waiting event for a worker, which is no call of that worker's.
    pub(crate) async fn claim_for(&self, to: &HandOver, now: Timestamp) -> Claim {
        let mut request = ClaimRequest::new(to.worker().clone(), now, 1);
        request.lease = to.lease();
        self.inner.inner().claim(&request).await.expect("claimed").pop().expect("one waits")
    }

    /// Changes after every call of a worker's.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn told<T>(&self, call: impl Future<Output = T>) -> T {
        let result = call.await;
        self.changes.send_modify(|calls| *calls += 1);
        result
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
        self.told(self.inner.claim(request)).await
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
        self.told(self.inner.renew(leases, now, lease)).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<()>,
    ) -> Result<HandlerResult, StoreError> {
        self.told(self.inner.run(lease, step, now, work)).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.told(self.inner.complete(lease, step, handled, now)).await
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        self.told(self.inner.fail(lease, failure, now)).await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        self.told(self.inner.release(leases, now)).await
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError> {
        self.told(self.inner.next_due(now, order)).await
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
