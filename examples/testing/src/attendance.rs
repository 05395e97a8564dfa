//! Who attended a meeting, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jaas_core::event::{ParticipantJoined, ParticipantLeft, RoomDestroyed};
use jaas_core::{Context, EventHandler, Handled, HandlerResult, SessionId, Timestamp, UserId};

/// Remembers who was in which sitting, from when until when.
///
/// Events come in any order and more than once. So each event records what it knows under its presence, and everything
/// else is computed on demand.
#[derive(Debug, Default)]
pub struct Attendance {
    sittings: Mutex<BTreeMap<SessionId, Sitting>>,
}

#[derive(Debug, Default)]
struct Sitting {
    /// By `Participant::presence`: the endpoint id, or the address of visitors, who have no endpoint id.
    presences: BTreeMap<String, Presence>,
    ended: Option<Timestamp>,
}

/// One connection of a user, with its joins and leaves. A trip to a breakout room and back keeps the endpoint id, so there
/// can be several of each.
#[derive(Debug, Default)]
struct Presence {
    user: Option<UserId>,
    joins: BTreeSet<(Timestamp, Room)>,
    leaves: BTreeSet<(Timestamp, Room)>,
}

/// `main room`, or `breakout room` and its id.
type Room = String;

impl Presence {
    /// Returns from when until when it was in a room. If a leave never came, the next join of the same connection, or
    /// the end of the meeting, closes the stay.
    fn stays(&self, ended: Option<Timestamp>) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        self.joins.iter().filter_map(move |(joined, room)| {
            let left = self.leaves.iter().find(|(at, left)| at >= joined && left == room).map(|(at, _)| *at);
            let next = self.joins.iter().find(|(at, _)| at > joined).map(|(at, _)| *at);
            let again = self.joins.iter().find(|(at, other)| at > joined && other == room).map(|(at, _)| *at);
            let left = left.filter(|left| again.is_none_or(|again| *left <= again));
            Some((*joined, left.or(next).or(ended)?))
        })
    }
}

impl Attendance {
    /// Returns how long this user was in the sitting, in any room and on any number of devices. No minute counts twice.
    pub fn of(&self, session: &SessionId, user: &UserId) -> Duration {
        let sittings = self.lock();
        let Some(sitting) = sittings.get(session) else { return Duration::ZERO };
        let of_user = sitting.presences.values().filter(|presence| presence.user.as_ref() == Some(user));
        let mut times: Vec<_> = of_user.flat_map(|presence| presence.stays(sitting.ended)).collect();
        times.sort();
        let (mut attended, mut counted_until) = (Duration::ZERO, Timestamp::from_millis(i64::MIN));
        for (from, until) in times {
            attended += until.duration_since(from.max(counted_until));
            counted_until = counted_until.max(until);
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
        let Some(presence) = event.participant.presence() else {
            return Ok(Handled::ignored("no participant is named"));
        };
        self.write(cx, |sitting, at| {
            let presence = sitting.presences.entry(presence.to_owned()).or_default();
            presence.user.clone_from(&event.participant.id);
            presence.joins.insert((at, event.room.to_string()));
        })
    }

    async fn participant_left(&self, cx: &mut Context<'_>, event: &ParticipantLeft) -> HandlerResult {
        let Some(presence) = event.participant.presence() else {
            return Ok(Handled::ignored("no participant is named"));
        };
        self.write(cx, |sitting, at| {
            let presence = sitting.presences.entry(presence.to_owned()).or_default();
            presence.leaves.insert((at, event.room.to_string()));
        })
    }

    async fn room_destroyed(&self, cx: &mut Context<'_>, event: &RoomDestroyed) -> HandlerResult {
        if event.room.is_breakout() {
            return Ok(Handled::ignored("the end of a breakout room is not the end of the meeting"));
        }
        self.write(cx, |sitting, at| sitting.ended = Some(at))
    }
}
