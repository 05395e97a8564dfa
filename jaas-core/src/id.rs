//! Identifiers, each with its own type.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::lenient::{Field, Fields, Undecoded, WriteFields};

/// Defines newtypes around the string as received.
macro_rules! string_id {
    ($($(#[$meta:meta])* pub struct $Name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $Name(String);

        impl $Name {
            #[doc = concat!("Wraps a string as a `", stringify!($Name), "`, unchanged.")]
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The string as received.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The string as received.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $Name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $Name {
            fn from(value: String) -> Self {
                Self(value)
            }
        }

        impl From<&str> for $Name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl PartialEq<str> for $Name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $Name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl $crate::lenient::Field for $Name {
            fn parse(raw: &str) -> Option<Self> {
                $crate::lenient::string(raw).map(Self)
            }
        }

        impl $crate::lenient::Write for $Name {
            fn write(&self) -> Option<serde_json::Value> {
                Some(self.as_str().into())
            }
        }
    )*};
}

/// Shows the type of an identifier and its text.
macro_rules! open_debug {
    ($($Name:ident)*) => {$(
        impl fmt::Debug for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($Name), "({:?})"), self.0)
            }
        }
    )*};
}

open_debug! {
    IdempotencyKey SessionId AppId CustomerId ParticipantId BreakoutRoomId RecordingSessionId PollId
}

/// A room's name can be a person's name, or reveal what a meeting is about, so only the tenant is shown.
impl fmt::Debug for Fqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.app_id() {
            Some(tenant) => write!(f, "Fqn({tenant}/…)"),
            None => f.write_str("Fqn(…)"),
        }
    }
}

/// The address of a conference begins with the room's name, and a participant's address may begin with the user's, so
/// only the domain is shown.
impl fmt::Debug for Jid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bare().rsplit_once('@') {
            Some((_, domain)) => write!(f, "Jid(…@{domain})"),
            None => f.write_str("Jid(…)"),
        }
    }
}

/// Many applications use an e-mail address as the id, so it is hidden.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}

string_id! {
    /// Identifies the event: two deliveries with the same `idempotencyKey` are the same event.
    ///
    /// Documented as a GUID, but 8x8's own examples have 9 and 13 digit tails, so it is an opaque string; never parse
    /// it.
    pub struct IdempotencyKey;

    /// One sitting of a room: `sessionId`. Using the same room again later is a new session; breakout rooms
    /// share the session of their main room.
    pub struct SessionId;

    /// A tenant: `appId`, `vpaas-magic-cookie-` followed by the customer id.
    pub struct AppId;

    /// The JaaS customer: `customerId`.
    pub struct CustomerId;

    /// A participant's endpoint id: `participantId` almost everywhere. It is created with the connection (seen in the
    /// sender's modules): a reload or a reconnect has a new one, a trip to a breakout room and back keeps it. The same
    /// id then joins and leaves several times in one session, so pair `PARTICIPANT_LEFT` with `PARTICIPANT_JOINED` by
    /// session, participant id *and room*, in the order of their `timestamp`.
    pub struct ParticipantId;

    /// The user's id in *your* system: `context.user.id` of the JWT with which the participant joined. It stays the
    /// same when the participant joins again; guests do not have one. `Debug` hides it, because many applications use
    /// an e-mail address.
    pub struct UserId;

    /// One breakout room of a session: `breakoutRoomId`.
    pub struct BreakoutRoomId;

    /// One recording: `recordingSessionId`. A session can have several.
    pub struct RecordingSessionId;

    /// One poll: `pollId`.
    pub struct PollId;

    /// A participant's XMPP address: `local@domain` (bare) or `local@domain/resource` (full).
    ///
    /// Most events carry the bare address; `REACTIONS`, `ROLE_CHANGED`, `SPEAKER_STATS` and chat files carry the full
    /// one. Compare [`bare`](Jid::bare) forms when you join across events. `Debug` shows the domain only.
    ///
    /// ```
    /// # use jaas_core::Jid;
    /// let full = Jid::new("ada@8x8.vc/66wbG6MC");
    /// assert_eq!((full.bare(), full.resource()), ("ada@8x8.vc", Some("66wbG6MC")));
    /// ```
    pub struct Jid;

    /// A meeting's fully qualified name: `<AppID>/<room>`.
    ///
    /// The spelling differs between events of one meeting (the meeting server lower-cases and percent-encodes, other
    /// senders keep the URL's spelling), and a room name may contain `/`. Use [`same_room`](Fqn::same_room) to compare,
    /// and [`SessionId`] to distinguish sittings. `Debug` shows the tenant only, because a room's name can be personal.
    pub struct Fqn;
}

impl AppId {
    /// The customer id inside `vpaas-magic-cookie-<customerId>`.
    pub fn customer_id(&self) -> Option<&str> {
        self.0.strip_prefix("vpaas-magic-cookie-")
    }
}

impl Jid {
    /// The address without its resource.
    pub fn bare(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(bare, _)| bare)
    }

    /// The resource after the first `/` of a full address.
    pub fn resource(&self) -> Option<&str> {
        self.0.split_once('/').map(|(_, resource)| resource)
    }

    /// Whether the address has a resource.
    pub fn is_full(&self) -> bool {
        self.resource().is_some()
    }
}

impl Fqn {
    /// The tenant: the text before the first `/`, or `None` without one.
    pub fn app_id(&self) -> Option<&str> {
        self.0.split_once('/').map(|(app, _)| app).filter(|app| !app.is_empty())
    }

    /// The room as spelled in this event: the text after the first `/`, or everything without one.
    pub fn room(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, room)| room)
    }

    /// The room in the spelling used for comparison: percent-decoded, then lower-cased.
    ///
    /// ```
    /// # use jaas_core::Fqn;
    /// assert_eq!(Fqn::new("vpaas-magic-cookie-1/Caf%C3%A9%2F7").room_key(), "café/7");
    /// ```
    pub fn room_key(&self) -> String {
        room_key(self.room())
    }

    /// Whether both name the same room of the same tenant, whatever the spelling.
    ///
    /// ```
    /// # use jaas_core::Fqn;
    /// let joined = Fqn::new("vpaas-magic-cookie-1/team%20room");
    /// let reacted = Fqn::new("vpaas-magic-cookie-1/Team Room");
    /// assert!(joined.same_room(&reacted));
    /// ```
    pub fn same_room(&self, other: &Self) -> bool {
        self.app_id().map(str::to_lowercase) == other.app_id().map(str::to_lowercase)
            && self.room_key() == other.room_key()
    }
}

/// Returns a room's name in the spelling used for comparison, percent-decoded and lower-cased: like [`Fqn::room_key`],
/// but for a name without its tenant, such as one from a URL or your own table.
///
/// ```
/// use jaas_core::{Fqn, room_key};
///
/// assert_eq!(room_key("Caf%C3%A9/7"), Fqn::new("vpaas-magic-cookie-1/caf%c3%a9%2F7").room_key());
/// ```
pub fn room_key(room: &str) -> String {
    percent_decode_str(room).decode_utf8_lossy().to_lowercase()
}

/// The room in which an event happened: the main room or one of its breakout rooms.
///
/// Decoded from `isBreakout` and `breakoutRoomId`. Lobby and visitor events have neither and count as the main room; an
/// event that names a breakout room counts as being in it.
///
/// A breakout room shares session and `fqn` with its main room, so `ROOM_DESTROYED` with
/// [`Breakout`](Room::Breakout) is not the end of the meeting.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Room {
    /// The main room.
    #[default]
    Main,
    /// A breakout room.
    Breakout {
        /// Its id, when the sender includes it.
        id: Option<BreakoutRoomId>,
    },
}

impl Room {
    /// Whether this is a breakout room.
    pub fn is_breakout(&self) -> bool {
        matches!(self, Self::Breakout { .. })
    }

    /// The breakout room's id.
    pub fn breakout_id(&self) -> Option<&BreakoutRoomId> {
        match self {
            Self::Main => None,
            Self::Breakout { id } => id.as_ref(),
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.write_str("main room"),
            Self::Breakout { id: Some(id) } => write!(f, "breakout room {id}"),
            Self::Breakout { id: None } => f.write_str("breakout room"),
        }
    }
}

impl Fields for Room {
    fn set(&mut self, key: &str, raw: &str, undecoded: &mut Undecoded) -> bool {
        match key {
            "isBreakout" => {
                let is_breakout = undecoded.checked("isBreakout", raw, bool::parse(raw));
                if is_breakout == Some(true) && !self.is_breakout() {
                    *self = Self::Breakout { id: None };
                }
            }
            "breakoutRoomId" => {
                if let Some(id) = undecoded.checked("breakoutRoomId", raw, Field::parse(raw)) {
                    *self = Self::Breakout { id: Some(id) };
                }
            }
            _ => return false,
        }
        true
    }
}

impl WriteFields for Room {
    fn write_fields(&self, into: &mut Map<String, Value>) {
        into.insert("isBreakout".to_owned(), self.is_breakout().into());
        if let Some(id) = self.breakout_id() {
            into.insert("breakoutRoomId".to_owned(), id.as_str().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fqn_is_split_at_the_first_slash_only() {
        let fqn = Fqn::new("app/a/b");
        assert_eq!((fqn.app_id(), fqn.room()), (Some("app"), "a/b"));
    }

    #[test]
    fn fqn_without_slash_is_all_room() {
        let fqn = Fqn::new("room");
        assert_eq!((fqn.app_id(), fqn.room()), (None, "room"));
    }

    #[test]
    fn rooms_of_different_tenants_differ() {
        assert!(!Fqn::new("a/room").same_room(&Fqn::new("b/room")));
        assert!(Fqn::new("A/ROOM%31").same_room(&Fqn::new("a/room1")));
    }

    #[test]
    fn debug_shows_no_room_and_no_user() {
        assert_eq!(format!("{:?} {:?}", Fqn::new("app/zoe/x"), Fqn::new("zoe")), "Fqn(app/…) Fqn(…)");
        let jids = ["zoe@conference.app.8x8.vc", "u@8x8.vc/res@x", "zoe"].map(Jid::new);
        assert_eq!(format!("{jids:?}"), "[Jid(…@conference.app.8x8.vc), Jid(…@8x8.vc), Jid(…)]");
    }

    #[test]
    fn jid_knows_bare_and_full() {
        let full = Jid::new("u@8x8.vc/res/x");
        assert_eq!((full.bare(), full.resource()), ("u@8x8.vc", Some("res/x")));
        assert!(!Jid::new("u@8x8.vc").is_full());
    }
}
