//! What the pages need of a store with any transactions, each call with a timeout.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Activity, AuditEntry, AuditNote, Conflict, DeadLetterGroup, EventAdmin, EventLife, EventQuery, Page,
    PageRequest, QuarantineReplay, Quarantined, RowId, StoreError, StoreErrorKind, StoreStats, StoredEvent,
};
use jaas_core::{Handlers, Rehearsed, SessionId, Timestamp};

/// A store with the handlers that can be rehearsed on it.
pub(crate) struct Limited<S: EventAdmin> {
    pub(crate) store: Arc<S>,
    pub(crate) handlers: Option<Arc<Handlers<S::Tx>>>,
    pub(crate) timeout: Duration,
}

macro_rules! shelf {
    ($(fn $method:ident($($argument:ident: $Type:ty),*) -> $Returned:ty;)*) => {
        /// [`EventAdmin`] without its transactions.
        #[async_trait]
        pub(crate) trait Shelf: Send + Sync {
            $(async fn $method(&self, $($argument: $Type),*) -> Result<$Returned, StoreError>;)*

            /// Everything about one event.
            async fn life(&self, event: RowId, now: Timestamp) -> Result<Option<EventLife>, StoreError>;

            /// Rehearses the handlers; `None` without any.
            async fn rehearse(&self, event: RowId) -> Option<Result<Vec<(Arc<str>, Rehearsed)>, StoreError>>;

            /// Whether there are handlers to rehearse.
            fn can_rehearse(&self) -> bool;
        }

        #[async_trait]
        impl<S: EventAdmin> Shelf for Limited<S> {
            $(async fn $method(&self, $($argument: $Type),*) -> Result<$Returned, StoreError> {
                within(self.timeout, self.store.$method($($argument),*)).await
            })*

            async fn life(&self, event: RowId, now: Timestamp) -> Result<Option<EventLife>, StoreError> {
                within(self.timeout, EventLife::of(&*self.store, event, now)).await
            }

            async fn rehearse(&self, event: RowId) -> Option<Result<Vec<(Arc<str>, Rehearsed)>, StoreError>> {
                let handlers = self.handlers.as_ref()?;
                // Each handler has the timeout; a store bounds its own waits.
                Some(handlers.rehearse(&*self.store, event, self.timeout).await)
            }

            fn can_rehearse(&self) -> bool {
                self.handlers.is_some()
            }
        }
    };
}

shelf! {
    fn events(query: &EventQuery) -> Page<StoredEvent>;
    fn conflicts(page: PageRequest) -> Page<Conflict>;
    fn quarantined(page: PageRequest) -> Page<Quarantined>;
    fn dead_letters() -> Vec<DeadLetterGroup>;
    fn replay(event: RowId, audit: &AuditNote, now: Timestamp) -> ();
    fn replay_matching(query: &EventQuery, audit: &AuditNote, now: Timestamp) -> Page<RowId>;
    fn replay_quarantined(page: PageRequest, audit: &AuditNote, now: Timestamp) -> QuarantineReplay;
    fn discard(event: RowId, audit: &AuditNote, now: Timestamp) -> ();
    fn discard_matching(query: &EventQuery, audit: &AuditNote, now: Timestamp) -> Page<RowId>;
    fn reveal(event: RowId, audit: &AuditNote, now: Timestamp) -> ();
    fn record_rehearsal(event: RowId, audit: &AuditNote, now: Timestamp) -> ();
    fn audit(page: PageRequest) -> Page<AuditEntry>;
    fn erase_session(session: &SessionId, audit: &AuditNote, now: Timestamp) -> u64;
    fn stats() -> StoreStats;
    fn activity(since: Timestamp, until: Timestamp) -> Vec<Activity>;
}

/// Waits for a store, but not longer than this.
pub(crate) async fn within<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(timeout, call).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::new(
            StoreErrorKind::Unavailable,
            format!(
                "the store did not respond within {timeout:?}; try again, and look at its load if this repeats"
            ),
        )),
    }
}
