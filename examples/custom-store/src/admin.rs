//! Looking and repairing. Lists look at every row of their kind.

use async_trait::async_trait;
use jaas_core::store::tools::{ActivitySample, EventTables as _};
use jaas_core::store::*;
use jaas_core::{HandlerResult, SessionId, Timestamp};
use redb::{ReadableTable as _, ReadableTableMetadata as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::change::Change;
use crate::rows::*;
use crate::store::{RedbStore, Result, Transaction};

impl RedbStore {
    async fn list<T: Serialize + DeserializeOwned + Send + 'static>(
        &self,
        rows: Rows<T>,
        page: PageRequest,
        matches: impl Fn(&T) -> bool + Send + 'static,
        id: fn(&T) -> RowId,
    ) -> Result<Page<T>> {
        self.read(move |tables| Ok(Page::cut(rows.all(tables)?.into_iter().filter(matches), page, id))).await
    }
}

#[async_trait]
impl EventAdmin for RedbStore {
    async fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>> {
        let query = query.clone();
        let page = query.page;
        let rows = self.list(EVENTS, page, move |row| query.matches(&row.event), |row| row.event.id);
        Ok(rows.await?.map(|row| row.event))
    }

    async fn event(&self, event: RowId) -> Result<Option<StoredEvent>> {
        self.read(move |tables| Ok(EVENTS.find(tables, event)?.map(|row| row.event))).await
    }

    async fn queue_of(&self, event: RowId) -> Result<Option<QueueState>> {
        self.look(move |change| change.queue_of(event)).await
    }

    async fn conflicts(&self, page: PageRequest) -> Result<Page<Conflict>> {
        self.list(CONFLICTS, page, |_| true, |conflict| conflict.id).await
    }

    async fn quarantined(&self, page: PageRequest) -> Result<Page<Quarantined>> {
        self.list(QUARANTINE, page, |_| true, |quarantined| quarantined.id).await
    }

    async fn attempts(&self, query: &AttemptQuery) -> Result<Page<Attempt>> {
        let query = query.clone();
        self.list(ATTEMPTS, query.page, move |attempt| query.matches(attempt), |attempt| attempt.id).await
    }

    async fn replay(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.replay(event, &note, now)).await.map(|()| self.wake())
    }

    async fn replay_quarantined(
        &self,
        page: PageRequest,
        note: &AuditNote,
        now: Timestamp,
    ) -> Result<QuarantineReplay> {
        let note = note.clone();
        let replayed = self.write(move |change| {
            let page = Page::cut(QUARANTINE.all(&change.tables)?, page, |quarantined| quarantined.id);
            change.replay_quarantined(page, &note, now)
        });
        replayed.await.inspect(|_| self.wake())
    }

    async fn discard(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.discard(event, &note, now)).await.map(|()| self.wake())
    }

    async fn rehearse(&self, work: TxWork<Transaction>) -> Result<HandlerResult> {
        let mut transaction = Transaction::default();
        let handled = work(&mut transaction).await;
        self.look(move |change| transaction.apply(&change.tables)).await.map(|()| handled)
    }

    async fn reveal(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.record(event, AuditAction::Revealed, &note, now)).await
    }

    async fn record_rehearsal(&self, event: RowId, note: &AuditNote, now: Timestamp) -> Result<()> {
        let note = note.clone();
        self.write(move |change| change.record(event, AuditAction::Rehearsed, &note, now)).await
    }

    async fn audit(&self, page: PageRequest) -> Result<Page<AuditEntry>> {
        self.list(AUDIT, page, |_| true, |entry| entry.id).await
    }

    async fn purge(&self, retention: &Retention, now: Timestamp, limit: u32) -> Result<Purged> {
        let retention = retention.clone();
        self.write(move |change| {
            let (events, conflicts) = (EVENTS.all(&change.tables)?, CONFLICTS.all(&change.tables)?);
            let (bodies, attempts) = (QUARANTINE.all(&change.tables)?, ATTEMPTS.all(&change.tables)?);
            let events = events.iter().map(|row| &row.event);
            let expired = retention.expired(events, &conflicts, &bodies, &attempts, now, limit as usize);
            change.delete(&expired.rows)?;
            Ok(expired.purged)
        })
        .await
    }

    async fn erase_session(&self, session: &SessionId, note: &AuditNote, now: Timestamp) -> Result<u64> {
        let (session, note) = (session.clone(), note.clone());
        self.write(move |change| {
            let mut rows = EVENTS.all(&change.tables)?;
            rows.retain(|row| row.event.session_id.as_ref() == Some(&session));
            change.erase(rows, &note, now)
        })
        .await
    }

    async fn stats(&self) -> Result<StoreStats> {
        self.read(|tables| {
            let mut stats = StoreStats::default();
            stats.conflicts = tables.open_table(CONFLICTS.0)?.len()?;
            stats.quarantined = tables.open_table(QUARANTINE.0)?.len()?;
            for state in EventState::ALL {
                let events = tables.open_table(Numbers::new(&of_state(state)))?;
                let oldest = events.first()?.map(|(_, at)| Timestamp::from_millis(at.value()));
                stats.set(state, StateStats::new(events.len()?, oldest));
            }
            Ok(stats)
        })
        .await
    }

    async fn record_activity(&self, now: Timestamp) -> Result<()> {
        self.write(move |Change { tables, .. }| {
            let minute = ActivitySample::minute(now);
            let oldest = ActivitySample::minute(now.saturating_sub(Activity::KEPT));
            tables.open_table(SAMPLES.0)?.retain(|minute, _| minute >= oldest)?;
            if SAMPLES.find(tables, RowId::new(minute))?.is_some() {
                return Ok(());
            }
            let mut sample = EVER.find(tables, RowId::new(0))?.unwrap_or_default();
            sample.at = now.as_millis();
            for state in [EventState::Waiting, EventState::Running] {
                sample.waiting += tables.open_table(Numbers::new(&of_state(state)))?.len()? as i64;
            }
            SAMPLES.put(tables, RowId::new(minute), &sample)
        })
        .await
    }

    async fn activity(&self, since: Timestamp, until: Timestamp) -> Result<Vec<Activity>> {
        self.read(move |tables| Ok(ActivitySample::within(SAMPLES.all(tables)?, since, until))).await
    }
}
