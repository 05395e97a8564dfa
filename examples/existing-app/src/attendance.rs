//! What the application does with the events: it writes to its own tables.

use async_trait::async_trait;
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use jaas_core::event::{Participant, ParticipantJoined, ParticipantLeft};
use jaas_core::{
    Context, EventHandler, Handled, HandlerError, HandlerResult, MAX_INDEXED_BYTES, Room, SessionId, storable,
};

use crate::database::Connection;
use crate::rooms::{edges as dsl, rooms};

/// Mounted as *transactional*: its rows and the event's completion are committed together or not at all.
pub(crate) struct Attendance;

#[async_trait]
impl EventHandler<Connection> for Attendance {
    async fn participant_joined(
        &self,
        cx: &mut Context<'_, Connection>,
        event: &ParticipantJoined,
    ) -> HandlerResult {
        write(cx, &event.participant, &event.room, true).await
    }

    async fn participant_left(
        &self,
        cx: &mut Context<'_, Connection>,
        event: &ParticipantLeft,
    ) -> HandlerResult {
        write(cx, &event.participant, &event.room, false).await
    }
}

/// One row for each coming and going: events come in any order, and a trip to a breakout room and back keeps the participant
/// id. A copy of an event changes nothing.
async fn write(
    cx: &mut Context<'_, Connection>,
    participant: &Participant,
    place: &Room,
    joined: bool,
) -> HandlerResult {
    let Some((session, id)) = who(cx, participant) else {
        return Ok(Handled::ignored("no session or participant"));
    };
    let (room, at) = (known_room(cx).await?, cx.delivery().occurred_at().as_millis());
    diesel::insert_into(dsl::table)
        .values((
            dsl::session_id.eq(session.as_str()),
            // Ids and names are any text of any length; a key takes 255 bytes, and PostgreSQL no U+0000.
            dsl::participant_id.eq(storable(id, MAX_INDEXED_BYTES)),
            dsl::place.eq(storable(&place.to_string(), MAX_INDEXED_BYTES)),
            dsl::at.eq(at),
            dsl::joined.eq(joined),
            dsl::room.eq(room),
            dsl::name.eq(participant.name.as_ref().map(|name| storable(name.expose(), 1000))),
        ))
        .on_conflict_do_nothing()
        .execute(cx.tx())
        .await?;
    Ok(Handled::Done)
}

fn who<'a>(cx: &Context<'a, Connection>, participant: &'a Participant) -> Option<(&'a SessionId, &'a str)> {
    Some((cx.envelope().session_id.as_ref()?, participant.participant_id.as_ref()?.as_str()))
}

/// The name of the meeting's room, if it is one of ours. Otherwise the event becomes a dead letter, because trying again by
/// itself would not help: somebody adds the room, and replays it.
async fn known_room(cx: &mut Context<'_, Connection>) -> Result<String, HandlerError> {
    let room = cx.envelope().fqn.room_key();
    let known = rooms::table
        .find(storable(&room, MAX_INDEXED_BYTES))
        .select(rooms::name)
        .first::<String>(cx.tx())
        .await
        .optional()?;
    known.ok_or(HandlerError::permanent("the room is not known here"))
}

/// Somebody came to or left the main room or a breakout room.
#[derive(Debug, Clone, diesel::Queryable)]
pub(crate) struct Edge {
    pub(crate) session: String,
    pub(crate) participant: String,
    pub(crate) place: String,
    pub(crate) at: i64,
    pub(crate) joined: bool,
    pub(crate) name: Option<String>,
}

/// From when until when a participant was in the main room or in a breakout room, in ms since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Stay {
    pub(crate) joined_at: i64,
    pub(crate) left_at: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) place: String,
}

/// Each join lasts until the first leave of the same participant and place, before they come to that place again; without
/// one, until they come to another place. The same in any order of the edges.
pub(crate) fn stays(mut edges: Vec<Edge>) -> Vec<Stay> {
    edges.sort_by(|one, other| (one.at, one.joined, &one.place).cmp(&(other.at, other.joined, &other.place)));
    let stay = |join: &Edge| {
        let own = |edge: &&Edge| edge.session == join.session && edge.participant == join.participant;
        let first = |wanted: &dyn Fn(&Edge) -> bool| {
            edges.iter().filter(own).find(|edge| wanted(edge)).map(|edge| edge.at)
        };
        let left = first(&|edge| !edge.joined && edge.place == join.place && edge.at >= join.at);
        let again = first(&|edge| edge.joined && edge.place == join.place && edge.at > join.at);
        let next = first(&|edge| edge.joined && edge.at > join.at);
        let left_at = left.filter(|left| again.is_none_or(|again| *left <= again)).or(next);
        Stay { joined_at: join.at, left_at, name: join.name.clone(), place: join.place.clone() }
    };
    let mut stays: Vec<Stay> = edges.iter().filter(|edge| edge.joined).map(stay).collect();
    stays.sort();
    stays
}
