//! A memory store that can be made to fail, and that notifies about its calls.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{
    Accepted, Activity, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Completion,
    Conflict, DeadLetterGroup, EventAdmin, EventQuery, EventStore, Failure, Lease, MemoryStore, NextClaim,
    NextDue, Page, PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step,
    StoreError, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use jaas_testkit::FaultyStore;
pub(crate) use jaas_testkit::{Fault, Op};
use tokio::sync::watch;

/// The operations that a worker calls.
pub(crate) const EVERY_OP: [Op; 9] = [
    Op::Claim,
    Op::Renew,
    Op::Run,
    Op::Complete,
    Op::CompleteAll,
    Op::Fail,
    Op::Release,
    Op::GiveBack,
    Op::NextDue,
];

pub(crate) struct TestStore {
    inner: FaultyStore<MemoryStore>,
    changes: watch::Sender<u64>,
    /// Replaces the store's wakeups, when workers should not be notified.
    silence: Option<watch::Sender<u64>>,
    /// How long it takes to record a success.
    recording_takes: Duration,
    hand_overs: Mutex<Vec<HandOver>>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: FaultyStore::new(MemoryStore::new()),
            changes: watch::Sender::new(0),
            silence: None,
            recording_takes: Duration::ZERO,
            hand_overs: Mutex::default(),
        }
    }

    /// A store that wakes no worker, as if every event were accepted by another process.
    pub(crate) fn silent() -> Self {
        Self { silence: Some(watch::Sender::new(0)), ..Self::new() }
    }

    /// The store, when it needs this long to record a success.
    pub(crate) fn recording_in(self, time: Duration) -> Self {
        Self { recording_takes: time, ..self }
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

    /// How often this was called, successfully or not.
    pub(crate) fn calls(&self, op: Op) -> u64 {
        self.inner.calls(op)
    }

    /// The hand-over to the worker that was built last.
    pub(crate) fn hand_over_to(&self) -> HandOver {
        self.hand_overs.lock().expect("unpoisoned").last().expect("a worker was built").clone()
    }

    /// Claims the only waiting event for a worker, which does not count as a call of that worker.
    pub(crate) async fn claim_for(&self, to: &HandOver, now: Timestamp) -> Claim {
        let mut request = ClaimRequest::new(to.worker().clone(), now, 1);
        request.lease = to.lease();
        self.inner.inner().claim(&request).await.expect("claimed").pop().expect("one waits")
    }

    /// Changes after every call of a worker.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    async fn notifying<T>(&self, op: Op, call: impl Future<Output = T>) -> T {
        if matches!(op, Op::Complete | Op::CompleteAll) && !self.recording_takes.is_zero() {
            tokio::time::sleep(self.recording_takes).await;
        }
        let result = call.await;
        if !EVERY_OP.contains(&op) {
            return result;
        }
        self.changes.send_modify(|calls| *calls += 1);
        result
    }
}

/// Calls of a worker notify the test; calls of the test do not. The two are the same methods.
macro_rules! working {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        #[async_trait]
        impl EventStore for TestStore {
            type Tx = ();

            /// Only remembers it: tests do what a store does with it.
            fn hand_over(&self, to: HandOver) {
                self.hand_overs.lock().expect("unpoisoned").push(to);
            }

            fn wakeups(&self) -> watch::Receiver<u64> {
                self.silence.as_ref().map_or_else(|| self.inner.wakeups(), watch::Sender::subscribe)
            }

            $(async fn $method(&self, $($arg: $type),*) -> $result {
                self.notifying(Op::$op, self.inner.$method($($arg),*)).await
            })*
        }
    };
}

macro_rules! admin {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        #[async_trait]
        impl EventAdmin for TestStore {
            $(async fn $method(&self, $($arg: $type),*) -> $result {
                self.inner.$method($($arg),*).await
            })*
        }
    };
}

jaas_core::store::tools::event_store_methods!(working, TxWork<()>);
jaas_core::store::tools::event_admin_methods!(admin, TxWork<()>);
