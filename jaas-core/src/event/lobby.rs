//! People who wait in the lobby.

use super::participant::{DisconnectReason, Participant};
use crate::id::Room;
use crate::lenient::payload;

payload! {
    /// Somebody began to wait in the lobby.
    ///
    /// - Moderators pass the lobby without an event (seen in the sender's modules).
    /// - The wait is not yet a presence in the meeting: that is a `PARTICIPANT_JOINED`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantJoinedLobby {
        ..flatten {
            /// Who waits; `conference` is the lobby's own address (seen in the sender's modules).
            participant: Participant,
            /// Documented, but the sender leaves it out for the lobby (seen in its modules): the main room.
            room: Room,
        }
    }

    /// Somebody no longer waits in the lobby.
    ///
    /// - It does not tell whether the person was let in, turned away or gave up: every departure from the
    ///   lobby is sent (seen in the sender's modules). Who was let in has a `PARTICIPANT_JOINED` in the same
    ///   session.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ParticipantLeftLobby {
        /// Why: documented are `left` and `kicked`, but the sender chooses among all the words it has for
        /// `PARTICIPANT_LEFT` (seen in its modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        ..flatten {
            /// Who waited; `conference` is the lobby's own address (seen in the sender's modules).
            participant: Participant,
            /// Documented, but the sender leaves it out for the lobby (seen in its modules): the main room.
            room: Room,
        }
    }
}
