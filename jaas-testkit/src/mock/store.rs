//! A store with an expectation for each call.

// What mockall generates from the methods.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]

use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Activity, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Completion,
    Conflict, DeadLetterGroup, EventAdmin, EventQuery, EventStore, Failure, Lease, NextClaim, NextDue, Page,
    PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention, RowId, Step, StoreError,
    StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::watch;

/// Generates the mock from the methods of the two traits, which it gets one after the other.
macro_rules! mock_store {
    ($($op:ident $method:ident($($args:tt)*) -> [$($result:tt)*];)*) => {
        jaas_core::store::tools::event_admin_methods!(mock_store with { $($method($($args)*) -> [$($result)*];)* }, TxWork<()>);
    };
    (
        { $($method:ident($($args:tt)*) -> [$($result:tt)*];)* }
        $($op:ident $admin:ident($($admin_args:tt)*) -> [$($admin_result:tt)*];)*
    ) => {
        mockall::mock! {
            /// A store without transactions and with an expectation for each call: for every method of
            /// [`EventStore`](jaas_core::store::EventStore) and of [`EventAdmin`](jaas_core::store::EventAdmin) there
            /// is an `expect_…`. For your code that calls a store: an admin page, a report, an alarm. To run handlers
            /// use a [`MemoryStore`](jaas_core::store::MemoryStore). To test code whose store fails, use a
            /// [`FaultyStore`](crate::FaultyStore) around one.
            ///
            /// ```
            /// use jaas_core::store::{EventAdmin, EventState, StateStats, StoreError, StoreErrorKind, StoreStats};
            /// use jaas_testkit::MockEventStore;
            ///
            /// /// What an application might have: how many dead letters there are, for a page.
            /// async fn alarm(store: &impl EventAdmin) -> String {
            ///     match store.stats().await {
            ///         Ok(stats) => format!("{} dead letters", stats.count(EventState::Dead)),
            ///         Err(error) => format!("unknown: {error}"),
            ///     }
            /// }
            ///
            /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            /// let mut store = MockEventStore::new();
            /// store.expect_stats().times(1).returning(|| {
            ///     let mut stats = StoreStats::default();
            ///     stats.set(EventState::Dead, StateStats::new(3, None));
            ///     Ok(stats)
            /// });
            /// store.expect_stats().returning(|| Err(StoreError::new(StoreErrorKind::Unavailable, "no response")));
            ///
            /// assert_eq!(alarm(&store).await, "3 dead letters");
            /// assert_eq!(alarm(&store).await, "unknown: no response");
            /// # });
            /// ```
            ///
            /// A call without a matching expectation panics.
            pub EventStore {}

            #[async_trait]
            impl EventStore for EventStore {
                type Tx = ();

                fn wakeups(&self) -> watch::Receiver<u64>;
                $(async fn $method(&self, $($args)*) -> $($result)*;)*
            }

            #[async_trait]
            impl EventAdmin for EventStore {
                $(async fn $admin(&self, $($admin_args)*) -> $($admin_result)*;)*
            }
        }
    };
}

jaas_core::store::tools::event_store_methods!(mock_store, TxWork<()>);
