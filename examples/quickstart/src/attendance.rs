//! Who attended which meeting, from when until when.
//!
//! Events arrive in any order, so each one writes what it knows and nothing is assumed to have come before: a
//! leave may be written first, and the end of a meeting closes those whose leave never comes.

use std::io::Write as _;

use async_trait::async_trait;
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::{AsyncConnection as _, RunQueryDsl as _, SimpleAsyncConnection as _};
use jaas_core::event::{Event, ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::{Context, EventHandler, Handled, HandlerResult, Personal, SessionId, Timestamp};
use jaas_diesel::sqlite::Connection;

diesel::table! {
    attendances (session_id, participant_id) {
        session_id -> Text,
        participant_id -> Text,
        name -> Nullable<Text>,
        joined_at -> Nullable<BigInt>,
        left_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    endings (session_id) {
        session_id -> Text,
        ended_at -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(attendances, endings);

/// The handler. It is mounted as *transactional*: what it writes through `cx.tx()` is committed together with the
/// event's completion, so each event leaves its mark exactly once.
pub(crate) struct Attendance;

#[async_trait]
impl EventHandler<Connection> for Attendance {
    async fn participant_joined(
        &self,
        cx: &mut Context<'_, Connection>,
        event: &ParticipantJoined,
    ) -> HandlerResult {
        let (Some((session, at)), Some(participant)) = (when(cx), &event.participant.participant_id) else {
            return Ok(Handled::ignored("no session, time or participant"));
        };
        use attendances::dsl;
        diesel::insert_into(dsl::attendances)
            .values((
                dsl::session_id.eq(session.as_str()),
                dsl::participant_id.eq(participant.as_str()),
                dsl::name.eq(event.participant.name.as_ref().map(Personal::expose)),
                dsl::joined_at.eq(at.as_millis()),
            ))
            .on_conflict((dsl::session_id, dsl::participant_id))
            .do_update()
            .set((dsl::name.eq(excluded(dsl::name)), dsl::joined_at.eq(excluded(dsl::joined_at))))
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
    }

    async fn participant_left(
        &self,
        cx: &mut Context<'_, Connection>,
        event: &ParticipantLeft,
    ) -> HandlerResult {
        let (Some((session, at)), Some(participant)) = (when(cx), &event.participant.participant_id) else {
            return Ok(Handled::ignored("no session, time or participant"));
        };
        use attendances::dsl;
        diesel::insert_into(dsl::attendances)
            .values((
                dsl::session_id.eq(session.as_str()),
                dsl::participant_id.eq(participant.as_str()),
                dsl::left_at.eq(at.as_millis()),
            ))
            .on_conflict((dsl::session_id, dsl::participant_id))
            .do_update()
            .set(dsl::left_at.eq(excluded(dsl::left_at)))
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
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

    /// Every event comes here first: one line for each.
    async fn any_event(&self, cx: &mut Context<'_, Connection>, event: &Event) -> HandlerResult {
        let handled = event.dispatch(self, cx).await?;
        let (envelope, attempt) = (cx.envelope(), cx.attempt());
        writeln!(
            std::io::stdout(),
            "handled {} {} attempt={attempt}",
            envelope.event_type,
            envelope.idempotency_key
        )?;
        // What the method answers: an event that it ignores is kept as ignored.
        Ok(handled)
    }
}

fn when<'a>(cx: &Context<'a, Connection>) -> Option<(&'a SessionId, Timestamp)> {
    let envelope = cx.envelope();
    Some((envelope.session_id.as_ref()?, envelope.timestamp?))
}

/// Creates the tables of this module. In an application of yours, write a diesel migration.
pub(crate) async fn create_tables(database: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut connection = Connection::establish(database).await?;
    connection
        .batch_execute(
            "PRAGMA busy_timeout = 5000;
             CREATE TABLE IF NOT EXISTS attendances (
                 session_id TEXT NOT NULL, participant_id TEXT NOT NULL, name TEXT, joined_at BIGINT, left_at BIGINT,
                 PRIMARY KEY (session_id, participant_id));
             CREATE TABLE IF NOT EXISTS endings (session_id TEXT NOT NULL PRIMARY KEY, ended_at BIGINT NOT NULL);",
        )
        .await?;
    Ok(())
}

/// One line of a meeting's attendance.
pub(crate) struct Attended {
    pub(crate) name: String,
    pub(crate) joined_at: Option<Timestamp>,
    pub(crate) left_at: Option<Timestamp>,
}

/// Who attended this session, first come first.
pub(crate) async fn of_session(
    database: &str,
    session: &str,
) -> Result<Vec<Attended>, Box<dyn std::error::Error>> {
    let mut connection = Connection::establish(database).await?;
    let ended_at: Option<i64> = diesel::OptionalExtension::optional(
        endings::table.find(session).select(endings::ended_at).first(&mut connection).await,
    )?;
    let rows: Vec<(Option<String>, Option<i64>, Option<i64>)> = attendances::table
        .filter(attendances::session_id.eq(session))
        .order(attendances::joined_at)
        .select((attendances::name, attendances::joined_at, attendances::left_at))
        .load(&mut connection)
        .await?;
    let attended = |(name, joined_at, left_at): (Option<String>, Option<i64>, Option<i64>)| Attended {
        name: name.unwrap_or_else(|| "(guest)".to_owned()),
        joined_at: joined_at.map(Timestamp::from_millis),
        left_at: left_at.or(ended_at).map(Timestamp::from_millis),
    };
    Ok(rows.into_iter().map(attended).collect())
}
