//! Who attended which meeting, and which process recorded it.
//!
//! This file is a module of each database's module, so the same code is compiled for each connection type. If you use one
//! database, make it an ordinary module with `Connection` from `jaas_diesel`.
//!
//! Events arrive in any order, so each event writes what it knows, and no event depends on an earlier one.

use std::time::Duration;

use async_trait::async_trait;
use diesel::ExpressionMethods as _;
use diesel_async::RunQueryDsl as _;
use jaas_core::event::{Event, Participant, ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::store::tools::{MAX_INDEXED_BYTES, storable};
use jaas_core::{Context, EventHandler, Handled, HandlerResult, Room, SessionId, Timestamp};

use super::{Connection, SAME_EDGE, SAME_SESSION};
use crate::schema::{edges, endings, handled};

/// The handler. It is mounted as *transactional*: what it writes through `cx.tx()` is committed together with the
/// event's completion. So each event has its effect exactly once, in whichever process it runs, and however often a process
/// dies in the middle.
pub(crate) struct Attendance {
    /// The name of this process.
    pub(crate) worker: String,
    /// An extra delay for each event, to watch what happens meanwhile.
    pub(crate) slow: Duration,
}

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

    /// Records the end of the meeting, which closes stays whose leave never comes.
    async fn room_destroyed(&self, cx: &mut Context<'_, Connection>, event: &RoomDestroyed) -> HandlerResult {
        // A breakout room shares the session of its main room; its end is not the end of the meeting.
        if event.room.is_breakout() {
            return Ok(Handled::ignored("a breakout room"));
        }
        let Some((session, at)) = when(cx) else { return Ok(Handled::ignored("no session or time")) };
        let ended_at = endings::ended_at.eq(at.as_millis());
        diesel::insert_into(endings::table)
            .values((endings::session_id.eq(session.as_str()), ended_at))
            .on_conflict(SAME_SESSION)
            .do_update()
            .set(ended_at)
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
    }

    /// Every event comes here first, and gets one row.
    async fn any_event(&self, cx: &mut Context<'_, Connection>, event: &Event) -> HandlerResult {
        // Before any write, so that no row is locked for that long.
        tokio::time::sleep(self.slow).await;
        event.dispatch(self, cx).await?;
        let (envelope, attempt) = (cx.envelope(), cx.attempt());
        diesel::insert_into(handled::table)
            .values((
                handled::event_key.eq(envelope.idempotency_key.as_str()),
                handled::kind.eq(envelope.kind.as_str()),
                handled::session_id.eq(envelope.session_id.as_ref().map(SessionId::as_str)),
                handled::worker.eq(&self.worker),
                handled::attempt.eq(i32::try_from(attempt)?),
            ))
            .execute(cx.tx())
            .await?;
        // Returns `Done` even if the event's own method ignores it, because this row was written for it.
        Ok(Handled::Done)
    }
}

fn when<'a>(cx: &Context<'a, Connection>) -> Option<(&'a SessionId, Timestamp)> {
    let envelope = cx.envelope();
    Some((envelope.session_id.as_ref()?, envelope.timestamp?))
}

/// Writes one row for each join and each leave: a trip to a breakout room and back keeps the participant id, so one row for
/// each participant would lose stays. A copy of an event changes nothing.
async fn write(
    cx: &mut Context<'_, Connection>,
    participant: &Participant,
    room: &Room,
    joined: bool,
) -> HandlerResult {
    let (Some((session, at)), Some(presence)) = (when(cx), participant.presence()) else {
        return Ok(Handled::ignored("no session, time or participant"));
    };
    diesel::insert_into(edges::table)
        .values((
            edges::session_id.eq(session.as_str()),
            // Ids can be any text; a key column takes 255 bytes, and PostgreSQL rejects U+0000.
            edges::presence.eq(storable(presence, MAX_INDEXED_BYTES)),
            edges::room.eq(storable(&room.to_string(), MAX_INDEXED_BYTES)),
            edges::at.eq(at.as_millis()),
            edges::joined.eq(joined),
        ))
        .on_conflict(SAME_EDGE)
        .do_update()
        .set(edges::joined.eq(joined))
        .execute(cx.tx())
        .await?;
    Ok(Handled::Done)
}
