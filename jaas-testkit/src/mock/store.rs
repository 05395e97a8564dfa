//! A store of which each call is expected.

// What mockall makes of the methods.
#![allow(missing_docs, unreachable_pub, missing_debug_implementations)]

use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Conflict, DeadLetterGroup,
    EventQuery, EventStore, Failure, HandOver, Lease, NextDue, Page, PageRequest, Purged, Quarantined,
    Retention, RowId, SessionOrder, Step, StoreError, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::watch;

mockall::mock! {
    /// A store without transactions of which each call is expected: for every method of
    /// [`EventStore`](jaas_core::store::EventStore) there is an `expect_…`. For code of yours that asks a store: an
    /// admin page, a report, an alarm. To run handlers take a [`MemoryStore`](jaas_core::store::MemoryStore), and to
    /// see how something fares when its store fails, a [`FaultyStore`](crate::FaultyStore) around one.
    ///
    /// ```
    /// use jaas_core::store::{EventState, EventStore, StateStats, StoreError, StoreErrorKind, StoreStats};
    /// use jaas_testkit::MockEventStore;
    ///
    /// /// What an application might have: how many dead letters there are, for a page.
    /// async fn alarm(store: &impl EventStore) -> String {
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
    /// store.expect_stats().returning(|| Err(StoreError::new(StoreErrorKind::Unavailable, "no answer")));
    ///
    /// assert_eq!(alarm(&store).await, "3 dead letters");
    /// assert_eq!(alarm(&store).await, "unknown: no answer");
    /// # });
    /// ```
    ///
    /// A call without an expectation that fits panics.
    pub EventStore {}

    #[async_trait]
    impl EventStore for EventStore {
        type Tx = ();

        async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError>;
        async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError>;
        async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError>;
        fn hand_over(&self, to: HandOver);
        async fn renew(&self, leases: &[Lease], now: Timestamp, lease: Duration) -> Result<Vec<Lease>, StoreError>;
        async fn run(&self, lease: Lease, step: &Step, now: Timestamp, work: TxWork<()>) -> Result<HandlerResult, StoreError>;
        async fn complete(&self, lease: Lease, step: &Step, handled: &Handled, now: Timestamp) -> Result<(), StoreError>;
        async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError>;
        async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError>;
        async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError>;
        fn wakeups(&self) -> watch::Receiver<u64>;
        async fn ping(&self) -> Result<(), StoreError>;
        async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError>;
        async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError>;
        async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError>;
        async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError>;
        async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError>;
        async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;
        async fn replay_matching(&self, query: &EventQuery, audit: &AuditNote, now: Timestamp) -> Result<Page<RowId>, StoreError>;
        async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError>;
        async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError>;
        async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError>;
        async fn erase_session(&self, session: &SessionId, audit: &AuditNote, now: Timestamp) -> Result<u64, StoreError>;
        async fn stats(&self) -> Result<StoreStats, StoreError>;
    }
}
