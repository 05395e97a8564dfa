//! What a decoding met that this version does not know.

use super::{is_nothing, shape};

/// How much of one event is noted; an event with more is not normal traffic.
const MOST: usize = 64;

/// The longest name or word that is noted as it came.
const MAX_NAME: usize = 64;

/// A name or word that is too long or odd for one, and may be anything: an address, a sentence.
pub(crate) const ODD: &str = "(odd)";

/// Notes what is new while an event is decoded. Paths begin with `data`, and leave out the places in lists and maps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The names of the fields around the one that is decoded.
    path: Vec<&'static str>,
    /// Fields without a place in the payload: their paths, and the JSON types of their values.
    pub(crate) fields: Vec<(String, &'static str)>,
    /// Known fields with a value that does not fit: their paths, and its JSON type.
    pub(crate) types: Vec<(String, &'static str)>,
    /// The words of every open enum: their paths, the words, and whether this version knows them.
    pub(crate) words: Vec<(String, String, bool)>,
}

impl News {
    pub(super) fn enter(&mut self, name: &'static str) {
        self.path.push(name);
    }

    pub(super) fn leave(&mut self) {
        self.path.pop();
    }

    pub(super) fn field(&mut self, key: &str, raw: &str) {
        if !is_nothing(raw) {
            let path = format!("{}.{}", self.here(), plain(key));
            push(&mut self.fields, (path, shape(raw).name()));
        }
    }

    pub(super) fn odd(&mut self, name: &'static str, raw: &str) {
        let mut path = self.here();
        // The fields of a `Room` are not entered.
        if name != "data" && self.path.last() != Some(&name) {
            path = format!("{path}.{name}");
        }
        push(&mut self.types, (path, shape(raw).name()));
    }

    pub(super) fn word(&mut self, word: &str, known: bool) {
        let word = (self.here(), plain(word).to_owned(), known);
        push(&mut self.words, word);
    }

    fn here(&self) -> String {
        let mut path = "data".to_owned();
        for name in &self.path {
            path.push('.');
            path.push_str(name);
        }
        path
    }
}

fn push<T: PartialEq>(noted: &mut Vec<T>, one: T) {
    if noted.len() < MOST && !noted.contains(&one) {
        noted.push(one);
    }
}

/// A name or a word as it came if it looks like one that a programmer chose, else [`ODD`]: a map's keys can be
/// addresses.
pub(crate) fn plain(name: &str) -> &str {
    let begins = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if begins && name.len() <= MAX_NAME && digits <= 3 && name.bytes().all(is_plain) { name } else { ODD }
}
