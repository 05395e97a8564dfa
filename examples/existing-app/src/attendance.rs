//! What the application does with the events: it writes to its own tables.

use async_trait::async_trait;
use diesel::upsert::excluded;
use diesel::{ExpressionMethods as _, OptionalExtension as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use jaas_core::event::{Participant, ParticipantJoined, ParticipantLeft};
use jaas_core::{Context, EventHandler, Handled, HandlerError, HandlerResult, Personal, SessionId};

use crate::database::Connection;
use crate::rooms::{attendances as dsl, rooms};

/// Mounted as *transactional*: its rows and the event's completion are committed together or not at all.
pub(crate) struct Attendance;

#[async_trait]
impl EventHandler<Connection> for Attendance {
    async fn participant_joined(
        &self,
        cx: &mut Context<'_, Connection>,
        event: &ParticipantJoined,
    ) -> HandlerResult {
        let Some((session, participant)) = who(cx, &event.participant) else {
            return Ok(Handled::ignored("no session or participant"));
        };
        let (room, at) = (known_room(cx).await?, cx.delivery().occurred_at().as_millis());
        let name = event.participant.name.as_ref().map(Personal::expose);
        // Events come in any order: the leave may have been first.
        diesel::insert_into(dsl::table)
            .values((
                dsl::session_id.eq(session.as_str()),
                dsl::participant_id.eq(participant),
                dsl::room.eq(room),
                dsl::name.eq(name),
                dsl::joined_at.eq(at),
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
        let Some((session, participant)) = who(cx, &event.participant) else {
            return Ok(Handled::ignored("no session or participant"));
        };
        let (room, at) = (known_room(cx).await?, cx.delivery().occurred_at().as_millis());
        diesel::insert_into(dsl::table)
            .values((
                dsl::session_id.eq(session.as_str()),
                dsl::participant_id.eq(participant),
                dsl::room.eq(room),
                dsl::left_at.eq(at),
            ))
            .on_conflict((dsl::session_id, dsl::participant_id))
            .do_update()
            .set(dsl::left_at.eq(excluded(dsl::left_at)))
            .execute(cx.tx())
            .await?;
        Ok(Handled::Done)
    }
}

fn who<'a>(cx: &Context<'a, Connection>, participant: &'a Participant) -> Option<(&'a SessionId, &'a str)> {
    Some((cx.envelope().session_id.as_ref()?, participant.participant_id.as_ref()?.as_str()))
}

/// The name of the meeting's room, if it is one of ours. Otherwise the event becomes a dead letter, because trying again by
/// itself would not help: somebody adds the room, and replays it.
async fn known_room(cx: &mut Context<'_, Connection>) -> Result<String, HandlerError> {
    let room = cx.envelope().fqn.room_key();
    let known = rooms::table.find(&room).select(rooms::name).first::<String>(cx.tx()).await.optional()?;
    known.ok_or(HandlerError::permanent("the room is not known here"))
}
