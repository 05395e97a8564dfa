//! The members of an object and the elements of a list: by a scanner for what senders usually write, by a parser for the
//! rest.

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
    if members::members(text, &mut each).is_some_and(is_white_space) {
        return Ok(());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Entries(each, PhantomData))?;
    json.end()
}

/// The elements of a list, as they are written.
///
/// # Errors
/// When the text is not a list, or something else comes after it.
pub(super) fn elements_of(text: &str) -> serde_json::Result<Vec<&str>> {
    let mut elements = Vec::new();
    if members::elements(text, |element| elements.push(element)).is_some_and(is_white_space) {
        return Ok(elements);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text)?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

fn is_white_space(rest: &str) -> bool {
    rest.bytes().all(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'))
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
