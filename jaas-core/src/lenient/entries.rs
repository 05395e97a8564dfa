//! The members of an object: by a scanner for what senders usually write, by a parser for the rest.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::members;
use super::text::lossy;

/// Gives each member of an object: its name, and its value as it is written. One member may be given twice, the second time
/// as the first.
///
/// # Errors
/// When the text is not an object, or something else comes after it.
pub(crate) fn members_of<'a>(text: &'a str, mut each: impl FnMut(&str, &'a str)) -> serde_json::Result<()> {
    let read = members::members(text, &mut each);
    if read.is_some_and(|rest| rest.trim_matches([' ', '\n', '\r', '\t']).is_empty()) {
        return Ok(());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Entries(each, PhantomData))?;
    json.end()
}

struct Entries<'a, F>(F, PhantomData<&'a ()>);

impl<'de: 'a, 'a, F: FnMut(&str, &'a str)> Visitor<'de> for Entries<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let raw: &'de RawValue = map.next_value()?;
            (self.0)(&key, raw.get());
        }
        Ok(())
    }
}

/// An object key, borrowed unless it has escapes. Half a surrogate pair in a name, which is a claim of a JWT cut by a
/// length limit, becomes U+FFFD: decoded as text it would make the whole object malformed.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for KeyVisitor<'a> {
            type Value = Key<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, key: &'de [u8]) -> Result<Self::Value, E> {
                // Bytes are not checked as text is.
                if key.iter().any(u8::is_ascii_control) {
                    return Err(E::custom(
                        "control character (\\u0000-\\u001F) found while parsing a string",
                    ));
                }
                Ok(Key(std::str::from_utf8(key).map_or_else(|_| lossy(key).into(), Cow::Borrowed)))
            }

            fn visit_bytes<E: de::Error>(self, key: &[u8]) -> Result<Self::Value, E> {
                Ok(Key(lossy(key).into()))
            }
        }

        deserializer.deserialize_bytes(KeyVisitor(PhantomData))
    }
}
