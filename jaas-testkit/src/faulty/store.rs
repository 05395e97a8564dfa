//! Every operation, with its faults.

use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::hand_over::HandOver;
use jaas_core::store::{
    Accepted, Activity, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Completion,
    Conflict, DeadLetterGroup, EventAdmin, EventQuery, EventStore, Failure, Lease, NextClaim, NextDue, Page,
    PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step, StoreError,
    StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::watch;

use super::{FaultyStore, Op};

/// The fate of an argument: the time may be wrong, and a batch partly done.
macro_rules! befallen {
    ($fate:ident, now = $now:ident) => {
        $fate.now($now)
    };
    ($fate:ident, leases = $leases:ident) => {
        &$leases[..$fate.part_of($leases.len())]
    };
    ($fate:ident, limit = $limit:ident) => {
        $fate.limit($limit)
    };
    ($fate:ident, request = $request:ident) => {
        &$fate.request($request)
    };
    ($fate:ident, query = $query:ident) => {
        &$fate.in_part($query)
    };
    ($fate:ident, $name:ident = $argument:ident) => {
        $argument
    };
}

macro_rules! working {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        #[async_trait]
        impl<S: EventStore> EventStore for FaultyStore<S> {
            type Tx = S::Tx;

            fn hand_over(&self, to: HandOver) {
                self.store.hand_over(to);
            }

            fn wakeups(&self) -> watch::Receiver<u64> {
                self.store.wakeups()
            }

            $(async fn $method(&self, $($arg: $type),*) -> $result {
                let fate = self.fate(Op::$op);
                fate.befall(Op::$op, self.store.$method($(befallen!(fate, $arg = $arg)),*)).await
            })*
        }
    };
}

macro_rules! admin {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        #[async_trait]
        impl<S: EventAdmin> EventAdmin for FaultyStore<S> {
            $(async fn $method(&self, $($arg: $type),*) -> $result {
                let fate = self.fate(Op::$op);
                fate.befall(Op::$op, self.store.$method($(befallen!(fate, $arg = $arg)),*)).await
            })*
        }
    };
}

jaas_core::store::tools::event_store_methods!(working, TxWork<Self::Tx>);
jaas_core::store::tools::event_admin_methods!(admin, TxWork<Self::Tx>);
