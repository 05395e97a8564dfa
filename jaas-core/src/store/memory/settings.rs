//! Records of settings in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::rows::{check_room, purge_rows};
use crate::settings::{SettingsLog, SettingsQuery, SettingsRecord};
use crate::store::{Keep, Page, RowId, StoreError};
use crate::timestamp::Timestamp;

#[async_trait]
impl SettingsLog for MemoryStore {
    async fn record_settings(&self, records: &[SettingsRecord]) -> Result<(), StoreError> {
        let mut rows = self.rows();
        check_room(rows.settings.len().saturating_add(records.len()).saturating_sub(1), self.capacity)?;
        for record in records {
            rows.last_id += 1;
            let id = RowId::new(rows.last_id);
            rows.settings.push(SettingsRecord { id, ..record.clone() });
        }
        Ok(())
    }

    async fn settings_records(&self, query: &SettingsQuery) -> Result<Page<SettingsRecord>, StoreError> {
        let records: Vec<_> =
            self.rows().settings.iter().filter(|record| matches(query, record)).cloned().collect();
        Ok(Page::cut(records, query.page, |record| record.id))
    }

    async fn purge_settings_records(
        &self,
        keep: Keep,
        now: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let age = |record: &SettingsRecord| (record.received_at, record.id);
        Ok(purge_rows(&mut self.rows().settings, keep, now, limit as usize, age).0)
    }
}

fn matches(query: &SettingsQuery, record: &SettingsRecord) -> bool {
    let same_room = |fqn: &crate::id::Fqn| match fqn.app_id() {
        Some(_) => fqn.same_room(&record.fqn),
        None => fqn.room_key() == record.fqn.room_key(),
    };
    query.fqn.as_ref().is_none_or(same_room)
        && query.endpoint.as_ref().is_none_or(|endpoint| **endpoint == *record.endpoint)
        && query.from.is_none_or(|from| record.received_at >= from)
        && query.until.is_none_or(|until| record.received_at < until)
        && query.source.is_none_or(|source| record.source == source)
        && query.failure.is_none_or(|failure| record.failure == Some(failure))
}
