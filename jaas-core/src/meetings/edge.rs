//! What one event says about who is where.

use crate::delivery::Delivery;
use crate::event::{DisconnectReason, Event, Participant};
use crate::id::{BreakoutRoomId, Fqn, Jid, ParticipantId, Room, SessionId, UserId};
use crate::private::Personal;
use crate::timestamp::Timestamp;

/// One coming, going, opening or closing: what one event says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Edge {
    /// The sitting.
    pub session: SessionId,
    /// The meeting's name, as spelled in the event.
    pub fqn: Fqn,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// What an [`Edge`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A room opened.
    Opened {
        /// The main room, or a breakout room.
        room: Place,
    },
    /// A room closed.
    Closed {
        /// The main room, or a breakout room.
        room: Place,
    },
    /// A participant came to a place.
    Joined {
        /// Where to.
        place: Place,
        /// Who.
        who: Who,
    },
    /// A participant left a place.
    Left {
        /// Where from.
        place: Place,
        /// Who.
        who: Who,
        /// Why, if the sender says.
        reason: Option<DisconnectReason>,
    },
}

/// Where a participant can be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Place {
    /// The main room.
    #[default]
    Main,
    /// A breakout room.
    Breakout {
        /// Which one, when the sender says.
        id: Option<BreakoutRoomId>,
    },
    /// The lobby, which is not yet the meeting.
    Lobby,
}

impl Place {
    /// Whether this is the lobby.
    pub fn is_lobby(&self) -> bool {
        *self == Self::Lobby
    }

    /// The breakout room's id.
    pub fn breakout_id(&self) -> Option<&BreakoutRoomId> {
        match self {
            Self::Breakout { id } => id.as_ref(),
            Self::Main | Self::Lobby => None,
        }
    }
}

impl From<&Room> for Place {
    fn from(room: &Room) -> Self {
        match room {
            Room::Main => Self::Main,
            Room::Breakout { id } => Self::Breakout { id: id.clone() },
        }
    }
}

/// `main`, `lobby`, `breakout`, or `breakout:` and the id.
impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Main => f.write_str("main"),
            Self::Lobby => f.write_str("lobby"),
            Self::Breakout { id: None } => f.write_str("breakout"),
            Self::Breakout { id: Some(id) } => write!(f, "breakout:{id}"),
        }
    }
}

/// The place that [`Display`](std::fmt::Display) writes so. Any other text is a breakout room without an id.
impl From<&str> for Place {
    fn from(text: &str) -> Self {
        match (text, text.strip_prefix("breakout:")) {
            ("main", _) => Self::Main,
            ("lobby", _) => Self::Lobby,
            (_, id) => Self::Breakout { id: id.map(BreakoutRoomId::new) },
        }
    }
}

/// Who came or left, as far as the event says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Who {
    /// The connection: the `participantId`, or else the bare address. It may contain a user's name, so do not log it.
    pub presence: String,
    /// How they take part.
    pub via: Via,
    /// The user id of the JWT; guests and phones have none.
    pub user_id: Option<UserId>,
    /// The endpoint id; visitors have none.
    pub participant_id: Option<ParticipantId>,
    /// The full address, or else the bare one.
    pub jid: Option<Jid>,
    /// The name.
    pub name: Option<Personal>,
    /// The e-mail address of the JWT.
    pub email: Option<Personal>,
    /// The phone number or SIP address of a call.
    pub address: Option<Personal>,
}

/// How somebody takes part in a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Via {
    /// In a browser or an app.
    #[default]
    Participant,
    /// As a visitor, who only watches.
    Visitor,
    /// A phone that dialled in.
    DialIn,
    /// A phone that was called.
    DialOut,
    /// A SIP device that called in.
    SipIn,
    /// A SIP device that was called.
    SipOut,
}

impl Via {
    /// Every way this version knows.
    pub const ALL: [Self; 6] =
        [Self::Participant, Self::Visitor, Self::DialIn, Self::DialOut, Self::SipIn, Self::SipOut];

    /// `participant`, `visitor`, `dial_in`, `dial_out`, `sip_in` or `sip_out`: as it is stored and exported.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Visitor => "visitor",
            Self::DialIn => "dial_in",
            Self::DialOut => "dial_out",
            Self::SipIn => "sip_in",
            Self::SipOut => "sip_out",
        }
    }

    /// The way with this [name](Self::as_str); any other text is [`Participant`](Self::Participant).
    pub fn from_name(name: &str) -> Self {
        Self::ALL.into_iter().find(|via| via.as_str() == name).unwrap_or_default()
    }

    /// Whether this is a phone or a SIP device.
    pub const fn is_call(self) -> bool {
        matches!(self, Self::DialIn | Self::DialOut | Self::SipIn | Self::SipOut)
    }
}

/// Whether a participant is a visitor, who only watches. Any of three marks says so: the `role` `visitor`, an address in a
/// `meet.jitsi` domain (both asserted by jitsi-meet's tests), and `isVisitor` (seen in the sender's modules).
pub fn is_visitor(participant: &Participant) -> bool {
    let addresses = [&participant.participant_jid, &participant.participant_full_jid];
    let is_of_visitors = |jid: &Jid| {
        let domain =
            jid.bare().rsplit_once('@').map_or(jid.bare(), |(_, domain)| domain).to_ascii_lowercase();
        domain == "meet.jitsi" || domain.ends_with(".meet.jitsi")
    };
    participant.is_visitor == Some(true)
        || participant.role.as_deref() == Some("visitor")
        || addresses.into_iter().flatten().any(is_of_visitors)
}

impl Edge {
    /// What a delivery says; `None` for events that are not about who is where, and for those without a session, a time or
    /// a participant.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        Self::of_event(delivery, &delivery.event())
    }

    /// The same when the payload is decoded already, as in a handler.
    pub fn of_event(delivery: &Delivery, event: &Event) -> Option<Self> {
        let envelope = &delivery.envelope;
        Some(Self {
            session: envelope.session_id.clone()?,
            fqn: envelope.fqn.clone(),
            at: envelope.timestamp?,
            change: change(event)?,
        })
    }

    /// An edge from its parts.
    pub fn new(session: SessionId, fqn: Fqn, at: Timestamp, change: Change) -> Self {
        Self { session, fqn, at, change }
    }

    /// Who came or left; `None` when a room opened or closed.
    pub fn who(&self) -> Option<&Who> {
        match &self.change {
            Change::Joined { who, .. } | Change::Left { who, .. } => Some(who),
            Change::Opened { .. } | Change::Closed { .. } => None,
        }
    }
}

impl Who {
    /// Nothing but a connection.
    pub fn new(presence: impl Into<String>, via: Via) -> Self {
        Self {
            presence: presence.into(),
            via,
            user_id: None,
            participant_id: None,
            jid: None,
            name: None,
            email: None,
            address: None,
        }
    }

    fn of(participant: &Participant) -> Option<Self> {
        let via = if is_visitor(participant) { Via::Visitor } else { Via::Participant };
        Some(Self {
            user_id: participant.id.clone(),
            participant_id: participant.participant_id.clone(),
            jid: participant.participant_full_jid.clone().or_else(|| participant.participant_jid.clone()),
            name: participant.name.clone(),
            email: participant.email.clone(),
            ..Self::new(participant.presence()?, via)
        })
    }
}

/// Reads a call, whose events have the same fields.
macro_rules! call {
    ($call:expr, $via:expr) => {{
        let mut participant = Participant::default();
        participant.participant_id = $call.participant_id.clone();
        participant.participant_jid = $call.participant_jid.clone();
        participant.participant_full_jid = $call.participant_full_jid.clone();
        Who { via: $via, ..Who::of(&participant)? }
    }};
}

fn change(event: &Event) -> Option<Change> {
    let joined = |room: &Room, who| Change::Joined { place: room.into(), who };
    let left = |room: &Room, who, reason: Option<&DisconnectReason>| Change::Left {
        place: room.into(),
        who,
        reason: reason.cloned(),
    };
    Some(match event {
        Event::RoomCreated(created) => Change::Opened { room: (&created.room).into() },
        Event::RoomDestroyed(destroyed) => Change::Closed { room: (&destroyed.room).into() },
        Event::ParticipantJoined(event) => joined(&event.room, Who::of(&event.participant)?),
        Event::ParticipantLeft(event) => {
            left(&event.room, Who::of(&event.participant)?, event.disconnect_reason.as_ref())
        }
        Event::ParticipantJoinedLobby(event) => {
            Change::Joined { place: Place::Lobby, who: Who::of(&event.participant)? }
        }
        Event::ParticipantLeftLobby(event) => Change::Left {
            place: Place::Lobby,
            who: Who::of(&event.participant)?,
            reason: event.disconnect_reason.clone(),
        },
        Event::DialInStarted(event) => {
            joined(&event.room, Who { address: number(event.nick.as_ref()), ..call!(event, Via::DialIn) })
        }
        Event::DialOutStarted(event) => {
            joined(&event.room, Who { address: number(event.nick.as_ref()), ..call!(event, Via::DialOut) })
        }
        Event::SipCallInStarted(event) => {
            let (address, name) = (event.sip_address.clone(), event.nick.clone());
            joined(&event.room, Who { address, name, ..call!(event, Via::SipIn) })
        }
        Event::SipCallOutStarted(event) => {
            let (address, name) = (event.sip_address.clone(), event.nick.clone());
            joined(&event.room, Who { address, name, ..call!(event, Via::SipOut) })
        }
        Event::DialInEnded(event) => left(&event.room, call!(event, Via::DialIn), None),
        Event::DialOutEnded(event) => {
            left(&event.room, call!(event, Via::DialOut), event.disconnect_reason.as_ref())
        }
        Event::SipCallInEnded(event) => {
            left(&event.room, call!(event, Via::SipIn), event.disconnect_reason.as_ref())
        }
        Event::SipCallOutEnded(event) => {
            left(&event.room, call!(event, Via::SipOut), event.disconnect_reason.as_ref())
        }
        _ => return None,
    })
}

/// The phone number of a `nick`; the documented example has it twice, as in `40364… (+40364…)`.
fn number(nick: Option<&Personal>) -> Option<Personal> {
    let nick = nick?.expose();
    Some(Personal::new(nick.split_once(" (").map_or(nick, |(number, _)| number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    #[test]
    fn a_visitor_is_told_by_any_of_three_marks() {
        for (data, visitor) in [
            (r#"{"participantId":"p"}"#, false),
            (r#"{"participantJid":"v@8x8.vc","isVisitor":true}"#, true),
            (r#"{"participantJid":"v@8x8.vc","role":"visitor"}"#, true),
            (r#"{"participantJid":"v@visitors1.meet.jitsi"}"#, true),
            (r#"{"participantFullJid":"v@meet.jitsi/r"}"#, true),
            (r#"{"participantJid":"v@nomeet.jitsi","role":"moderator","isVisitor":"false"}"#, false),
        ] {
            let Event::ParticipantJoined(joined) = Event::parse(EventKind::ParticipantJoined, data) else {
                panic!("{data}")
            };
            assert_eq!(is_visitor(&joined.participant), visitor, "{data}");
        }
    }

    #[test]
    fn a_place_finds_back_from_its_text() {
        let breakout = |id: Option<&str>| Place::Breakout { id: id.map(BreakoutRoomId::new) };
        for place in [Place::Main, Place::Lobby, breakout(None), breakout(Some("main")), breakout(Some(""))] {
            assert_eq!(Place::from(place.to_string().as_str()), place);
        }
    }

    #[test]
    fn a_way_finds_back_from_its_name() {
        for via in Via::ALL {
            assert_eq!(Via::from_name(via.as_str()), via);
        }
        assert_eq!(Via::from_name("pigeon"), Via::Participant);
    }
}
