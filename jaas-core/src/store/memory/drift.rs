//! What was found that is not known, in memory.

use async_trait::async_trait;

use super::MemoryStore;
use super::rows::check_room;
use crate::drift::{Drift, DriftRecord, DriftSighting, DriftStore};
use crate::store::tables::ReadTables as _;
use crate::store::{Page, PageRequest, RowId, StoreError};
use crate::timestamp::Timestamp;

#[async_trait]
impl DriftStore for MemoryStore {
    async fn record_drift(&self, sightings: &[DriftSighting]) -> Result<Vec<Drift>, StoreError> {
        let mut rows = self.rows();
        let mut new = Vec::new();
        for sighting in sightings {
            if let Some(record) = rows.drift.iter_mut().find(|record| is_of(record, &sighting.drift)) {
                record.count += sighting.count;
                record.last_seen = record.last_seen.max(sighting.last_seen);
                continue;
            }
            check_room(rows.drift.len(), self.capacity)?;
            rows.last_id += 1;
            let id = RowId::new(rows.last_id);
            let example = rows.row_of((&sighting.endpoint, sighting.idempotency_key.as_str(), &[]))?;
            rows.drift.push(DriftRecord::new(id, sighting.clone(), example));
            new.push(sighting.drift.clone());
        }
        Ok(new)
    }

    async fn drift_records(&self, page: PageRequest) -> Result<Page<DriftRecord>, StoreError> {
        Ok(Page::cut(&self.rows().drift, page, |record| record.id).map(DriftRecord::clone))
    }

    async fn forget_drift(&self, last_seen_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut left = limit;
        let mut rows = self.rows();
        rows.drift.retain(|record| {
            let forgotten = left > 0 && record.last_seen < last_seen_before;
            left -= u32::from(forgotten);
            !forgotten
        });
        Ok(u64::from(limit - left))
    }
}

fn is_of(record: &DriftRecord, drift: &Drift) -> bool {
    (record.kind, &record.event_type, &record.field, &record.detail)
        == (drift.kind, &drift.event_type, &drift.field, &drift.detail)
}
