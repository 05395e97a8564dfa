//! [`EventAdmin`]: inspecting and repairing.
//!
//! Compiled once per backend. `Store` is `SqliteStore`, `PostgresStore` or `MysqlStore`. `asked!` runs a query on a connection
//! of the backend, a `SqliteConnection`, `AsyncPgConnection` or `AsyncMysqlConnection`; `queries` is the backend's module.

use async_trait::async_trait;
use jaas_core::store::tools::ActivitySample;
use jaas_core::store::{
    Activity, Attempt, AttemptQuery, AuditAction, AuditEntry, AuditNote, Conflict, DeadLetterGroup,
    EventAdmin, EventQuery, Page, PageRequest, Purged, QuarantineReplay, Quarantined, QueueState, Retention,
    RowId, StoreError, StoreStats, StoredEvent, TxWork,
};
use jaas_core::{HandlerResult, SessionId, Timestamp};

use super::queries::{activity, lookup, of_event, purge, quarantine, repair, stats};
use super::{Store, asked};
use crate::ending::Ending;
use crate::rows::{bounded, changed, page_of};

#[async_trait]
impl EventAdmin for Store {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, StoreError> {
        let (rows, bound) =
            asked!(read, self, "list events", [query] connection => lookup::events(connection, &query))?;
        Ok(bounded(page_of(rows, query.page, |event: &StoredEvent| event.id)?, bound))
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>, StoreError> {
        let row = asked!(read, self, "find the event", [] connection => lookup::event(connection, event))?;
        row.map(StoredEvent::try_from).transpose()
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>, StoreError> {
        asked!(read, self, "find the queue", [] connection => of_event::queue_of(connection, event))
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let rows =
            asked!(read, self, "list conflicts", [] connection => lookup::conflicts(connection, page))?;
        page_of(rows, page, |conflict: &Conflict| conflict.id)
    }

    async fn conflicts_of(&self, event: RowId, page: PageRequest) -> Result<Page<Conflict>, StoreError> {
        let rows = asked!(
            read, self, "list the conflicts of the event",
            [] connection => of_event::conflicts_of(connection, event, page)
        )?;
        page_of(rows, page, |conflict: &Conflict| conflict.id)
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>, StoreError> {
        let rows = asked!(read, self, "list the quarantine", [] connection => lookup::quarantined(connection, page))?;
        page_of(rows, page, |quarantined: &Quarantined| quarantined.id)
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>, StoreError> {
        let rows =
            asked!(read, self, "list attempts", [query] connection => lookup::attempts(connection, &query))?;
        page_of(rows, query.page, |attempt: &Attempt| attempt.id)
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetterGroup>, StoreError> {
        asked!(read, self, "group dead letters", [] connection => lookup::dead_letters(connection))
    }

    async fn replay(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let now = self.shared.now(now);
        asked!(wake, self, "replay the event", [audit] connection => repair::replay(connection, event, &audit, now))?
    }

    async fn replay_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        if query.is_empty() {
            return Err(StoreError::empty_query());
        }
        let now = self.shared.now(now);
        let (rows, bound) = asked!(
            wake, self, "replay events",
            [query, audit] connection => repair::replay_matching(connection, &query, &audit, now)
        )?;
        Ok(bounded(changed(rows, query.page), bound))
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay, StoreError> {
        let now = self.shared.now(now);
        asked!(
            wake, self, "replay the quarantine",
            [audit] connection => quarantine::replay_quarantined(connection, page, &audit, now)
        )
    }

    async fn discard(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let now = self.shared.now(now);
        asked!(wake, self, "discard the event", [audit] connection => repair::discard(connection, event, &audit, now))?
    }

    async fn discard_matching(
        &self,
        query: &EventQuery,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<Page<RowId>, StoreError> {
        if query.is_empty() {
            return Err(StoreError::empty_query());
        }
        let now = self.shared.now(now);
        let (rows, bound) = asked!(
            wake, self, "discard events",
            [query, audit] connection => repair::discard_matching(connection, &query, &audit, now)
        )?;
        Ok(bounded(changed(rows, query.page), bound))
    }

    async fn rehearse(&self, work: TxWork<Self::Tx>) -> Result<HandlerResult, StoreError> {
        self.shared.in_transaction(Ending::RollBack, work).await.map(|(result, _)| result)
    }

    async fn reveal(&self, event: RowId, audit: &AuditNote, now: Timestamp) -> Result<(), StoreError> {
        let now = self.shared.now(now);
        asked!(
            write, self, "record that a body was revealed",
            [audit] connection => repair::looked_at(connection, event, AuditAction::Revealed, &audit, now)
        )?
    }

    async fn record_rehearsal(
        &self,
        event: RowId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let now = self.shared.now(now);
        asked!(
            write, self, "record that an event was rehearsed",
            [audit] connection => repair::looked_at(connection, event, AuditAction::Rehearsed, &audit, now)
        )?
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let rows = asked!(read, self, "list the audit", [] connection => lookup::audit(connection, page))?;
        page_of(rows, page, |entry: &AuditEntry| entry.id)
    }

    async fn audit_of(&self, event: RowId, page: PageRequest) -> Result<Page<AuditEntry>, StoreError> {
        let rows = asked!(
            read, self, "list the audit of the event",
            [] connection => of_event::audit_of(connection, event, page)
        )?;
        page_of(rows, page, |entry: &AuditEntry| entry.id)
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged, StoreError> {
        asked!(
            write, self, "purge old rows",
            [retention] connection => purge::purge(connection, &retention, now, limit)
        )
    }

    async fn erase_session(
        &self,
        session: &SessionId,
        audit: &AuditNote,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let now = self.shared.now(now);
        asked!(
            wake, self, "erase the session",
            [session, audit] connection => repair::erase_session(connection, &session, &audit, now)
        )?
    }

    async fn stats(&self) -> Result<StoreStats, StoreError> {
        asked!(read, self, "count events", [] connection => stats::stats(connection))
    }

    async fn record_activity(&self, now: Timestamp) -> Result<(), StoreError> {
        let now = self.shared.now(now);
        asked!(write, self, "record the activity", [] connection => activity::record(connection, now))
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>, StoreError> {
        let rows = asked!(
            read, self, "list the activity",
            [] connection => activity::rows(connection, since, until)
        )?;
        let samples: Vec<ActivitySample> = rows.into_iter().rev().map(ActivitySample::from).collect();
        Ok(ActivitySample::between(&samples))
    }
}
