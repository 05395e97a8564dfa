//! Who attended for how long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::{
    Context, EventHandler, Handled, HandlerResult, ParticipantId, Personal, SessionId, Timestamp,
};

/// Remembers who was in which sitting, from when until when.
///
/// Events come in any order and more than once. So each writes down what it knows under the presence it is about, and
/// nothing is computed before somebody asks.
#[derive(Debug, Default)]
pub struct Attendance {
    sittings: Mutex<BTreeMap<SessionId, Sitting>>,
}

#[derive(Debug, Default)]
struct Sitting {
    presences: BTreeMap<ParticipantId, Presence>,
    ended: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Presence {
    name: Option<Personal>,
    joined: Option<Timestamp>,
    left: Option<Timestamp>,
}

impl Attendance {
    /// How long each person was in this sitting, by name, breakout rooms included. Those whose end is not known, and
    /// guests without a name, are left out.
    pub fn of(&self, session: &SessionId) -> BTreeMap<String, Duration> {
        let mut attended = BTreeMap::new();
        let sittings = self.lock();
        let Some(sitting) = sittings.get(session) else { return attended };
        for presence in sitting.presences.values() {
            // A leave that never came: the end of the meeting closes it.
            let until = presence.left.or(sitting.ended);
            if let (Some(name), Some(from), Some(until)) = (&presence.name, presence.joined, until) {
                *attended.entry(name.expose().to_owned()).or_default() += until.duration_since(from);
            }
        }
        attended
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SessionId, Sitting>> {
        self.sittings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, cx: &Context<'_>, write: impl FnOnce(&mut Sitting, Timestamp)) -> HandlerResult {
        let session = cx.envelope().session_id.clone().ok_or("no session")?;
        write(self.lock().entry(session).or_default(), cx.delivery().occurred_at());
        Ok(Handled::Done)
    }
}

#[async_trait]
impl EventHandler for Attendance {
    async fn participant_joined(&self, cx: &mut Context<'_>, event: &ParticipantJoined) -> HandlerResult {
        let Some(id) = event.participant.participant_id.clone() else {
            return Ok(Handled::ignored("a visitor, who only watches"));
        };
        self.write(cx, |sitting, at| {
            let presence = sitting.presences.entry(id).or_default();
            presence.name.clone_from(&event.participant.name);
            presence.joined = Some(at);
        })
    }

    async fn participant_left(&self, cx: &mut Context<'_>, event: &ParticipantLeft) -> HandlerResult {
        let Some(id) = event.participant.participant_id.clone() else {
            return Ok(Handled::ignored("a visitor, who only watches"));
        };
        self.write(cx, |sitting, at| sitting.presences.entry(id).or_default().left = Some(at))
    }

    async fn room_destroyed(&self, cx: &mut Context<'_>, event: &RoomDestroyed) -> HandlerResult {
        if event.room.is_breakout() {
            return Ok(Handled::ignored("the end of a breakout room is not that of the meeting"));
        }
        self.write(cx, |sitting, at| sitting.ended = Some(at))
    }
}
