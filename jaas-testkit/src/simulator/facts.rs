//! What an application should have learned.

mod check;
mod check_said;
mod json;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jaas_core::event::{DisconnectReason, EventKind};
use jaas_core::meetings::{Mark, Phrase, Rating};
use jaas_core::{AppId, BreakoutRoomId, Jid, Link, ParticipantId, PollId, SessionId, Timestamp, UserId};
use serde_json::{Value, json};

pub use self::said::{ReactionsByUser, TalkFact};

/// What an application that received every event of a meeting should know in the end, whatever their order and however
/// often each came. A meeting records it while it is played; compare your own tables with it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// The session.
    pub session: SessionId,
    /// The tenant.
    pub app: AppId,
    /// The room, as spelled in the meeting's URL before percent-encoding.
    pub room: String,
    /// When the main room opened; `None` when no one has come.
    pub opened_at: Option<Timestamp>,
    /// When the main room closed; `None` while it is open.
    pub ended_at: Option<Timestamp>,
    /// One for each `PARTICIPANT_JOINED`, in the order in which people first came.
    pub stays: Vec<Stay>,
    /// One for each `PARTICIPANT_JOINED_LOBBY`, in the order they came.
    pub waits: Vec<Wait>,
    /// One for each breakout room.
    pub breakouts: Vec<BreakoutFact>,
    /// One for each phone and SIP device.
    pub calls: Vec<CallFact>,
    /// The devices that the bill counts: the distinct `deviceId` of all `USAGE`. Over several meetings of a month, count
    /// their union.
    pub devices: BTreeSet<String>,
    /// One for each poll.
    pub polls: Vec<PollFact>,
    /// How often each reaction was sent, by its name on the wire.
    pub reactions: BTreeMap<String, usize>,
    /// The ratings that were given, from 1 to 5, in order.
    pub ratings: Vec<u8>,
    /// One for each `FEEDBACK`, in order.
    pub feedback: Vec<Rating>,
    /// How often each user sent each reaction.
    pub reactions_by_user: ReactionsByUser,
    /// Who spoke for how long; empty until the end.
    pub talk: Vec<TalkFact>,
    /// What was said while it was transcribed, with the name of who spoke, in order.
    pub phrases: Vec<Phrase>,
    /// When recordings, live streams and transcriptions began and ended, files were ready, and the like; in any order.
    pub marks: Vec<Mark>,
    /// The files that could be downloaded.
    pub artifacts: Vec<Artifact>,
}

/// From a `PARTICIPANT_JOINED` to its `PARTICIPANT_LEFT`, or to the end of the meeting if that never came.
///
/// A trip to a breakout room and back is three stays with one endpoint id, so session, endpoint id, room and time of joining
/// identify a stay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stay {
    /// The user id of the JWT; guests do not have one.
    pub user: Option<UserId>,
    /// The name; can be missing for guests.
    pub name: Option<String>,
    /// The full address. It pairs the events of visitors, who have no endpoint id.
    pub jid: Jid,
    /// The endpoint id, which several stays can share; visitors do not have one.
    pub participant: Option<ParticipantId>,
    /// The breakout room; `None` is the main room.
    pub breakout: Option<BreakoutRoomId>,
    /// Whether this is a visitor, who only watches.
    pub visitor: bool,
    /// When they joined this room.
    pub joined_at: Timestamp,
    /// When they left this room; `None` while they are in it.
    pub left_at: Option<Timestamp>,
    /// Whether no departure was sent, so that [`left_at`](Self::left_at) can only be when the room closed.
    pub estimated: bool,
    /// Why they left; `None` also for visitors, and when no departure was sent.
    pub reason: Option<DisconnectReason>,
}

/// From a `PARTICIPANT_JOINED_LOBBY` to its `PARTICIPANT_LEFT_LOBBY`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wait {
    /// The user id of the JWT; guests have none.
    pub user: Option<UserId>,
    /// The endpoint id.
    pub participant: ParticipantId,
    /// When they began to wait.
    pub since: Timestamp,
    /// When they no longer waited; `None` while they do.
    pub until: Option<Timestamp>,
}

/// A breakout room, from its opening until it closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BreakoutFact {
    /// The breakout room.
    pub id: BreakoutRoomId,
    /// When it opened.
    pub opened_at: Timestamp,
    /// When it closed; `None` while it is open.
    pub closed_at: Option<Timestamp>,
}

/// A phone or SIP device that was in the meeting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallFact {
    /// The event that began it.
    pub kind: EventKind,
    /// The phone number or SIP address.
    pub address: String,
    /// The endpoint id.
    pub participant: ParticipantId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; `None` while it continues.
    pub ended_at: Option<Timestamp>,
}

/// The result of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollFact {
    /// The poll.
    pub id: PollId,
    /// How many answered; the last answer of each participant counts.
    pub voters: usize,
    /// How often each option was ticked, by its key.
    pub votes: BTreeMap<i64, usize>,
    /// The question.
    pub question: String,
    /// The last answer of each voter: the keys of the options that are ticked, by the bare address.
    pub answers: BTreeMap<String, Vec<i64>>,
}

/// A file that could be downloaded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Artifact {
    /// The event with the link.
    pub kind: EventKind,
    /// What the file belongs to: the recording session, the document, the endpoint. `None` for files of the whole
    /// meeting.
    pub id: Option<String>,
    /// The link.
    pub link: Link,
}

impl Facts {
    /// How long a user was in the meeting, in any room, on any number of devices: no minute counts twice. Phones and
    /// guests have no user.
    pub fn attended(&self, user: &str) -> Duration {
        let of_user = |stay: &&Stay| stay.user.as_ref().is_some_and(|id| *id == *user);
        union(self.stays.iter().filter(of_user).filter_map(|stay| Some((stay.joined_at, stay.left_at?))))
    }

    /// The same, with the way from one room to another, which is a moment in neither.
    pub fn attended_with_ways(&self, user: &str) -> Duration {
        let of_user = |stay: &&Stay| stay.user.as_ref().is_some_and(|id| *id == *user);
        let until = |stay: &Stay| {
            let left_at = stay.left_at?;
            let switched = stay.reason == Some(DisconnectReason::SwitchRoom);
            let next = self.stays.iter().filter(|next| {
                switched
                    && next.jid == stay.jid
                    && next.joined_at >= left_at
                    && next.joined_at > stay.joined_at
            });
            next.map(|next| next.joined_at).min().or(Some(left_at))
        };
        union(self.stays.iter().filter(of_user).filter_map(|stay| Some((stay.joined_at, until(stay)?))))
    }

    /// What can be known when the `PARTICIPANT_LEFT` of these times are lost: those stays end when the same participant joined
    /// another room, or when their room closed.
    #[must_use]
    pub fn without_leaves(mut self, lost: &BTreeSet<Timestamp>) -> Self {
        let known = self.clone();
        for stay in &mut self.stays {
            if !stay.left_at.is_some_and(|at| lost.contains(&at)) {
                continue;
            }
            let (jid, joined_at) = (&stay.jid, stay.joined_at);
            let later = known.stays.iter().filter(|next| next.jid == *jid && next.joined_at > joined_at);
            let room = known.breakouts.iter().filter(|room| stay.breakout.as_ref() == Some(&room.id));
            let ends = later.map(|next| next.joined_at).chain(room.filter_map(|room| room.closed_at));
            stay.left_at = ends.chain(known.ended_at).min();
            stay.estimated = stay.left_at.is_some();
            stay.reason = None;
        }
        self
    }

    /// The users who attended, each once.
    pub fn users(&self) -> BTreeSet<&str> {
        self.stays.iter().filter_map(|stay| stay.user.as_ref()).map(UserId::as_str).collect()
    }

    /// How many files each kind of event brought.
    pub fn artifacts_of(&self, kind: EventKind) -> usize {
        self.artifacts.iter().filter(|artifact| artifact.kind == kind).count()
    }

    /// Everything as JSON, times in ms. It holds the names, devices and links of the simulated people.
    pub fn json(&self) -> Value {
        let attended: BTreeMap<_, _> =
            self.users().into_iter().map(|user| (user, millis(self.attended(user)))).collect();
        json!({
            "sessionId": self.session.as_str(),
            "appId": self.app.as_str(),
            "room": self.room,
            "openedAt": self.opened_at,
            "endedAt": self.ended_at,
            "attendedMs": attended,
            "stays": self.stays.iter().map(Stay::json).collect::<Vec<_>>(),
            "waits": self.waits.iter().map(Wait::json).collect::<Vec<_>>(),
            "breakouts": self.breakouts.iter().map(BreakoutFact::json).collect::<Vec<_>>(),
            "calls": self.calls.iter().map(CallFact::json).collect::<Vec<_>>(),
            "billableDevices": self.devices,
            "polls": self.polls.iter().map(PollFact::json).collect::<Vec<_>>(),
            "reactions": self.reactions,
            "ratings": self.ratings,
            "feedback": self.feedback.iter().map(said::rating).collect::<Vec<_>>(),
            "reactionsByUser": said::reactions(&self.reactions_by_user),
            "talk": self.talk.iter().map(TalkFact::json).collect::<Vec<_>>(),
            "phrases": self.phrases.iter().map(said::phrase).collect::<Vec<_>>(),
            "marks": self.marks.iter().map(said::mark).collect::<Vec<_>>(),
            "artifacts": self.artifacts.iter().map(Artifact::json).collect::<Vec<_>>(),
        })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long at least one of these lasts.
fn union(stays: impl Iterator<Item = (Timestamp, Timestamp)>) -> Duration {
    let mut stays: Vec<_> = stays.collect();
    stays.sort();
    let (mut total, mut until) = (Duration::ZERO, Timestamp::from_millis(i64::MIN));
    for (from, to) in stays {
        total += to.duration_since(from.max(until));
        until = until.max(to);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_stays_count_once_and_gaps_do_not() {
        let stays = [(0, 10), (5, 20), (6, 7), (30, 31), (20, 22)];
        let stays = stays.map(|(from, to)| (Timestamp::from_secs(from), Timestamp::from_secs(to)));
        assert_eq!(union(stays.into_iter()), Duration::from_secs(23));
        assert_eq!(union([].into_iter()), Duration::ZERO);
    }
}
