//! Every operation, with what befalls it.

use std::time::Duration;

use async_trait::async_trait;
use jaas_core::store::{
    Accepted, Attempt, AttemptQuery, AuditEntry, AuditNote, Claim, ClaimRequest, Conflict, DeadLetterGroup,
    EventQuery, EventStore, Failure, HandOver, Lease, NextDue, Page, PageRequest, Purged, Quarantined,
    Retention, RowId, SessionOrder, Step, StoreError, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{Delivery, Handled, HandlerResult, SessionId, Timestamp, Unreadable};
use tokio::sync::watch;

use super::{FaultyStore, Op};

#[async_trait]
impl<S: EventStore> EventStore for FaultyStore<S> {
    type Tx = S::Tx;

    async fn accept(&self, delivery: Delivery) -> Result<Accepted, StoreError> {
        self.fate(Op::Accept).befall(Op::Accept, self.store.accept(delivery)).await
    }

    async fn quarantine(&self, unreadable: Unreadable) -> Result<(), StoreError> {
        self.fate(Op::Quarantine).befall(Op::Quarantine, self.store.quarantine(unreadable)).await
    }

    async fn claim(&self, request: &ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let fate = self.fate(Op::Claim);
        let mut request = request.clone();
        request.now = fate.now(request.now);
        request.limit = fate.part_of(request.limit);
        fate.befall(Op::Claim, self.store.claim(&request)).await
    }

    fn hand_over(&self, to: HandOver) {
        self.store.hand_over(to);
    }

    async fn renew(
        &self,
        leases: &[Lease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let fate = self.fate(Op::Renew);
        let call = self.store.renew(&leases[..fate.part_of(leases.len())], fate.now(now), lease);
        fate.befall(Op::Renew, call).await
    }

    async fn run(
        &self,
        lease: Lease,
        step: &Step,
        now: Timestamp,
        work: TxWork<S::Tx>,
    ) -> Result<HandlerResult, StoreError> {
        let fate = self.fate(Op::Run);
        let call = self.store.run(lease, step, fate.now(now), work);
        fate.befall(Op::Run, call).await
    }

    async fn complete(
        &self,
        lease: Lease,
        step: &Step,
        handled: &Handled,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let fate = self.fate(Op::Complete);
        let call = self.store.complete(lease, step, handled, fate.now(now));
        fate.befall(Op::Complete, call).await
    }

    async fn fail(&self, lease: Lease, failure: &Failure, now: Timestamp) -> Result<(), StoreError> {
        let fate = self.fate(Op::Fail);
        let call = self.store.fail(lease, failure, fate.now(now));
        fate.befall(Op::Fail, call).await
    }

    async fn release(&self, leases: &[Lease], now: Timestamp) -> Result<(), StoreError> {
        let fate = self.fate(Op::Release);
        let call = self.store.release(&leases[..fate.part_of(leases.len())], fate.now(now));
        fate.befall(Op::Release, call).await
    }

    async fn next_due(&self, now: Timestamp, order: SessionOrder) -> Result<NextDue, StoreError> {
        let fate = self.fate(Op::NextDue);
        let call = self.store.next_due(fate.now(now), order);
        fate.befall(Op::NextDue, call).await
    }

    fn wakeups(&self) -> watch::Receiver<u64> {
        self.store.wakeups()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.fate(Op::Ping).befall(Op::Ping, self.store.ping()).await
    }

    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        self.fate(Op::Events).befall(Op::Events, self.store.events(query)).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        self.fate(Op::Conflicts).befall(Op::Conflicts, self.store.conflicts(page)).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        self.fate(Op::Quarantined).befall(Op::Quarantined, self.store.quarantined(page)).await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        self.fate(Op::Attempts).befall(Op::Attempts, self.store.attempts(query)).await
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        self.fate(Op::DeadLetters).befall(Op::DeadLetters, self.store.dead_letters()).await
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let fate = self.fate(Op::Replay);
        let call = self.store.replay(event, audit, fate.now(now));
        fate.befall(Op::Replay, call).await
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        let fate = self.fate(Op::ReplayMatching);
        let mut query = query.clone();
        query.page.limit = fate.limit(query.page.limit);
        let call = self.store.replay_matching(&query, audit, fate.now(now));
        fate.befall(Op::ReplayMatching, call).await
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let fate = self.fate(Op::Discard);
        let call = self.store.discard(event, audit, fate.now(now));
        fate.befall(Op::Discard, call).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        self.fate(Op::Audit).befall(Op::Audit, self.store.audit(page)).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        let fate = self.fate(Op::Purge);
        let call = self.store.purge(retention, fate.now(now), fate.limit(limit));
        fate.befall(Op::Purge, call).await
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let fate = self.fate(Op::EraseSession);
        let call = self.store.erase_session(session, audit, fate.now(now));
        fate.befall(Op::EraseSession, call).await
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        self.fate(Op::Stats).befall(Op::Stats, self.store.stats()).await
    }
}
