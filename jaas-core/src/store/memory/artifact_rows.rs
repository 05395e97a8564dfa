//! The rows of artifacts in memory.

use std::collections::BTreeMap;

use crate::archive::store::{ArtifactLease, ArtifactRecord, ArtifactState, LostWhy, Settling};
use crate::store::{RowId, StoreError};
use crate::timestamp::Timestamp;

/// The rows.
#[derive(Debug, Default)]
pub(super) struct Artifacts(pub(super) BTreeMap<RowId, ArtifactRow>);

#[derive(Debug)]
pub(super) struct ArtifactRow {
    pub(super) record: ArtifactRecord,
    pub(super) fence: i64,
    /// From when on it is at risk, until that is reported.
    pub(super) risk_at: Option<Timestamp>,
}

impl ArtifactRow {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.record.state, ArtifactState::Waiting | ArtifactState::Running)
    }

    pub(super) fn settle(&mut self, state: ArtifactState, why: Option<LostWhy>, now: Timestamp) {
        self.record.state = state;
        self.record.why = why;
        self.record.settled_at = Some(now);
        self.risk_at = None;
    }

    /// When its risk is to be reported, if it is.
    pub(super) fn risk(&self) -> Option<Timestamp> {
        self.risk_at.filter(|_| self.is_open() && self.record.kept.is_none())
    }
}

impl Artifacts {
    /// Whether artifacts of this event wait or are being fetched.
    pub(super) fn wait_for(&self, event: RowId) -> bool {
        self.0.values().any(|row| row.record.event == event && row.is_open())
    }

    pub(super) fn end(&mut self, event: RowId, now: Timestamp) {
        for row in self.0.values_mut().filter(|row| row.record.event == event && row.is_open()) {
            row.settle(ArtifactState::Ended, None, now);
            row.record.error = None;
        }
    }

    pub(super) fn held(
        &mut self,
        operation: &str,
        lease: ArtifactLease,
    ) -> Result<&mut ArtifactRow, StoreError> {
        let row = self.0.get_mut(&lease.artifact).filter(|row| row.fence == lease.fence);
        match row {
            Some(row) if row.record.state == ArtifactState::Running => Ok(row),
            Some(row) if row.record.state == ArtifactState::Ended => {
                Err(StoreError::artifact_erased(lease.artifact))
            }
            _ => Err(StoreError::stale_artifact(operation, lease.artifact)),
        }
    }

    /// The artifact, if this can be settled.
    pub(super) fn settled(&mut self, settling: &Settling) -> Result<&mut ArtifactRow, StoreError> {
        const OPERATION: &str = "settle the artifact";
        match settling {
            Settling::Stored(lease) | Settling::Lost { lease, .. } => self.held(OPERATION, *lease),
            Settling::AtRisk(artifact) => {
                let row = self.0.get_mut(artifact).filter(|row| row.risk().is_some());
                row.ok_or_else(|| StoreError::stale_artifact("report the risk", *artifact))
            }
        }
    }
}
