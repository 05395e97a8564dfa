//! What stores and auditors say to each other, and what a list of gaps has.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::id::{Fqn, ParticipantId, SessionId};
use crate::named::named_enum;
use crate::store::{PageRequest, RowId};
use crate::timestamp::Timestamp;
use crate::watch::rule::{Rule, Severity};
use crate::watch::sighting::Sighting;

/// What an event or an endpoint shows, and when its session is to be audited because of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSightings {
    /// The session.
    pub session: SessionId,
    /// The meeting's name, as spelled in the event.
    pub fqn: Fqn,
    /// What was seen.
    pub sightings: Vec<Sighting>,
    /// When this is recorded.
    pub now: Timestamp,
    /// When the session is due at the latest.
    pub due_at: Timestamp,
}

/// The right to record gaps of a session: which, and which claim of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionLease {
    /// The session.
    pub session: SessionId,
    /// Which claim of it, growing with each.
    pub fence: i64,
}

/// What an auditor asks for.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionClaimRequest {
    /// The time now.
    pub now: Timestamp,
    /// How many sessions, at most.
    pub limit: usize,
    /// How long the claims hold.
    pub lease: Duration,
    /// Who claims; recorded for people who look.
    pub worker: Arc<str>,
}

impl SessionClaimRequest {
    /// A request with a lease of 60 s.
    pub fn new(worker: impl Into<Arc<str>>, now: Timestamp, limit: usize) -> Self {
        Self { now, limit, lease: Duration::from_secs(60), worker: worker.into() }
    }
}

/// A session that is to be audited.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionClaim {
    /// The right to record its gaps.
    pub lease: SessionLease,
    /// How often something was recorded of it, which shows whether something was recorded since.
    pub version: i64,
    /// The meeting's name.
    pub fqn: Fqn,
    /// When something was recorded of it last.
    pub last_seen_at: Timestamp,
    /// The time of the claim, by the store's clock.
    pub now: Timestamp,
}

impl SessionClaim {
    /// A claim, for a store to make.
    pub fn new(lease: SessionLease, version: i64, fqn: Fqn, last_seen_at: Timestamp, now: Timestamp) -> Self {
        Self { lease, version, fqn, last_seen_at, now }
    }
}

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Watched {
    /// What was seen.
    pub sightings: Vec<Sighting>,
    /// Its gaps, also those that have closed.
    pub gaps: Vec<GapRecord>,
}

/// What an endpoint's id among the sessions begins with.
pub(in crate::watch) const ENDPOINT: &str = "endpoint:";

/// Something that should have come and did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// What is missing.
    pub rule: Rule,
    /// How much is lost when nobody acts.
    pub severity: Severity,
    /// The session; of an endpoint `endpoint:` and its name.
    pub session_id: SessionId,
    /// The meeting's name; empty for an endpoint.
    pub fqn: Fqn,
    /// Of which one in the session: the `idempotencyKey` of the event that was seen, the endpoint id, the room (`main`
    /// or `breakout:` and its id), or `transcription`; of an endpoint the time of its last authentic delivery.
    pub subject: String,
    /// The endpoint id of the participant it is about, if it has one.
    pub participant_id: Option<ParticipantId>,
    /// When what was seen happened.
    pub seen_at: Timestamp,
    /// Until when it should have come.
    pub due_at: Timestamp,
}

impl Gap {
    /// A gap of a session.
    pub fn new(
        rule: Rule,
        session_id: SessionId,
        fqn: Fqn,
        subject: impl Into<String>,
        seen_at: Timestamp,
        due_at: Timestamp,
    ) -> Self {
        let (severity, participant_id) = (rule.severity(), None);
        Self { rule, severity, session_id, fqn, subject: subject.into(), participant_id, seen_at, due_at }
    }

    /// The name of the endpoint, when it is about an endpoint and not about a session.
    pub fn endpoint(&self) -> Option<&str> {
        let of_endpoint = matches!(self.rule, Rule::EndpointSilent | Rule::EndpointRefuses);
        self.session_id.as_str().strip_prefix(ENDPOINT).filter(|_| of_endpoint)
    }
}

named_enum! {
    /// Where a gap is in its life.
    #[non_exhaustive]
    pub enum GapState {
        /// What is missing has not come.
        Open = "open",
        /// It came later, or what it should have followed turned out to be something else.
        Closed = "closed",
    }
}

/// As its name.
/// A gap as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GapRecord {
    /// Its row. A later row was found later.
    pub id: RowId,
    /// Whether it is open.
    pub state: GapState,
    /// What is missing.
    #[serde(flatten)]
    pub gap: Gap,
    /// When it was found.
    pub found_at: Timestamp,
    /// When it closed.
    pub closed_at: Option<Timestamp>,
}

impl GapRecord {
    /// An open gap, or one that has closed.
    pub fn new(id: RowId, gap: Gap, found_at: Timestamp, closed_at: Option<Timestamp>) -> Self {
        let state = if closed_at.is_some() { GapState::Closed } else { GapState::Open };
        Self { id, state, gap, found_at, closed_at }
    }
}

/// What became of a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GapChange {
    /// It was found.
    Found(Gap),
    /// What was missing has come.
    Closed(RowId),
}

/// Which gaps to list: those that match every field that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GapQuery {
    /// In this state.
    pub state: Option<GapState>,
    /// Of this rule.
    pub rule: Option<Rule>,
    /// Of this session.
    pub session_id: Option<SessionId>,
    /// Of this room, compared without regard to case and percent-encoding; of any tenant when it names none.
    pub room: Option<Fqn>,
    /// Which page.
    pub page: PageRequest,
}

/// How many gaps of a rule are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GapCount {
    /// The rule.
    pub rule: Rule,
    /// How much is lost when nobody acts.
    pub severity: Severity,
    /// How many.
    pub open: u64,
}

impl GapCount {
    /// So many open gaps of a rule.
    pub fn new(rule: Rule, open: u64) -> Self {
        Self { rule, severity: rule.severity(), open }
    }
}
