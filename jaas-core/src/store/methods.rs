//! The methods of the two store traits as lists. Every forwarding implementation and every test double is generated
//! from these lists, so a method is written in its trait and here, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::hand_over::HandOver;
use super::{
    Accepted, Activity, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Completion,
    Conflict, DeadLetterGroup, EventAdmin, EventQuery, EventStore, Failure, Lease, NextClaim, NextDue, Page,
    PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step, StoreError,
    StoreStats, StoredEvent, TxWork,
};
use crate::delivery::{Delivery, Unreadable};
use crate::handler::{Handled, HandlerResult};
use crate::id::SessionId;
use crate::timestamp::Timestamp;

/// Passes the asynchronous methods of [`EventStore`] to a macro: the operation's name, the method, its arguments and
/// its return type. The second argument is the type of work in a transaction.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_store_methods {
    ($callback:ident, $work:ident<$($tx:tt)*) => {
        $callback! {
            Accept accept(delivery: Delivery) -> [Result<Accepted, StoreError>];
            Quarantine quarantine(unreadable: Unreadable) -> [Result<(), StoreError>];
            Claim claim(request: &ClaimRequest) -> [Result<Vec<Claim>, StoreError>];
            Renew renew(leases: &[Lease], now: Timestamp, lease: Duration) -> [Result<Vec<Lease>, StoreError>];
            Run run(lease: Lease, step: &Step, now: Timestamp, work: $work<$($tx)*)
                -> [Result<(HandlerResult, Option<Claim>), StoreError>];
            Complete complete(lease: Lease, step: &Step, handled: &Handled, now: Timestamp)
                -> [Result<Option<Claim>, StoreError>];
            CompleteAll complete_all(
                lease: Lease, completions: &[Completion], next: Option<NextClaim>, now: Timestamp
            ) -> [Result<Option<Claim>, StoreError>];
            Fail fail(lease: Lease, failure: &Failure, now: Timestamp) -> [Result<Option<Claim>, StoreError>];
            Release release(leases: &[Lease], now: Timestamp) -> [Result<(), StoreError>];
            GiveBack give_back(leases: &[Lease], now: Timestamp) -> [Result<(), StoreError>];
            NextDue next_due(now: Timestamp) -> [Result<NextDue, StoreError>];
            Ping ping() -> [Result<(), StoreError>];
        }
    };
}

/// Passes the methods of [`EventAdmin`] to a macro, in the same form, after the tokens that precede them.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_admin_methods {
    ($callback:ident $(with $before:tt)?, $work:ident<$($tx:tt)*) => {
        $callback! {
            $($before)?
            Events events(query: &EventQuery) -> [Result<Page<StoredEvent>, StoreError>];
            Event event(event: RowId) -> [Result<Option<StoredEvent>, StoreError>];
            QueueOf queue_of(event: RowId) -> [Result<Option<QueueState>, StoreError>];
            Conflicts conflicts(page: PageRequest) -> [Result<Page<Conflict>, StoreError>];
            ConflictsOf conflicts_of(event: RowId, page: PageRequest) -> [Result<Page<Conflict>, StoreError>];
            Quarantined quarantined(page: PageRequest) -> [Result<Page<Quarantined>, StoreError>];
            Attempts attempts(of: &AttemptQuery) -> [Result<Page<Attempt>, StoreError>];
            DeadLetters dead_letters() -> [Result<Vec<DeadLetterGroup>, StoreError>];
            Replay replay(event: RowId, audit: &AuditNote, now: Timestamp) -> [Result<(), StoreError>];
            ReplayMatching replay_matching(query: &EventQuery, audit: &AuditNote, now: Timestamp)
                -> [Result<Page<RowId>, StoreError>];
            ReplayQuarantined replay_quarantined(page: PageRequest, audit: &AuditNote, now: Timestamp)
                -> [Result<QuarantineReplay, StoreError>];
            Discard discard(event: RowId, audit: &AuditNote, now: Timestamp) -> [Result<(), StoreError>];
            DiscardMatching discard_matching(query: &EventQuery, audit: &AuditNote, now: Timestamp)
                -> [Result<Page<RowId>, StoreError>];
            Rehearse rehearse(work: $work<$($tx)*) -> [Result<HandlerResult, StoreError>];
            Reveal reveal(event: RowId, audit: &AuditNote, now: Timestamp) -> [Result<(), StoreError>];
            RecordRehearsal record_rehearsal(event: RowId, audit: &AuditNote, now: Timestamp)
                -> [Result<(), StoreError>];
            Audit audit(page: PageRequest) -> [Result<Page<AuditEntry>, StoreError>];
            AuditOf audit_of(event: RowId, page: PageRequest) -> [Result<Page<AuditEntry>, StoreError>];
            Purge purge(retention: &Retention, now: Timestamp, limit: u32) -> [Result<Purged, StoreError>];
            EraseSession erase_session(session: &SessionId, audit: &AuditNote, now: Timestamp)
                -> [Result<u64, StoreError>];
            Stats stats() -> [Result<StoreStats, StoreError>];
            RecordActivity record_activity(now: Timestamp) -> [Result<(), StoreError>];
            Activity activity(since: Timestamp, until: Timestamp) -> [Result<Vec<Activity>, StoreError>];
        }
    };
}

// Their names are in `tools` alone.
pub use __event_admin_methods as event_admin_methods;
pub use __event_store_methods as event_store_methods;

macro_rules! forward_working {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        /// Forwards every method, so a store can be shared.
        #[async_trait]
        impl<S: EventStore + ?Sized> EventStore for Arc<S> {
            type Tx = S::Tx;

            fn hand_over(&self, to: HandOver) {
                (**self).hand_over(to);
            }

            fn wakeups(&self) -> watch::Receiver<u64> {
                (**self).wakeups()
            }

            $(async fn $method(&self, $($arg: $type),*) -> $result {
                (**self).$method($($arg),*).await
            })*
        }
    };
}

macro_rules! forward_admin {
    ($($op:ident $method:ident($($arg:ident: $type:ty),*) -> [$result:ty];)*) => {
        /// Forwards every method, so a store can be shared.
        #[async_trait]
        impl<S: EventAdmin + ?Sized> EventAdmin for Arc<S> {
            $(async fn $method(&self, $($arg: $type),*) -> $result {
                (**self).$method($($arg),*).await
            })*
        }
    };
}

event_store_methods!(forward_working, TxWork<Self::Tx>);
event_admin_methods!(forward_admin, TxWork<Self::Tx>);
