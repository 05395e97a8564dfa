//! Artifacts in memory.

use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use super::artifact_rows::ArtifactRow;
use super::rows::Rows;
use crate::archive::store::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactLease, ArtifactQuery, ArtifactRecord, ArtifactState,
    ArtifactStats, ArtifactStore, Kept, NewArtifact, Postponed, Settling,
};
use crate::delivery::Delivery;
use crate::handler::HandlerResult;
use crate::meetings::{TimePage, TimePageRequest};
use crate::store::tables::ReadTables as _;
use crate::store::{Page, RowId, StoreError, StoreErrorKind, TxWork};
use crate::timestamp::Timestamp;

impl Rows {
    fn artifact_claim(&self, row: &ArtifactRow) -> Option<ArtifactClaim> {
        let (record, event) = (&row.record, &self.tables.events.get(&row.record.event)?.event);
        let new = NewArtifact {
            slot: record.slot.clone(),
            kind: record.kind,
            deadline: record.deadline,
            risk_at: record.deadline,
        };
        let lease = ArtifactLease { artifact: record.id, fence: row.fence };
        let mut claim = ArtifactClaim::new(
            lease,
            event.id,
            new,
            event.endpoint.clone(),
            event.received_at,
            event.body.clone(),
        );
        claim.failures = record.failures;
        claim.why = record.why;
        claim.error = record.error.clone();
        claim.kept = record.kept.clone();
        claim.trace = event.trace.clone();
        Some(claim)
    }

    fn claim_artifacts(&mut self, request: &ArtifactClaimRequest) -> Vec<ArtifactClaim> {
        let due = self.artifacts.0.values().filter(|row| row.is_open() && row.record.due_at <= request.now);
        let mut due: Vec<_> = due.map(|row| (row.record.deadline, row.record.id)).collect();
        due.sort_unstable();
        let (expired, live): (Vec<_>, Vec<_>) =
            due.iter().partition(|(deadline, _)| *deadline <= request.now);
        let chosen = live.into_iter().take(request.limit).chain(expired.into_iter().take(request.expired));
        let mut claims = Vec::new();
        for (_, id) in chosen {
            let Some(row) = self.artifacts.0.get_mut(&id) else { continue };
            row.fence += 1;
            row.record.state = ArtifactState::Running;
            row.record.due_at = request.now.saturating_add(request.lease);
            row.record.worker = Some(request.worker.to_string());
            claims.extend(self.artifacts.0.get(&id).and_then(|row| self.artifact_claim(row)));
        }
        claims
    }
}

/// There are no transactions here: what is added stays even if the handler fails, and adding it again changes
/// nothing. The work of [`settle_artifact`](ArtifactStore::settle_artifact) is run before its outcome is recorded.
#[async_trait]
impl ArtifactStore for MemoryStore {
    async fn add_artifacts(
        &self,
        _: &mut (),
        event: &Delivery,
        artifacts: &[NewArtifact],
    ) -> Result<usize, StoreError> {
        let mut rows = self.rows();
        let id = rows.row_of((&event.endpoint, event.envelope.idempotency_key.as_str(), &[]))?;
        let id =
            id.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, "the event is not in the store"))?;
        let mut added = 0;
        for new in artifacts {
            if rows.artifacts.0.values().any(|row| row.record.event == id && row.record.slot == new.slot) {
                continue;
            }
            let artifact = rows.new_id();
            let mut record = ArtifactRecord::new(artifact, id, new.clone(), event.received_at);
            record.session_id = event.envelope.session_id.clone();
            rows.artifacts.0.insert(artifact, ArtifactRow { record, fence: 0, risk_at: Some(new.risk_at) });
            added += 1;
        }
        Ok(added)
    }

    async fn claim_artifacts(
        &self,
        request: &ArtifactClaimRequest,
    ) -> Result<Vec<ArtifactClaim>, StoreError> {
        Ok(self.rows().claim_artifacts(request))
    }

    async fn renew_artifacts(
        &self,
        leases: &[ArtifactLease],
        now: Timestamp,
        lease: Duration,
    ) -> Result<Vec<ArtifactLease>, StoreError> {
        let mut rows = self.rows();
        let mut lost = Vec::new();
        for held in leases {
            match rows.artifacts.held("renew", *held) {
                Ok(row) => row.record.due_at = now.saturating_add(lease),
                Err(_) => lost.push(*held),
            }
        }
        Ok(lost)
    }

    async fn keep_artifact(&self, lease: ArtifactLease, kept: &Kept) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let row = rows.artifacts.held("record that the file is kept", lease)?;
        row.record.kept = Some(kept.clone());
        row.record.error = None;
        Ok(())
    }

    async fn settle_artifact(
        &self,
        settling: &Settling,
        now: Timestamp,
        work: TxWork<()>,
    ) -> Result<HandlerResult, StoreError> {
        // Taken before the work, so that of two that run at the same time one does.
        let risk = {
            let mut rows = self.rows();
            let row = rows.artifacts.settled(settling)?;
            if matches!(settling, Settling::AtRisk(_)) { row.risk_at.take() } else { None }
        };
        let mut given_back = GiveBack { store: self, artifact: settling.artifact(), risk };
        let handled = match work(&mut ()).await {
            Ok(handled) => handled,
            Err(error) => return Ok(Err(error)),
        };
        given_back.risk = None;
        let mut rows = self.rows();
        match settling {
            Settling::Stored(_) => rows.artifacts.settled(settling)?.settle(ArtifactState::Stored, None, now),
            Settling::Lost { why, error, .. } => {
                let row = rows.artifacts.settled(settling)?;
                row.settle(ArtifactState::Lost, Some(*why), now);
                row.record.error = error.clone().or(row.record.error.take());
            }
            Settling::AtRisk(_) => {}
        }
        Ok(Ok(handled))
    }

    async fn postpone_artifact(&self, lease: ArtifactLease, postponed: &Postponed) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let row = rows.artifacts.held("postpone", lease)?;
        row.record.state = ArtifactState::Waiting;
        row.record.failures += 1;
        row.record.due_at = postponed.until;
        row.record.error = Some(postponed.error.clone());
        row.record.why = Some(postponed.why);
        row.risk_at = row.risk_at.map(|planned| postponed.at_risk.map_or(planned, |at| at.min(planned)));
        Ok(())
    }

    async fn release_artifacts(&self, leases: &[ArtifactLease], now: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        for lease in leases {
            if let Ok(row) = rows.artifacts.held("release", *lease) {
                row.record.state = ArtifactState::Waiting;
                row.record.due_at = now;
            }
        }
        Ok(())
    }

    async fn artifacts_at_risk(&self, now: Timestamp, limit: u32) -> Result<Vec<ArtifactClaim>, StoreError> {
        let rows = self.rows();
        let at_risk = |row: &&ArtifactRow| row.risk().is_some_and(|at| at <= now);
        let mut found: Vec<_> = rows.artifacts.0.values().filter(at_risk).collect();
        found.sort_unstable_by_key(|row| (row.record.deadline, row.record.id));
        Ok(found.into_iter().take(limit as usize).filter_map(|row| rows.artifact_claim(row)).collect())
    }

    async fn next_artifact(&self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let rows = self.rows();
        let open = rows.artifacts.0.values().filter(|row| row.is_open());
        let next = open.flat_map(|row| [Some(row.record.due_at), row.risk()]).flatten().min();
        Ok(next.map(|at| at.duration_since(now)))
    }

    async fn artifacts(&self, query: &ArtifactQuery) -> Result<Page<ArtifactRecord>, StoreError> {
        let rows = self.rows();
        let records = rows.artifacts.0.values().map(|row| &row.record).filter(|record| {
            query.state.is_none_or(|state| record.state == state)
                && query.event.is_none_or(|event| record.event == event)
                && (query.session_id.is_none() || record.session_id == query.session_id)
        });
        let records: Vec<_> = records.cloned().collect();
        Ok(Page::cut(records, query.page, |record| record.id))
    }

    async fn open_artifacts(&self, page: &TimePageRequest) -> Result<TimePage<ArtifactRecord>, StoreError> {
        let after = page
            .after
            .as_ref()
            .map(|after| (after.at(), RowId::new(after.key().parse().unwrap_or(i64::MIN))));
        let rows = self.rows();
        let place = |record: &ArtifactRecord| (record.deadline, record.id);
        let open = rows.artifacts.0.values().filter(|row| row.is_open()).map(|row| &row.record);
        let mut open: Vec<_> =
            open.filter(|record| after.is_none_or(|after| place(record) > after)).collect();
        open.sort_unstable_by_key(|record| place(record));
        let limit = page.clamped_limit();
        let items = open.into_iter().take(limit + 1).cloned().collect();
        Ok(TimePage::from_items(items, limit, ArtifactRecord::deadline_cursor))
    }

    async fn artifact_stats(&self) -> Result<ArtifactStats, StoreError> {
        let rows = self.rows();
        let open = || rows.artifacts.0.values().filter(|row| row.is_open());
        Ok(ArtifactStats::new(open().count() as u64, open().map(|row| row.record.deadline).min()))
    }
}

/// Puts an artifact at risk again when that was not reported.
struct GiveBack<'a> {
    store: &'a MemoryStore,
    artifact: RowId,
    risk: Option<Timestamp>,
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        if let Some(risk) = self.risk
            && let Some(row) = self.store.rows().artifacts.0.get_mut(&self.artifact)
        {
            row.risk_at = Some(risk);
        }
    }
}
