//! People who wait in the lobby.

use super::participant::{DisconnectReason, Participant};
use crate::id::Room;
use crate::lenient::payload;

payload! {
    /// A participant began to wait in the lobby.
    ///
    /// - Moderators pass the lobby without an event (seen in the sender's modules).
    /// - Waiting is not yet a presence in the meeting: that is a `PARTICIPANT_JOINED`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantJoinedLobby {
        ..flatten {
            /// Who waits; `conference` is the lobby's address (seen in the sender's modules).
            participant: Participant,
            /// Documented, but the sender omits it for the lobby (seen in its modules): the main room.
            room: Room,
        }
    }

    /// A participant no longer waits in the lobby.
    ///
    /// - It does not say whether the person was let in, was turned away or left: every departure from the lobby is sent
    ///   (seen in the sender's modules). A person who was let in has a `PARTICIPANT_JOINED` in the same session.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantLeftLobby {
        /// Why: `left` and `kicked` are documented, but the sender can use any of its words for `PARTICIPANT_LEFT`
        /// (seen in its modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        ..flatten {
            /// Who waited; `conference` is the lobby's address (seen in the sender's modules).
            participant: Participant,
            /// Documented, but the sender omits it for the lobby (seen in its modules): the main room.
            room: Room,
        }
    }
}
