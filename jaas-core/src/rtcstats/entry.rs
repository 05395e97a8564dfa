//! One line of the file.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{RtcstatsError, RtcstatsErrorKind};
use crate::lenient::{self, Field as _, Key};
use crate::timestamp::Timestamp;

/// One entry: an event in the participant's browser. `Debug` shows neither data nor names.
#[derive(Clone)]
pub struct Entry {
    line: u64,
    kind: EntryKind,
    connection: Option<Box<str>>,
    at: Option<Timestamp>,
    sequence: Option<u64>,
    text: Box<str>,
    data: Range<usize>,
}

/// The kind of an entry. The words are those seen in the sender's code; any other word is [`Other`](EntryKind::Other).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EntryKind {
    /// WebRTC statistics, compressed; for a [`Decompressor`](super::Decompressor). On the wire `getstats`, in any case.
    GetStats,
    /// How the browser connected to the statistics server: the data is text that itself is JSON. `connectionInfo`
    ConnectionInfo,
    /// The participant and the meeting. `identity`
    Identity,
    /// A peer connection was created; the data is its configuration. `create`
    Create,
    /// Constraints of a peer connection. `constraints`
    Constraints,
    /// The connection's state; the data is the word. `onconnectionstatechange`
    ConnectionState,
    /// The state of ICE; the data is the word. `oniceconnectionstatechange`
    IceConnectionState,
    /// The dominant speaker changed. `dominantSpeaker`
    DominantSpeaker,
    /// Another kind, as received.
    Other(Box<str>),
}

impl EntryKind {
    /// The word on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::GetStats => "getstats",
            Self::ConnectionInfo => "connectionInfo",
            Self::Identity => "identity",
            Self::Create => "create",
            Self::Constraints => "constraints",
            Self::ConnectionState => "onconnectionstatechange",
            Self::IceConnectionState => "oniceconnectionstatechange",
            Self::DominantSpeaker => "dominantSpeaker",
            Self::Other(word) => word,
        }
    }
}

impl From<&str> for EntryKind {
    fn from(word: &str) -> Self {
        match word {
            "connectionInfo" => Self::ConnectionInfo,
            "identity" => Self::Identity,
            "create" => Self::Create,
            "constraints" => Self::Constraints,
            "onconnectionstatechange" => Self::ConnectionState,
            "oniceconnectionstatechange" => Self::IceConnectionState,
            "dominantSpeaker" => Self::DominantSpeaker,
            word if word.eq_ignore_ascii_case("getstats") => Self::GetStats,
            word => Self::Other(word.into()),
        }
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Entry {
    /// Parses a line of the file, without its line break. `line` is its number, for errors.
    ///
    /// # Errors
    ///
    /// [`BrokenLine`](RtcstatsErrorKind::BrokenLine) when it is not a JSON list of at least three elements, the first
    /// of them text. Elements after the fifth are ignored.
    pub fn parse(line: u64, text: impl Into<Box<str>>) -> Result<Self, RtcstatsError> {
        Self::from_line(line, text.into()).map_err(|error| broken(line, &error))
    }

    /// Like [`parse`](Self::parse), but the error may quote the line.
    pub(super) fn from_line(line: u64, text: Box<str>) -> Result<Self, serde_json::Error> {
        let elements: Elements<'_> = serde_json::from_str(&text)?;
        // The data is a part of the text, so the distance between the two is its position.
        let begin = elements.data.get().as_ptr() as usize - text.as_ptr() as usize;
        let data = begin..begin + elements.data.get().len();
        let (kind, connection) = (EntryKind::from(&*elements.kind.0), lenient::string(elements.connection));
        let at = elements.at.and_then(|raw| Timestamp::parse(raw.get()));
        let sequence = elements.sequence.and_then(|raw| u64::parse(raw.get()));
        Ok(Self { line, kind, connection: connection.map(Into::into), at, sequence, data, text })
    }

    /// The number of its line in the file, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The kind of the entry.
    pub fn kind(&self) -> &EntryKind {
        &self.kind
    }

    /// The peer connection: `PC_0`, `PC_1`, … in the order in which they were created.
    pub fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }

    /// The data as received: JSON of any type, depending on the kind.
    pub fn data(&self) -> &str {
        &self.text[self.data.clone()]
    }

    /// Decodes the data into your own type.
    ///
    /// # Errors
    ///
    /// When it is not such a value. The error may quote the data: keep it out of logs.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data())
    }

    /// The time, by the participant's clock.
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// Its number in the order in which the browser wrote them. Entries of the server do not have one.
    pub fn sequence(&self) -> Option<u64> {
        self.sequence
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("line", &self.line)
            .field("kind", &self.kind)
            .field("connection", &self.connection)
            .field("at", &self.at)
            .field("sequence", &self.sequence)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .finish()
    }
}

/// Reports where and how, but not what: errors of serde quote values.
pub(super) fn broken(line: u64, error: &serde_json::Error) -> RtcstatsError {
    use serde_json::error::Category;
    let why = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Data => "it must be a list of kind, connection, data, time and number",
        Category::Syntax | Category::Io => "it is not JSON",
    };
    let column = error.column();
    RtcstatsError::new(
        RtcstatsErrorKind::BrokenLine,
        line,
        format!("line {line} is not an entry: {why} (column {column})"),
    )
}

struct Elements<'a> {
    kind: Key<'a>,
    connection: &'a str,
    data: &'a RawValue,
    at: Option<&'a RawValue>,
    sequence: Option<&'a RawValue>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Elements<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of at least three elements")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let missing = || serde::de::Error::custom("too few elements");
                let kind = list.next_element()?.ok_or_else(missing)?;
                let connection: &RawValue = list.next_element()?.ok_or_else(missing)?;
                let data = list.next_element()?.ok_or_else(missing)?;
                let at = list.next_element()?;
                let sequence = list.next_element()?;
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Elements { kind, connection: connection.get(), data, at, sequence })
            }
        }

        deserializer.deserialize_seq(ListVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &str) -> Entry {
        Entry::parse(7, text).expect("an entry")
    }

    #[test]
    fn entries_have_three_to_five_elements_and_more_do_no_harm() {
        let three = entry(r#"["create","PC_0",{}]"#);
        assert_eq!((three.at(), three.sequence(), three.data()), (None, None, "{}"));
        let five = entry(r#" [ "create" , "PC_0" , [ 1 ] , 1600951818143.7 , 12 , "more", {} ] "#);
        assert_eq!(five.at(), Some(Timestamp::from_millis(1_600_951_818_143)));
        assert_eq!((five.sequence(), five.data(), five.line()), (Some(12), "[ 1 ]", 7));
    }

    #[test]
    fn data_may_be_of_any_type_and_the_connection_absent() {
        for data in ["{}", "[1,{}]", "\"a,]\"", "-1.5e3", "null", "true"] {
            let entry = entry(&format!(r#"["x",null,{data},1]"#));
            assert_eq!((entry.data(), entry.connection()), (data, None));
        }
        let info = entry(r#"["connectionInfo",null,"{\"userAgent\":\"x\"}",1]"#);
        let text: String = info.decode().expect("a text");
        assert_eq!(text, r#"{"userAgent":"x"}"#);
    }

    #[test]
    fn statistics_are_known_in_any_case_and_other_words_are_kept() {
        for word in ["getstats", "getStats", "GETSTATS"] {
            assert_eq!(entry(&format!(r#"["{word}",null,{{}}]"#)).kind(), &EntryKind::GetStats);
        }
        assert_eq!(entry(r#"["onSomething\u0041",null,1]"#).kind(), &EntryKind::Other("onSomethingA".into()));
        for word in ["getstats", "connectionInfo", "create", "dominantSpeaker", "x"] {
            assert_eq!(EntryKind::from(word).as_str(), word);
        }
    }

    #[test]
    fn a_line_that_is_not_an_entry_is_reported_without_quoting_it() {
        for text in ["", "Ada", "{}", "[]", r#"["Ada",null]"#, r#"[1,"Ada",{}]"#, r#"["Ada",null,{}"#, "[[[["]
        {
            let error = Entry::parse(3, text).expect_err("not an entry");
            assert_eq!((error.kind(), error.line()), (RtcstatsErrorKind::BrokenLine, 3));
            assert!(!format!("{error} {error:?}").contains("Ada"), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_no_data() {
        let debug = format!("{:?}", entry(r#"["identity",null,{"name":"Ada"},1]"#));
        assert!(!debug.contains("Ada") && debug.contains("14 bytes"), "{debug}");
    }

    #[test]
    fn nesting_without_end_parses_without_recursion() {
        let deep = format!(r#"["x",null,{}{}]"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(entry(&deep).data().len(), 200_000);
    }
}
