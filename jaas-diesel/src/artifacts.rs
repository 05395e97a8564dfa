//! Rows of `jaas_artifacts`, and the values that they become.

use diesel::prelude::*;
use jaas_core::archive::{
    ArtifactClaim, ArtifactKind, ArtifactLease, ArtifactRecord, ArtifactState, Kept, LostWhy, NewArtifact,
};
use jaas_core::store::{RowId, StoreError, StoreErrorKind};
use jaas_core::{SessionId, Timestamp};

use crate::rows::{indexed, text, unknown};
use crate::schema::{jaas_artifacts, jaas_events};

/// Where an artifact is: the numbers of the column `phase`.
pub(crate) mod phase {
    pub(crate) const READY: i16 = 0;
    pub(crate) const WAITS: i16 = 1;
    pub(crate) const RUNS: i16 = 2;
    pub(crate) const SETTLED: i16 = 3;
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = jaas_artifacts, treat_none_as_default_value = false)]
pub(crate) struct NewRow {
    event_id: i64,
    pub(crate) slot: String,
    kind: &'static str,
    session_id: Option<String>,
    deadline: i64,
    due_at: i64,
    risk_at: Option<i64>,
}

impl NewRow {
    pub(crate) fn new(event: i64, session: Option<&SessionId>, received_at: i64, new: &NewArtifact) -> Self {
        Self {
            event_id: event,
            slot: indexed(text(&new.slot)),
            kind: new.kind.as_str(),
            session_id: session.map(|session| text(session.as_str())),
            deadline: new.deadline.as_millis(),
            due_at: received_at,
            risk_at: Some(new.risk_at.as_millis()),
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_artifacts)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) event_id: i64,
    slot: String,
    kind: String,
    session_id: Option<String>,
    deadline: i64,
    phase: i16,
    outcome: Option<String>,
    due_at: i64,
    failures: i32,
    pub(crate) fence: i64,
    worker: Option<String>,
    object: Option<String>,
    bytes: Option<i64>,
    sha256: Option<Vec<u8>>,
    why: Option<String>,
    error: Option<String>,
    settled_at: Option<i64>,
}

/// What a claim needs of an event.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_events)]
pub(crate) struct EventOfArtifact {
    pub(crate) id: i64,
    endpoint: String,
    received_at: i64,
    body: Vec<u8>,
    trace_context: Option<String>,
}

impl Row {
    fn new_artifact(&self) -> Result<NewArtifact, StoreError> {
        let kind = ArtifactKind::from_name(&self.kind);
        let deadline = Timestamp::from_millis(self.deadline);
        Ok(NewArtifact {
            slot: self.slot.clone(),
            kind: kind.ok_or_else(|| unknown("the kind of artifact", self.id, &self.kind))?,
            deadline,
            risk_at: deadline,
        })
    }

    fn kept(&self) -> Result<Option<Kept>, StoreError> {
        let (Some(object), Some(bytes), Some(sha256)) = (&self.object, self.bytes, &self.sha256) else {
            return Ok(None);
        };
        let sha256 = sha256.as_slice().try_into().map_err(|_| {
            StoreError::new(
                StoreErrorKind::Corrupt,
                format!("the checksum of artifact {} does not have 32 bytes", self.id),
            )
        })?;
        Ok(Some(Kept { object: object.clone(), bytes: u64::try_from(bytes).unwrap_or(0), sha256 }))
    }

    fn why(&self) -> Result<Option<LostWhy>, StoreError> {
        let why = self.why.as_deref().map(|why| {
            LostWhy::from_name(why).ok_or_else(|| unknown("the reason of artifact", self.id, why))
        });
        why.transpose()
    }

    fn failures(&self) -> u32 {
        u32::try_from(self.failures).unwrap_or(0)
    }

    /// The claim, with its event.
    pub(crate) fn claim(self, event: &EventOfArtifact) -> Result<ArtifactClaim, StoreError> {
        let lease = ArtifactLease { artifact: RowId::new(self.id), fence: self.fence };
        let mut claim = ArtifactClaim::new(
            lease,
            RowId::new(self.event_id),
            self.new_artifact()?,
            event.endpoint.as_str().into(),
            Timestamp::from_millis(event.received_at),
            event.body.clone(),
        );
        claim.failures = self.failures();
        claim.why = self.why()?;
        claim.error = self.error.clone();
        claim.kept = self.kept()?;
        claim.trace = event.trace_context.as_deref().and_then(|trace| trace.parse().ok());
        Ok(claim)
    }
}

impl TryFrom<Row> for ArtifactRecord {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let due_at = Timestamp::from_millis(row.due_at);
        let mut record = Self::new(RowId::new(row.id), RowId::new(row.event_id), row.new_artifact()?, due_at);
        record.state = match row.outcome.as_deref() {
            None if row.phase == phase::RUNS => ArtifactState::Running,
            None => ArtifactState::Waiting,
            Some(outcome) => ArtifactState::from_name(outcome)
                .ok_or_else(|| unknown("the outcome of artifact", row.id, outcome))?,
        };
        record.failures = row.failures();
        record.kept = row.kept()?;
        record.why = row.why()?;
        record.session_id = row.session_id.map(SessionId::new);
        record.worker = row.worker;
        record.error = row.error;
        record.settled_at = row.settled_at.map(Timestamp::from_millis);
        Ok(record)
    }
}
