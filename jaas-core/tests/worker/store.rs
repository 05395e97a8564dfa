//! A memory store that can be made to fail, and tells when something happened in it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Claim, ClaimRequest, Conflict, EventQuery, EventStore, Failure, Lease, MemoryStore, Page,
    PageRequest, Quarantined, RowId, SessionOrder, Step, StoreError, StoreErrorKind, StoreStats, StoredEvent,
    TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, Timestamp, Unreadable};
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
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryStore::new(),
            faults: Mutex::default(),
            calls: Mutex::default(),
            changes: watch::Sender::new(0),
            silence: None,
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

    async fn renew(&self, leases: &[Lease], until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        self.faulty(Op::Renew, self.inner.renew(leases, until)).await
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

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<Option<Timestamp>, StoreError> {
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

    async fn replay(&self, event: RowId, now: Timestamp) -> Result<(), StoreError> {
        self.inner.replay(event, now).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.inner.stats().await
    }
}
