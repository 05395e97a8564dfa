//! Rooms that opened and closed.

use crate::id::{Jid, Room};
use crate::lenient::payload;

payload! {
    /// A room opened: the main room of a meeting, or one of its breakout rooms.
    ///
    /// - It can arrive after the first `PARTICIPANT_JOINED` of the room (documented).
    /// - A breakout room has the session, the `fqn` and the `conference` of its main room; only [`room`](Self::room)
    ///   distinguishes them (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RoomCreated {
        /// The address of the main room, also when a breakout room opened.
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room that opened.
            room: Room,
        }
    }

    /// A room closed: the main room of a meeting, or one of its breakout rooms.
    ///
    /// - Only the main room's event is the end of the meeting. A breakout room has the session, the `fqn` and the
    ///   `conference` of its main room, so look at [`room`](Self::room) first (seen in the sender's modules).
    /// - The end of the main room ends the presence of all participants still in it: a `PARTICIPANT_LEFT` can be
    ///   missing.
    /// - It is not the last event of a session: `TRANSCRIPTION_UPLOADED`, `CHAT_UPLOADED`,
    ///   `AGGREGATED_REACTIONS` and `SCREEN_SHARING_HISTORY` follow (asserted by jitsi-meet's tests), and
    ///   recordings may.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event RoomDestroyed {
        /// The address of the main room, also when a breakout room closed.
        conference: Option<Jid> = "conference",
        /// What was shared while the room was open: `AUDIO` always, `VIDEO` and `DESKTOP` if there was any (seen in the
        /// sender's modules). Empty when the sender omits it.
        media_types: Vec<String> = "mediaTypes",
        ..flatten {
            /// The room that closed.
            room: Room,
        }
    }
}
