//! Rows of the tables of meetings, and the values that they become.

use diesel::prelude::*;
use jaas_core::event::{DisconnectReason, EventKind};
use jaas_core::meetings::{Change, Edge, Mark, Place, Sitting, Stay, Via, Who};
use jaas_core::store::tools::{MAX_INDEXED_BYTES, storable};
use jaas_core::{Fqn, IdempotencyKey, Jid, ParticipantId, Personal, SessionId, Timestamp, UserId};

use super::Names;
use super::schema::{jaas_edges, jaas_marks, jaas_sittings, jaas_stays};
use crate::rows::text;

/// The room of a meeting, as the tables store and compare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomKey {
    pub(crate) tenant: String,
    pub(crate) room: String,
}

impl RoomKey {
    pub(crate) fn of(fqn: &Fqn) -> Self {
        let tenant = fqn.app_id().map(str::to_lowercase).unwrap_or_default();
        Self { tenant: indexed(&tenant), room: indexed(&fqn.room_key()) }
    }
}

/// Text as a key holds it.
pub(crate) fn indexed(text: &str) -> String {
    storable(text, MAX_INDEXED_BYTES).into_owned()
}

fn fqn(tenant: &str, room: &str) -> Fqn {
    Fqn::new(if tenant.is_empty() { room.to_owned() } else { format!("{tenant}/{room}") })
}

/// Who came or left, as columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WhoColumns {
    pub(crate) via: String,
    pub(crate) reason: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) participant_id: Option<String>,
    pub(crate) jid: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) address: Option<String>,
}

impl WhoColumns {
    fn of(who: &Who, reason: Option<&DisconnectReason>, names: Names) -> Self {
        let key = |id: Option<&str>| id.map(indexed);
        let personal = |value: &Option<Personal>| {
            value.as_ref().filter(|_| names == Names::Keep).map(|value| text(value.expose()))
        };
        Self {
            via: who.via.as_str().to_owned(),
            reason: reason.map(|reason| text(reason.as_str())),
            user_id: key(who.user_id.as_ref().map(UserId::as_str)),
            participant_id: key(who.participant_id.as_ref().map(ParticipantId::as_str)),
            jid: who.jid.as_ref().map(|jid| text(jid.as_str())),
            name: personal(&who.name),
            email: personal(&who.email),
            address: personal(&who.address),
        }
    }

    fn reason(&self) -> Option<DisconnectReason> {
        self.reason.as_deref().map(DisconnectReason::from)
    }

    fn who(self, presence: String) -> Who {
        let mut who = Who::new(presence, Via::from_name(&self.via));
        who.user_id = self.user_id.map(UserId::new);
        who.participant_id = self.participant_id.map(ParticipantId::new);
        who.jid = self.jid.map(Jid::new);
        who.name = self.name.map(Personal::new);
        who.email = self.email.map(Personal::new);
        who.address = self.address.map(Personal::new);
        who
    }
}

/// A row of `jaas_edges`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jaas_edges)]
pub struct EdgeRow {
    pub(crate) session_id: String,
    pub(crate) event_key: String,
    pub(crate) happened_at: i64,
    pub(crate) what: String,
    pub(crate) place: String,
    pub(crate) presence: String,
    #[diesel(embed)]
    pub(crate) who: EdgeWho,
}

/// A row of `jaas_stays`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jaas_stays)]
pub struct StayRow {
    pub(crate) session_id: String,
    pub(crate) presence: String,
    pub(crate) place: String,
    pub(crate) joined_at: i64,
    pub(crate) left_at: Option<i64>,
    pub(crate) estimated: i16,
    pub(crate) tenant: String,
    pub(crate) room: String,
    #[diesel(embed)]
    pub(crate) who: StayWho,
}

/// Defines the columns of a person in one of the tables.
macro_rules! who_in {
    ($($(#[$meta:meta])* $Name:ident $table:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
        #[diesel(table_name = $table)]
        pub struct $Name {
            pub(crate) via: String,
            pub(crate) reason: Option<String>,
            pub(crate) user_id: Option<String>,
            pub(crate) participant_id: Option<String>,
            pub(crate) jid: Option<String>,
            pub(crate) name: Option<String>,
            pub(crate) email: Option<String>,
            pub(crate) address: Option<String>,
        }

        impl From<$Name> for WhoColumns {
            fn from(row: $Name) -> Self {
                let $Name { via, reason, user_id, participant_id, jid, name, email, address } = row;
                Self { via, reason, user_id, participant_id, jid, name, email, address }
            }
        }

        impl From<WhoColumns> for $Name {
            fn from(row: WhoColumns) -> Self {
                let WhoColumns { via, reason, user_id, participant_id, jid, name, email, address } = row;
                Self { via, reason, user_id, participant_id, jid, name, email, address }
            }
        }
    )*};
}

who_in! {
    /// Of an edge.
    EdgeWho jaas_edges;
    /// Of a stay.
    StayWho jaas_stays;
}

impl EdgeRow {
    pub(crate) fn new(key: &IdempotencyKey, edge: &Edge, names: Names) -> Self {
        let (what, place) = match &edge.change {
            Change::Opened { room } => ("opened", room),
            Change::Closed { room } => ("closed", room),
            Change::Joined { place, .. } => ("joined", place),
            Change::Left { place, .. } => ("left", place),
        };
        let reason = match &edge.change {
            Change::Left { reason, .. } => reason.as_ref(),
            _ => None,
        };
        let who = edge.who().map(|who| WhoColumns::of(who, reason, names)).unwrap_or_default();
        Self {
            session_id: indexed(edge.session.as_str()),
            event_key: indexed(key.as_str()),
            happened_at: edge.at.as_millis(),
            what: what.to_owned(),
            place: indexed(&place.to_string()),
            presence: edge.who().map(|who| indexed(&who.presence)).unwrap_or_default(),
            who: who.into(),
        }
    }

    pub(crate) fn is_of_a_room(&self) -> bool {
        matches!(self.what.as_str(), "opened" | "closed")
    }

    /// Converts the row back. The table does not have the name of the meeting.
    pub(crate) fn edge(self, fqn: &Fqn) -> Edge {
        let place = Place::from(self.place.as_str());
        let who = WhoColumns::from(self.who);
        let reason = who.reason();
        let change = match self.what.as_str() {
            "opened" => Change::Opened { room: place },
            "closed" => Change::Closed { room: place },
            "joined" => Change::Joined { place, who: who.who(self.presence) },
            _ => Change::Left { place, who: who.who(self.presence), reason },
        };
        Edge::new(
            SessionId::new(self.session_id),
            fqn.clone(),
            Timestamp::from_millis(self.happened_at),
            change,
        )
    }
}

impl StayRow {
    pub(crate) fn new(stay: &Stay, room: &RoomKey) -> Self {
        // Names that are not kept are not in the edges either.
        let who = WhoColumns::of(&stay.who, stay.reason.as_ref(), Names::Keep);
        Self {
            session_id: stay.session.to_string(),
            presence: stay.who.presence.clone(),
            place: stay.place.to_string(),
            joined_at: stay.joined_at.as_millis(),
            left_at: stay.left_at.map(Timestamp::as_millis),
            estimated: i16::from(stay.estimated),
            tenant: room.tenant.clone(),
            room: room.room.clone(),
            who: who.into(),
        }
    }

    pub(crate) fn fqn(&self) -> Fqn {
        fqn(&self.tenant, &self.room)
    }
}

impl From<StayRow> for Stay {
    fn from(row: StayRow) -> Self {
        let who = WhoColumns::from(row.who);
        let reason = who.reason();
        let joined_at = Timestamp::from_millis(row.joined_at);
        let place = Place::from(row.place.as_str());
        let mut stay = Self::new(SessionId::new(row.session_id), who.who(row.presence), place, joined_at);
        stay.left_at = row.left_at.map(Timestamp::from_millis);
        stay.estimated = row.estimated != 0;
        stay.reason = reason;
        stay
    }
}

/// A row of `jaas_sittings`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jaas_sittings)]
pub struct SittingRow {
    pub(crate) session_id: String,
    pub(crate) tenant: String,
    pub(crate) room: String,
    pub(crate) first_at: i64,
    pub(crate) opened_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
}

impl From<SittingRow> for Sitting {
    fn from(row: SittingRow) -> Self {
        let mut sitting = Self::new(SessionId::new(row.session_id), fqn(&row.tenant, &row.room));
        sitting.opened_at = row.opened_at.map(Timestamp::from_millis);
        sitting.ended_at = row.ended_at.map(Timestamp::from_millis);
        sitting
    }
}

/// A row of `jaas_marks`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = jaas_marks)]
pub struct MarkRow {
    pub(crate) session_id: String,
    pub(crate) happened_at: i64,
    pub(crate) kind: String,
}

impl From<MarkRow> for Mark {
    fn from(row: MarkRow) -> Self {
        let at = Timestamp::from_millis(row.happened_at);
        Self::new(SessionId::new(row.session_id), at, EventKind::from_wire(&row.kind))
    }
}
