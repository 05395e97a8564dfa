//! What was said and written: transcriptions and the chat.

use crate::id::{Jid, ParticipantId, Room, UserId};
use crate::lenient::payload;
use crate::private::{Link, Personal};

payload! {
    /// Transcription began: the transcriber entered the room.
    ///
    /// Not documented: everything here was seen in the sender's modules. The fields are about the transcriber, not
    /// about the participant who switched it on.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event TranscriptionStarted {
        /// The transcriber's address, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource.
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The transcriber's endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room.
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room that is transcribed.
            room: Room,
        }
    }

    /// Transcription stopped: the transcriber left the room.
    ///
    /// Not documented: everything here was seen in the sender's modules. The file comes later, with
    /// `TRANSCRIPTION_UPLOADED`.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event TranscriptionEnded {
        /// The transcriber's address, bare.
        participant_jid: Option<Jid> = "participantJid",
        /// The same address with its resource.
        participant_full_jid: Option<Jid> = "participantFullJid",
        /// The transcriber's endpoint id.
        participant_id: Option<ParticipantId> = "participantId",
        /// The address of the room.
        conference: Option<Jid> = "conference",
        ..flatten {
            /// The room that was transcribed.
            room: Room,
        }
    }

    /// The transcription of the meeting can be downloaded.
    ///
    /// - It comes when the meeting has ended (documented), after `ROOM_DESTROYED` (asserted by jitsi-meet's
    ///   tests).
    /// - The link expires after 24 hours, and the file is deleted permanently (documented).
    /// - No format is documented for the file: keep its bytes.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event TranscriptionUploaded {
        /// Where the file is, for 24 hours (documented).
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
    }

    /// A participant finished a phrase. The event has its text, while the meeting goes on.
    ///
    /// - Only final phrases are sent (documented); order them by `timestamp`, not by arrival.
    /// - There are many: do not do slow work per phrase.
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event TranscriptionChunkReceived {
        /// The phrase, often with a leading space; `final` on the wire, which Rust reserves.
        text: Option<Personal> = "final",
        /// The language: `en` in the documented example, full tags such as `en-US` also occur (documented).
        language: Option<String> = "language",
        /// The message's id; the meeting's iframe API reports the phrase under the same id (asserted by jitsi-meet's
        /// tests).
        message_id: Option<String> = "messageID",
        /// Who spoke.
        participant: Option<Speaker> = "participant",
    }

    /// Who spoke a [`TranscriptionChunkReceived`].
    pub struct Speaker {
        /// The endpoint id, `participantId` in other events (asserted by jitsi-meet's tests).
        id: Option<ParticipantId> = "id",
        /// The name; absent in asynchronous transcriptions (asserted by jitsi-meet's tests).
        name: Option<Personal> = "name",
        /// The user id of the JWT; guests do not have one.
        user_id: Option<UserId> = "userId",
        /// The e-mail address of the JWT.
        email: Option<Personal> = "email",
        /// The link to the speaker's picture.
        avatar_url: Option<Personal> = "avatarUrl",
    }

    /// The chat of the meeting can be downloaded.
    ///
    /// - It comes when the meeting has ended (documented), after `ROOM_DESTROYED` (asserted by jitsi-meet's
    ///   tests).
    /// - The link expires after 24 hours, and the file is deleted permanently (documented).
    /// - The file is a JSON object whose `messages` may be missing; the `jid` of a message is the
    ///   `participantFullJid` of a `PARTICIPANT_JOINED` (seen in the sender's modules).
    ///
    /// <https://developer.8x8.com/jaas/docs/webhooks-payload>
    pub event ChatUploaded {
        /// Where the file is, for 24 hours (documented).
        pre_authenticated_link: Option<Link> = "preAuthenticatedLink",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;

    #[test]
    fn a_phrase_and_its_speaker_stay_out_of_debug_output() {
        let chunk = TranscriptionChunkReceived::decode(
            r#"{"final":" My PIN is 1234.","language":"en","messageID":"018c57d5",
                "participant":{"id":"abcd1234","name":"Jane Doe","userId":"u1","email":"jane@example.org"}}"#,
        )
        .expect("an object");
        assert_eq!(chunk.text.as_ref().map(Personal::expose), Some(" My PIN is 1234."));
        let speaker = chunk.participant.as_ref().expect("a speaker");
        assert_eq!(speaker.id, Some(ParticipantId::new("abcd1234")));
        assert_eq!(speaker.user_id, Some(UserId::new("u1")));
        let shown = format!("{chunk:?}");
        assert!(!["1234.", "Jane", "jane@"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }
}
