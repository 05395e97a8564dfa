//! Rows of the tables, and the values that they become.

use diesel::prelude::*;
use jaas_core::meetings::{Place, Via};
use jaas_core::store::{RowId, StoreError};
use jaas_core::watch::{Gap, GapRecord, NewSightings, Rule, Seen, SessionClaim, SessionLease, Sighting};
use jaas_core::{Fqn, ParticipantId, SessionId, Timestamp};

use super::schema::{jaas_gaps, jaas_sightings, jaas_watched};
use crate::meetings::rows::RoomKey;
use crate::rows::{indexed, text, unknown};

/// The session as its column has it.
pub(crate) fn key_of(session: &SessionId) -> String {
    indexed(text(session.as_str()))
}

/// What an event shows, as rows.
#[derive(Debug, Clone)]
pub(crate) struct NewRows {
    pub(crate) session_id: String,
    pub(crate) fqn: String,
    pub(crate) now: i64,
    pub(crate) due_at: i64,
    pub(crate) sightings: Vec<SightingRow>,
}

impl NewRows {
    pub(crate) fn new(new: &NewSightings) -> Self {
        let session_id = key_of(&new.session);
        let row = |sighting: &Sighting| SightingRow {
            id: 0,
            session_id: session_id.clone(),
            what: sighting.what.as_str().to_owned(),
            slot: indexed(text(&sighting.slot)),
            place: indexed(text(&sighting.place.to_string())),
            presence: indexed(text(&sighting.presence)),
            via: sighting.via.as_str().to_owned(),
            happened_at: sighting.at.as_millis(),
            recorded_at: sighting.recorded_at.as_millis(),
            began_at: sighting.began_at.map(Timestamp::as_millis),
            ended_at: sighting.ended_at.map(Timestamp::as_millis),
        };
        Self {
            sightings: new.sightings.iter().map(row).collect(),
            fqn: text(new.fqn.as_str()),
            now: new.now.as_millis(),
            due_at: new.due_at.as_millis(),
            session_id,
        }
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_sightings)]
pub(crate) struct SightingRow {
    pub(crate) id: i64,
    pub(crate) session_id: String,
    pub(crate) what: String,
    pub(crate) slot: String,
    pub(crate) place: String,
    pub(crate) presence: String,
    pub(crate) via: String,
    pub(crate) happened_at: i64,
    pub(crate) recorded_at: i64,
    pub(crate) began_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
}

impl TryFrom<SightingRow> for Sighting {
    type Error = StoreError;

    fn try_from(row: SightingRow) -> Result<Self, StoreError> {
        let what = Seen::from_name(&row.what);
        let what = what.ok_or_else(|| unknown("what was seen in sighting", row.id, &row.what))?;
        let (at, recorded_at) = (row.happened_at, row.recorded_at);
        let mut sighting =
            Self::new(what, row.slot, Timestamp::from_millis(at), Timestamp::from_millis(recorded_at));
        sighting.place = Place::from(row.place.as_str());
        sighting.presence = row.presence;
        sighting.via = Via::from_name(&row.via);
        sighting.began_at = row.began_at.map(Timestamp::from_millis);
        sighting.ended_at = row.ended_at.map(Timestamp::from_millis);
        Ok(sighting)
    }
}

/// What a claim needs of a session.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_watched)]
pub(crate) struct ClaimedRow {
    pub(crate) session_id: String,
    fqn: String,
    last_seen_at: i64,
    version: i64,
    fence: i64,
}

impl ClaimedRow {
    pub(crate) fn claim(self, now: i64) -> SessionClaim {
        let lease = SessionLease { session: SessionId::new(self.session_id), fence: self.fence };
        let [last, now] = [self.last_seen_at, now].map(Timestamp::from_millis);
        SessionClaim::new(lease, self.version, Fqn::new(self.fqn), last, now)
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jaas_gaps)]
pub(crate) struct GapRow {
    pub(crate) id: i64,
    pub(crate) session_id: String,
    pub(crate) rule: String,
    pub(crate) subject: String,
    pub(crate) participant_id: Option<String>,
    pub(crate) tenant: String,
    pub(crate) room: String,
    pub(crate) fqn: String,
    pub(crate) seen_at: i64,
    pub(crate) due_at: i64,
    pub(crate) found_at: i64,
    pub(crate) closed_at: Option<i64>,
}

impl GapRow {
    /// A gap that was found; the database gives it its id.
    pub(crate) fn new(gap: &Gap, found_at: i64) -> Self {
        let RoomKey { tenant, room } = RoomKey::of(&gap.fqn);
        Self {
            id: 0,
            session_id: key_of(&gap.session_id),
            rule: gap.rule.as_str().to_owned(),
            subject: indexed(text(&gap.subject)),
            participant_id: gap.participant_id.as_ref().map(|id| indexed(text(id.as_str()))),
            tenant,
            room,
            fqn: text(gap.fqn.as_str()),
            seen_at: gap.seen_at.as_millis(),
            due_at: gap.due_at.as_millis(),
            found_at,
            closed_at: None,
        }
    }
}

impl TryFrom<GapRow> for GapRecord {
    type Error = StoreError;

    fn try_from(row: GapRow) -> Result<Self, StoreError> {
        let rule = rule(row.id, &row.rule)?;
        let [seen_at, due_at, found_at] = [row.seen_at, row.due_at, row.found_at].map(Timestamp::from_millis);
        let (session, fqn) = (SessionId::new(row.session_id), Fqn::new(row.fqn));
        let mut gap = Gap::new(rule, session, fqn, row.subject, seen_at, due_at);
        gap.participant_id = row.participant_id.map(ParticipantId::new);
        Ok(Self::new(RowId::new(row.id), gap, found_at, row.closed_at.map(Timestamp::from_millis)))
    }
}

/// The rule of this name.
pub(crate) fn rule(id: i64, name: &str) -> Result<Rule, StoreError> {
    Rule::from_name(name).ok_or_else(|| unknown("the rule of gap", id, name))
}
