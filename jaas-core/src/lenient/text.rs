//! Text as senders write it: numbers in the place of strings, halves of emoji, byte order marks.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::shape::{Shape, shape};

/// Decodes a string, or a number as its digits; empty is `None`.
pub(crate) fn string(raw: &str) -> Option<String> {
    text(raw).map(Cow::into_owned)
}

/// The same, borrowed where it can be.
pub(crate) fn text(raw: &str) -> Option<Cow<'_, str>> {
    match shape(raw) {
        Shape::String => {
            let lossy = || serde_json::from_str::<LossyString>(raw).ok().map(|lossy| lossy.0.into());
            strict_text(raw).or_else(lossy).filter(|text| !text.is_empty())
        }
        Shape::Number => Some(raw.into()),
        _ => None,
    }
}

/// Parses a raw JSON string, and nothing but a string.
pub(crate) fn strict_text(raw: &str) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix('"')?.strip_suffix('"')?;
    // Most strings have no escapes, and need no parser. Without an early end, so that many bytes are compared at once.
    if inside.bytes().fold(false, |found, byte| found | (byte == b'\\')) {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(inside.into())
}

/// The text after a byte order mark, which some gateways put in front of a body, and some editors in front of a file.
pub(crate) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Text of a parser that passes half a surrogate pair on as the three bytes it would be in UTF-8: one U+FFFD for each.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The bytes after the first come as separate chunks.
        if chunk.invalid().first().is_some_and(|byte| !matches!(byte, 0x80..0xc0)) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// JSON text with each lone surrogate escape replaced by U+FFFD, for parsers that refuse them; `None` when there is none.
pub(crate) fn without_lone_surrogates(raw: &str) -> Option<String> {
    let unit = |at: usize| {
        let escape = raw.get(at..at + 6)?.strip_prefix("\\u")?;
        escape.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u16::from_str_radix(escape, 16).ok()
    };
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(escape) = raw.get(at..)?.find('\\') {
        at += escape;
        at += match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                mended.push_str(&raw[copied..at]);
                mended.push_str("\\ufffd");
                copied = at + 6;
                6
            }
            (Some(_), _) => 6,
            // Any other escape is a backslash and one character, which can be a backslash.
            (None, _) => 1 + raw.get(at + 1..)?.chars().next().map_or(0, char::len_utf8),
        };
    }
    (copied > 0).then(|| mended + &raw[copied..])
}

/// A string whose lone surrogate escapes (half an emoji, cut by a length limit) become U+FFFD.
struct LossyString(String);

impl<'de> Deserialize<'de> for LossyString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl Visitor<'_> for BytesVisitor {
            type Value = LossyString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<LossyString, E> {
                Ok(LossyString(lossy(bytes)))
            }
        }

        deserializer.deserialize_bytes(BytesVisitor)
    }
}
