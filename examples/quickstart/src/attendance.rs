//! Who attended which meeting, from when until when.
//!
//! Events arrive in any order, so each event writes what it knows, and no event depends on an earlier one. A leave may
//! be written first, and the end of a meeting closes the stays whose leave never comes. A trip to a breakout room and
//! back keeps the participant id, so the tables hold *edges*, one row for each join and each leave. [`stays`] computes
//! from them who was where for how long.

use std::collections::BTreeMap;
use std::io::Write as _;

use async_trait::async_trait;
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::event::{Event, Participant, ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::store::tools::{MAX_INDEXED_BYTES, storable};
use jaas_core::telemetry::Escaped;
use jaas_core::{Context, EventHandler, Handled, HandlerResult, Room, SessionId, Timestamp};
use jaas_diesel::sqlite::Connection;

diesel::table! {
    /// A participant joined or left a room; `at` is in ms since the epoch. `presence` is the participant id, or the address of
    /// a visitor, who has no participant id.
    edges (session_id, presence, room, at, joined) {
        session_id -> Text,
        presence -> Text,
        room -> Text,
        at -> BigInt,
        joined -> Bool,
        name -> Nullable<Text>,
    }
}

diesel::table! {
    endings (session_id) {
        session_id -> Text,
        ended_at -> BigInt,
    }
}

/// The handler. It is mounted as *transactional*: what it writes through `cx.tx()` is committed together with the
/// event's completion, so each event has its effect exactly once.
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

    async fn room_destroyed(&self, cx: &mut Context<'_, Connection>, event: &RoomDestroyed) -> HandlerResult {
        // A breakout room shares the session of its main room; its end is not the end of the meeting.
        if event.room.is_breakout() {
            return Ok(Handled::ignored("a breakout room"));
        }
        let Some((session, at)) = when(cx) else { return Ok(Handled::ignored("no session or time")) };
        use endings::dsl;
        diesel::insert_into(dsl::endings)
            .values((dsl::session_id.eq(session.as_str()), dsl::ended_at.eq(at.as_millis())))
            .on_conflict(dsl::session_id)
            .do_update()
            .set(dsl::ended_at.eq(excluded(dsl::ended_at)))
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
    }

    /// Every event comes here first, and prints one line. Type and key are untrusted text, so they are escaped.
    async fn any_event(&self, cx: &mut Context<'_, Connection>, event: &Event) -> HandlerResult {
        let handled = event.dispatch(self, cx).await?;
        let (envelope, attempt) = (cx.envelope(), cx.attempt());
        writeln!(
            std::io::stdout(),
            "handled {} {} attempt={attempt}",
            Escaped(&envelope.event_type),
            Escaped(&envelope.idempotency_key)
        )?;
        // The result of the event's own method: an event that it ignores is kept as ignored.
        Ok(handled)
    }
}

fn when<'a>(cx: &Context<'a, Connection>) -> Option<(&'a SessionId, Timestamp)> {
    let envelope = cx.envelope();
    Some((envelope.session_id.as_ref()?, envelope.timestamp?))
}

/// Writes one row for each join and each leave. A copy of an event changes nothing.
async fn write(
    cx: &mut Context<'_, Connection>,
    participant: &Participant,
    room: &Room,
    joined: bool,
) -> HandlerResult {
    let (Some((session, at)), Some(presence)) = (when(cx), participant.presence()) else {
        return Ok(Handled::ignored("no session, time or participant"));
    };
    use edges::dsl;
    diesel::insert_into(dsl::edges)
        .values((
            dsl::session_id.eq(session.as_str()),
            // Ids and names can be any text; a key column takes 255 bytes, and PostgreSQL rejects U+0000.
            dsl::presence.eq(storable(presence, MAX_INDEXED_BYTES)),
            dsl::room.eq(storable(&room.to_string(), MAX_INDEXED_BYTES)),
            dsl::at.eq(at.as_millis()),
            dsl::joined.eq(joined),
            dsl::name.eq(participant.name.as_ref().map(|name| storable(name.expose(), 1000))),
        ))
        .on_conflict_do_nothing()
        .execute(cx.tx())
        .await?;
    Ok(Handled::Done)
}

/// Creates the tables of this module. In your application, write a diesel migration.
pub(crate) async fn create_tables(database: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::establish(database).await?;
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS edges (
                 session_id TEXT NOT NULL, presence TEXT NOT NULL, room TEXT NOT NULL, at BIGINT NOT NULL,
                 joined BOOLEAN NOT NULL, name TEXT, PRIMARY KEY (session_id, presence, room, at, joined));
             CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);",
        )
        .await?;
    Ok(())
}

/// A participant joined or left a room.
#[derive(Debug, Clone, diesel::Queryable)]
pub(crate) struct Edge {
    presence: String,
    room: String,
    at: i64,
    joined: bool,
    name: Option<String>,
}

/// One line of a meeting's attendance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stay {
    pub(crate) joined_at: Timestamp,
    /// None while the participant is there.
    pub(crate) left_at: Option<Timestamp>,
    pub(crate) presence: String,
    pub(crate) room: String,
    pub(crate) name: String,
}

/// Returns who was where in this session, sorted by the time of joining.
pub(crate) async fn of_session(
    connection: &mut Connection,
    session: &str,
) -> Result<Vec<Stay>, diesel::result::Error> {
    let ended_at: Option<i64> = diesel::OptionalExtension::optional(
        endings::table.find(session).select(endings::ended_at).first(connection).await,
    )?;
    let rows: Vec<Edge> = edges::table
        .filter(edges::session_id.eq(session))
        .select((edges::presence, edges::room, edges::at, edges::joined, edges::name))
        .load(connection)
        .await?;
    Ok(stays(rows, ended_at))
}

/// Computes the stays of one session from its edges. The order of the edges does not matter.
///
/// A stay ends with the first leave of the same presence and room, before the next join of that room. If that leave never
/// comes, the stay ends with the next join of any room, or else with the meeting.
fn stays(edges: Vec<Edge>, ended_at: Option<i64>) -> Vec<Stay> {
    let mut presences: BTreeMap<String, Vec<Edge>> = BTreeMap::new();
    for edge in edges {
        presences.entry(edge.presence.clone()).or_default().push(edge);
    }
    let mut stays = Vec::new();
    for mut edges in presences.into_values() {
        edges.sort_by(|one, other| {
            (one.at, one.joined, &one.room).cmp(&(other.at, other.joined, &other.room))
        });
        let name = edges.iter().rev().find_map(|edge| edge.name.clone());
        for join in edges.iter().filter(|edge| edge.joined) {
            let first =
                |wanted: &dyn Fn(&Edge) -> bool| edges.iter().find(|edge| wanted(edge)).map(|edge| edge.at);
            let left = first(&|edge| !edge.joined && edge.room == join.room && edge.at >= join.at);
            let again = first(&|edge| edge.joined && edge.room == join.room && edge.at > join.at);
            let next = first(&|edge| edge.joined && edge.at > join.at);
            let left = left.filter(|left| again.is_none_or(|again| *left <= again));
            stays.push(Stay {
                joined_at: Timestamp::from_millis(join.at),
                left_at: left.or(next).or(ended_at).map(Timestamp::from_millis),
                presence: join.presence.clone(),
                room: join.room.clone(),
                name: name.clone().unwrap_or_else(|| "(guest)".to_owned()),
            });
        }
    }
    stays.sort();
    stays
}
