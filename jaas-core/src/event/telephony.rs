//! Phones and SIP devices in a meeting.

use super::participant::DisconnectReason;
use crate::id::{Jid, ParticipantId, Room};
use crate::lenient::{open_enum, payload};
use crate::private::Personal;

payload! {
    /// A SIP device called in and is in the meeting.
    ///
    /// - It replaces `PARTICIPANT_JOINED` (seen in the sender's modules); pair it with `SIP_CALL_IN_ENDED` by session
    ///   and participant id.
    /// - SIP calls do not count as monthly active users (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event SipCallInStarted {
        /// The caller's SIP address, as in `sip:user@host`.
        sip_address: Option<Personal> = "sipAddress",
        /// The caller's id in readable form (documented).
        nick: Option<Personal> = "nick",
        /// The device's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A SIP device that had called in is gone.
    ///
    /// It replaces `PARTICIPANT_LEFT` (seen in the sender's modules). The SIP address is not repeated: pair it with
    /// `SIP_CALL_IN_STARTED` by session and participant id.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event SipCallInEnded {
        /// The device's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// Why the call ended (seen in the sender's modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A SIP device was called from the meeting and is in it.
    ///
    /// - It replaces `PARTICIPANT_JOINED` (seen in the sender's modules); pair it with `SIP_CALL_OUT_ENDED` by session
    ///   and participant id.
    /// - SIP calls do not count as monthly active users (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event SipCallOutStarted {
        /// The called SIP address, as in `sip:user@host`.
        sip_address: Option<Personal> = "sipAddress",
        /// The name of the called party, usually the user part of the SIP address (documented).
        nick: Option<Personal> = "nick",
        /// The device's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A SIP device called from the meeting is gone.
    ///
    /// It replaces `PARTICIPANT_LEFT` (seen in the sender's modules). The SIP address is not repeated: pair it with
    /// `SIP_CALL_OUT_STARTED` by session and participant id.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event SipCallOutEnded {
        /// The device's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// Why the call ended (seen in the sender's modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A phone dialled in and is in the meeting.
    ///
    /// - It replaces `PARTICIPANT_JOINED` (seen in the sender's modules); pair it with `DIAL_IN_ENDED` by session and
    ///   participant id.
    /// - A call counts as a monthly active user: `USAGE` names it by its phone number (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DialInStarted {
        /// The direction: [`In`](CallDirection::In).
        direction: Option<CallDirection> = "direction",
        /// The caller's phone number; the documented example has it twice, as in `40364… (+40364…)`.
        nick: Option<Personal> = "nick",
        /// The phone's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A phone that had dialled in is gone.
    ///
    /// It replaces `PARTICIPANT_LEFT`, without a reason (seen in the sender's modules). The number is not repeated:
    /// pair it with `DIAL_IN_STARTED` by session and participant id.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DialInEnded {
        /// The phone's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A phone was called from the meeting and is in it.
    ///
    /// - It replaces `PARTICIPANT_JOINED` (seen in the sender's modules); pair it with `DIAL_OUT_ENDED` by session and
    ///   participant id.
    /// - A call counts as a monthly active user: `USAGE` names it by its phone number (documented).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DialOutStarted {
        /// The direction: [`Out`](CallDirection::Out).
        direction: Option<CallDirection> = "direction",
        /// The phone number; the documented example has it twice, as in `40364… (+40364…)`.
        nick: Option<Personal> = "nick",
        /// The phone's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }

    /// A phone called from the meeting is gone.
    ///
    /// It replaces `PARTICIPANT_LEFT` (seen in the sender's modules). The number is not repeated: pair it with
    /// `DIAL_OUT_STARTED` by session and participant id.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event DialOutEnded {
        /// The phone's address in the meeting, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource (asserted by jitsi-meet's tests).
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// Why the call ended (seen in the sender's modules).
        disconnect_reason: Option<DisconnectReason> = "disconnectReason",
        /// The address of the room (seen in the sender's modules).
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room of the call (seen in the sender's modules).
            room: Room,
        }
    }
}

open_enum! {
    /// Which side called, from the meeting's point of view.
    pub enum CallDirection {
        /// The phone called the meeting.
        In = "in",
        /// The meeting called the phone.
        Out = "out",
    }
}
