//! The file that `CHAT_UPLOADED` links to.

use crate::event::ParticipantJoined;
use crate::id::{Fqn, Jid, SessionId};
use crate::lenient::{self, Decode as _, Undecoded, payload};
use crate::private::Personal;
use crate::timestamp::Timestamp;

payload! {
    /// The chat of a meeting (documented; `messages` may be missing: asserted by jitsi-meet's tests).
    ///
    /// ```
    /// use jaas_core::files::chat::Chat;
    ///
    /// let file = br#"{"meetingFqn":"vpaas-magic-cookie-1/math","sessionId":"s-1","messageType":"CHAT",
    ///     "messages":[{"jid":"u@8x8.vc/66wbG6MC","name":"Ada","content":"hello","timestamp":1760000000000}]}"#;
    /// let chat = Chat::parse(file)?;
    /// assert_eq!(chat.messages[0].content.as_ref().unwrap().expose(), "hello");
    /// # Ok::<(), jaas_core::files::chat::ChatError>(())
    /// ```
    pub struct Chat {
        /// The address of the room.
        room_address: Option<Jid> = "roomAddress",
        /// The meeting's name.
        meeting_fqn: Option<Fqn> = "meetingFqn",
        /// The sitting of the room.
        session_id: Option<SessionId> = "sessionId",
        /// When the file was written, in ms.
        timestamp: Option<Timestamp> = "timestamp",
        /// What the file has; `CHAT`.
        message_type: Option<String> = "messageType",
        /// The meeting's subject.
        subject: Option<Personal> = "subject",
        /// The messages; none when nobody wrote.
        messages: Vec<ChatMessage> = "messages",
    }

    /// One message of a [`Chat`].
    pub struct ChatMessage {
        /// Who wrote it: the `participantFullJid` of a `PARTICIPANT_JOINED` (asserted by jitsi-meet's tests).
        jid: Option<Jid> = "jid",
        /// The same address without its resource (seen in the sender's modules).
        bare_jid: Option<Jid> = "bare_jid",
        /// The name of who wrote it.
        name: Option<Personal> = "name",
        /// The e-mail address of who wrote it.
        email: Option<Personal> = "email",
        /// The text.
        content: Option<Personal> = "content",
        /// When it was written, in ms.
        timestamp: Option<Timestamp> = "timestamp",
    }
}

impl Chat {
    /// Parses a file, as leniently as events are decoded: a field that is absent or does not fit is none, and costs nothing but
    /// itself.
    ///
    /// # Errors
    /// When the file is not a JSON object.
    pub fn parse(file: &[u8]) -> Result<Self, ChatError> {
        let text = std::str::from_utf8(file).map_err(|_| ChatError::NotUtf8)?;
        let text = lenient::without_bom(text).trim();
        // The fields are found in raw text, which is to be JSON as a whole.
        serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|_| ChatError::NotJson)?;
        Self::parse_data(text, &mut Undecoded::default()).map_err(|_| ChatError::NotAnObject)
    }
}

impl ChatMessage {
    /// Whether this participant wrote it: their full address is the message's.
    pub fn is_of(&self, joined: &ParticipantJoined) -> bool {
        self.jid.is_some() && self.jid == joined.participant.participant_full_jid
    }
}

/// Why bytes are not a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// They are not UTF-8.
    #[error("the chat is not UTF-8; was the file decompressed, or is it another one?")]
    NotUtf8,
    /// They are not JSON.
    #[error("the chat is not JSON; did the transfer end too soon?")]
    NotJson,
    /// They are JSON, and not an object.
    #[error("the chat is not a JSON object; is it another file?")]
    NotAnObject,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Payload as _;

    #[test]
    fn messages_are_parsed_whatever_else_does_not_fit() {
        let chat = Chat::parse(
            br#"{"roomAddress":"math@conference.8x8.vc","sessionId":7,"timestamp":"soon","messageType":"CHAT","new":{},
                "messages":[{"jid":"u@8x8.vc/1","bare_jid":"u@8x8.vc","name":null,"content":"hello","timestamp":1760000000000},
                {"content":{"odd":1}},{}]}"#,
        )
        .expect("a chat");
        assert_eq!((chat.messages.len(), chat.timestamp), (3, None));
        assert_eq!(chat.messages[0].content.as_ref().map(Personal::expose), Some("hello"));
        assert_eq!(chat.messages[0].timestamp, Some(Timestamp::from_millis(1_760_000_000_000)));
        assert_eq!((&chat.messages[1].content, &chat.messages[2].jid), (&None, &None));
        assert!(!format!("{chat:?}").contains("hello"), "{chat:?}");
    }

    #[test]
    fn a_chat_without_messages_is_empty() {
        for file in
            [r#"{"messageType":"CHAT"}"#, r#"{"messages":null}"#, r#"{"messages":{}}"#, "\u{feff} {} "]
        {
            assert!(Chat::parse(file.as_bytes()).expect(file).messages.is_empty(), "{file}");
        }
    }

    #[test]
    fn what_is_no_chat_says_why() {
        assert_eq!(Chat::parse(b"\xff"), Err(ChatError::NotUtf8));
        for file in ["", "{", r#"{"messages":["#, "{} {}"] {
            assert_eq!(Chat::parse(file.as_bytes()), Err(ChatError::NotJson), "{file}");
        }
        assert_eq!(Chat::parse(b"7"), Err(ChatError::NotAnObject));
    }

    #[test]
    fn a_message_is_of_the_participant_with_its_full_address() {
        let joined = |jid: &str| {
            ParticipantJoined::decode(&format!(r#"{{"participantFullJid":"{jid}"}}"#)).expect("an object")
        };
        let chat = Chat::parse(br#"{"messages":[{"jid":"u@8x8.vc/1"},{}]}"#).expect("a chat");
        assert!(chat.messages[0].is_of(&joined("u@8x8.vc/1")));
        assert!(!chat.messages[0].is_of(&joined("u@8x8.vc/2")));
        assert!(!chat.messages[1].is_of(&ParticipantJoined::default()), "nobody is not somebody");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(file: Vec<u8>) {
            let _ = Chat::parse(&file);
        }
    }
}
