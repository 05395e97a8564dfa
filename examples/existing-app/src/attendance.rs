//! What the application does with the events: it writes to its own tables.

use async_trait::async_trait;
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use jaas_core::event::{Participant, ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::store::tools::{MAX_INDEXED_BYTES, storable};
use jaas_core::{Context, EventHandler, Handled, HandlerError, HandlerResult, Room, SessionId};

use crate::database::Connection;
use crate::rooms::{edges as dsl, endings, rooms};

/// The handler. It is mounted as *transactional*: its rows and the event's completion are committed together or not at all.
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

    /// Closes the stays whose leave never comes. The row is written even if the room is not known: an operator may add the
    /// room later.
    async fn room_destroyed(&self, cx: &mut Context<'_, Connection>, event: &RoomDestroyed) -> HandlerResult {
        // A breakout room shares the session of its main room; its end is not the end of the meeting.
        if event.room.is_breakout() {
            return Ok(Handled::ignored("a breakout room"));
        }
        let Some(session) = &cx.envelope().session_id else { return Ok(Handled::ignored("no session")) };
        let (session, at) = (session.as_str().to_owned(), cx.delivery().occurred_at().as_millis());
        diesel::insert_into(endings::table)
            .values((endings::session_id.eq(session), endings::ended_at.eq(at)))
            .on_conflict(endings::session_id)
            .do_update()
            .set(endings::ended_at.eq(excluded(endings::ended_at)))
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
    }
}

/// Writes one row for each join and each leave: events come in any order, and a trip to a breakout room and back keeps the
/// participant id. A copy of an event changes nothing.
async fn write(
    cx: &mut Context<'_, Connection>,
    participant: &Participant,
    place: &Room,
    joined: bool,
) -> HandlerResult {
    let Some((session, presence)) = who(cx, participant) else {
        return Ok(Handled::ignored("no session or participant"));
    };
    let (room, at) = (known_room(cx).await?, cx.delivery().occurred_at().as_millis());
    diesel::insert_into(dsl::table)
        .values((
            dsl::session_id.eq(session.as_str()),
            // Ids and names can be any text; a key column takes 255 bytes, and PostgreSQL rejects U+0000.
            dsl::presence.eq(storable(presence, MAX_INDEXED_BYTES)),
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
    Some((cx.envelope().session_id.as_ref()?, participant.presence()?))
}

/// Returns the name of the meeting's room, if the application knows it. Otherwise the event becomes a dead letter, because a
/// retry would not help: an operator adds the room, and replays the event.
async fn known_room(cx: &mut Context<'_, Connection>) -> Result<String, HandlerError> {
    let room = cx.envelope().fqn.room_key();
    let known = rooms::table
        .find(storable(&room, MAX_INDEXED_BYTES))
        .select(rooms::name)
        .first::<String>(cx.tx())
        .await
        .optional()?;
    known.ok_or_else(|| HandlerError::permanent("the room is not known here"))
}

/// A participant joined or left the main room or a breakout room.
#[derive(Debug, Clone, diesel::Queryable)]
pub(crate) struct Edge {
    pub(crate) session: String,
    pub(crate) presence: String,
    pub(crate) place: String,
    pub(crate) at: i64,
    pub(crate) joined: bool,
    pub(crate) name: Option<String>,
    /// When the meeting ended.
    pub(crate) ended: Option<i64>,
}

/// From when until when a participant was in the main room or in a breakout room, in ms since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub(crate) struct Stay {
    pub(crate) joined_at: i64,
    pub(crate) left_at: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) place: String,
}

/// A stay ends with the first leave of the same presence and place, before the next join of that place. If that leave never
/// comes, it ends with the next join of any place, or else with the meeting. The order of the edges does not matter.
pub(crate) fn stays(mut edges: Vec<Edge>) -> Vec<Stay> {
    edges.sort_by(|one, other| (one.at, one.joined, &one.place).cmp(&(other.at, other.joined, &other.place)));
    let stay = |join: &Edge| {
        let own = |edge: &&Edge| edge.session == join.session && edge.presence == join.presence;
        let first = |wanted: &dyn Fn(&Edge) -> bool| {
            edges.iter().filter(own).find(|edge| wanted(edge)).map(|edge| edge.at)
        };
        let left = first(&|edge| !edge.joined && edge.place == join.place && edge.at >= join.at);
        let again = first(&|edge| edge.joined && edge.place == join.place && edge.at > join.at);
        let next = first(&|edge| edge.joined && edge.at > join.at);
        let left_at = left.filter(|left| again.is_none_or(|again| *left <= again)).or(next).or(join.ended);
        Stay { joined_at: join.at, left_at, name: join.name.clone(), place: join.place.clone() }
    };
    let mut stays: Vec<Stay> = edges.iter().filter(|edge| edge.joined).map(stay).collect();
    stays.sort();
    stays
}

/// Tests the SQL of the handler without a server, in a transaction that is never committed.
#[cfg(all(test, not(feature = "postgres")))]
mod tests {
    use diesel_async::AsyncConnection as _;
    use jaas_core::Retry;
    use jaas_testkit::event;

    use super::*;

    #[tokio::test]
    async fn a_copy_is_one_row_and_an_unknown_room_a_dead_letter() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("app.sqlite").display());
        let (pool, _inbox) = crate::database::open(&url).await.expect("opened");
        let mut connection = pool.get().await.expect("a connection");
        connection.begin_test_transaction().await.expect("begun");

        let joined = event::participant_joined().in_room("Math").named("Ada");
        let refused = joined.handle_in(&Attendance, &mut *connection).await.expect_err("not known");
        assert_eq!(refused.when_to_retry(), Retry::Never);

        let room = (rooms::name.eq("math"), rooms::title.eq("Mathematics"));
        diesel::insert_into(rooms::table).values(room).execute(&mut *connection).await.expect("added");
        for _ in 0..2 {
            assert_eq!(joined.handle_in(&Attendance, &mut *connection).await, Ok(Handled::Done));
        }
        let names: Vec<Option<String>> =
            dsl::table.select(dsl::name).load(&mut *connection).await.expect("loaded");
        assert_eq!(names, [Some("Ada".to_owned())]);
    }
}
