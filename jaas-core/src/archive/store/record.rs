//! What stores and archivers say to each other.

use std::sync::Arc;
use std::time::Duration;

use crate::archive::artifact::ArtifactKind;
use crate::delivery::Body;
use crate::id::SessionId;
use crate::meetings::TimeCursor;
use crate::named::named_enum;
use crate::store::{PageRequest, RowId};
use crate::telemetry::TraceContext;
use crate::timestamp::Timestamp;

/// An artifact to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewArtifact {
    /// The field of the event that has the link, by its name on the wire; 255 bytes at most.
    pub slot: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// When its link dies.
    pub deadline: Timestamp,
    /// From when on it is at risk.
    pub risk_at: Timestamp,
}

named_enum! {
    /// Where an artifact is in its life.
    #[non_exhaustive]
    pub enum ArtifactState {
        /// Waits to be fetched, now or after a back-off.
        Waiting = "waiting",
        /// Is being fetched.
        Running = "running",
        /// Is in the sink, and the application's handler has recorded it.
        Stored = "stored",
        /// Was not fetched in time, and the application's handler has recorded it.
        Lost = "lost",
        /// Was not to be fetched any more, because its session was erased.
        Ended = "ended",
    }
}

named_enum! {
    /// Why an artifact was lost.
    #[non_exhaustive]
    pub enum LostWhy {
        /// Its link died before it was fetched.
        Expired = "expired",
        /// The server says that the file is not there any more (404 or 410).
        Gone = "gone",
        /// Its link is one that is never fetched, or that this configuration did not allow until it died.
        Refused = "refused",
    }
}

/// A file in the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name there.
    pub object: String,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

/// The right to settle an artifact: which, and which claim of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArtifactLease {
    /// The artifact's row.
    pub artifact: RowId,
    /// Which claim of it, growing with each.
    pub fence: i64,
}

/// What an archiver asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArtifactClaimRequest {
    /// The time now.
    pub now: Timestamp,
    /// How many whose deadline is to come, at most.
    pub limit: usize,
    /// How many whose deadline has passed, at most.
    pub expired: usize,
    /// How long the claims hold unless renewed.
    pub lease: Duration,
    /// Who claims; recorded for people who look.
    pub worker: Arc<str>,
}

impl ArtifactClaimRequest {
    /// A request with a lease of 30 s, and for as many expired ones.
    pub fn new(worker: impl Into<Arc<str>>, now: Timestamp, limit: usize) -> Self {
        Self { now, limit, expired: limit, lease: Duration::from_secs(30), worker: worker.into() }
    }
}

/// A claimed artifact, with its event.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ArtifactClaim {
    /// The right to settle it.
    pub lease: ArtifactLease,
    /// The row of its event.
    pub event: RowId,
    /// The field of the event that has the link.
    pub slot: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// When its link dies.
    pub deadline: Timestamp,
    /// How often fetching it has failed.
    pub failures: u32,
    /// What the last failure would make of it at the deadline.
    pub why: Option<LostWhy>,
    /// What went wrong last.
    pub error: Option<String>,
    /// The file, when it is in the sink already and only the application's handler is still to be called.
    pub kept: Option<Kept>,
    /// The endpoint its event came to.
    pub endpoint: Arc<str>,
    /// When its event was received.
    pub received_at: Timestamp,
    /// The body of its event as it came.
    pub body: Body,
    /// The trace its event came in.
    pub trace: Option<TraceContext>,
}

impl ArtifactClaim {
    /// A first claim, for a store to fill in what has happened since.
    pub fn new(
        lease: ArtifactLease,
        event: RowId,
        new: NewArtifact,
        endpoint: Arc<str>,
        received_at: Timestamp,
        body: impl Into<Body>,
    ) -> Self {
        Self {
            lease,
            event,
            slot: new.slot,
            kind: new.kind,
            deadline: new.deadline,
            failures: 0,
            why: None,
            error: None,
            kept: None,
            endpoint,
            received_at,
            body: body.into(),
            trace: None,
        }
    }
}

/// What became of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settling {
    /// It is [kept](super::ArtifactStore::keep_artifact); the handler's `stored` is called.
    Stored(ArtifactLease),
    /// It is lost; the handler's `lost` is called.
    Lost {
        /// The claim.
        lease: ArtifactLease,
        /// Why.
        why: LostWhy,
        /// What went wrong last, for people.
        error: Option<String>,
    },
    /// It may be lost soon; the handler's `at_risk` is called. That needs no claim, and settles nothing.
    AtRisk(RowId),
}

impl Settling {
    /// The artifact.
    pub fn artifact(&self) -> RowId {
        match self {
            Self::Stored(lease) | Self::Lost { lease, .. } => lease.artifact,
            Self::AtRisk(artifact) => *artifact,
        }
    }
}

/// A failure to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postponed {
    /// What went wrong, for people.
    pub error: String,
    /// When it is to be tried again.
    pub until: Timestamp,
    /// What this would make of it at the deadline.
    pub why: LostWhy,
    /// From now on it is at risk; `None` leaves it at what was planned.
    pub at_risk: Option<Timestamp>,
}

/// An artifact as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactRecord {
    /// Its row.
    pub id: RowId,
    /// The row of its event.
    pub event: RowId,
    /// The field of the event that has the link.
    pub slot: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// The session of its event.
    pub session_id: Option<SessionId>,
    /// When its link dies.
    pub deadline: Timestamp,
    /// Where it is in its life.
    pub state: ArtifactState,
    /// How often fetching it has failed.
    pub failures: u32,
    /// When it is looked at next; while it is being fetched, the end of the lease.
    pub due_at: Timestamp,
    /// The archiver that claimed it last.
    pub worker: Option<String>,
    /// The file in the sink.
    pub kept: Option<Kept>,
    /// Why it was lost, or would be.
    pub why: Option<LostWhy>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was settled.
    pub settled_at: Option<Timestamp>,
}

impl ArtifactRecord {
    /// A waiting artifact as it was written, for a store to fill in what has happened since.
    pub fn new(id: RowId, event: RowId, new: NewArtifact, due_at: Timestamp) -> Self {
        Self {
            id,
            event,
            slot: new.slot,
            kind: new.kind,
            session_id: None,
            deadline: new.deadline,
            state: ArtifactState::Waiting,
            failures: 0,
            due_at,
            worker: None,
            kept: None,
            why: None,
            error: None,
            settled_at: None,
        }
    }

    /// The place behind it in a list [by deadline](super::ArtifactStore::open_artifacts).
    pub fn deadline_cursor(&self) -> TimeCursor {
        TimeCursor::new(self.deadline, self.id.to_string())
    }
}

/// Which artifacts to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactQuery {
    /// In this state.
    pub state: Option<ArtifactState>,
    /// Of this session.
    pub session_id: Option<SessionId>,
    /// Of this event.
    pub event: Option<RowId>,
    /// Which page.
    pub page: PageRequest,
}

/// What is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ArtifactStats {
    /// How many wait or are being fetched.
    pub open: u64,
    /// The earliest deadline of those.
    pub oldest_deadline: Option<Timestamp>,
}

impl ArtifactStats {
    /// So many, of which the first dies at this time.
    pub fn new(open: u64, oldest_deadline: Option<Timestamp>) -> Self {
        Self { open, oldest_deadline }
    }
}
