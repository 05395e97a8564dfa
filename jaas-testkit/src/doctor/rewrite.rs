//! A body as other programs would write it.

use std::fmt::{self, Write as _};

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How programs write the same JSON: name, what follows an item and a key, indentation.
const LAYOUTS: [(&str, &str, &str, usize); 4] = [
    ("compact, as JSON.stringify does", ",", ":", 0),
    ("with a space after commas and colons, as Python's json.dumps does", ", ", ": ", 0),
    ("indented by 2", ",", ": ", 2),
    ("indented by 4", ",", ": ", 4),
];

/// How programs write the characters of a string.
const ESCAPES: [(&str, Escape); 4] = [
    ("", Escape::Needed),
    ("everything outside ASCII escaped", Escape::Ascii),
    ("slashes escaped, as PHP does", Escape::Slashes),
    ("<, > and & escaped, as Go does", Escape::Html),
];

#[derive(Clone, Copy, PartialEq)]
enum Escape {
    Needed,
    Ascii,
    Slashes,
    Html,
}

/// Every form, with its description; empty when the body is not JSON.
pub(super) fn forms(body: &[u8]) -> Vec<(String, String)> {
    let Some(json) = std::str::from_utf8(body).ok().and_then(Json::read) else { return Vec::new() };
    let mut forms: Vec<(String, String)> = Vec::new();
    for (layout, item, key, indent) in LAYOUTS {
        for (escaped, escape) in ESCAPES {
            for (sorted, capitals) in [(false, false), (true, false), (false, true), (true, true)] {
                let mut text = String::new();
                Writer { out: &mut text, item, key, indent, escape, sorted, capitals }.write(&json, 0);
                // Plain forms come first, so the simplest description of a text stays.
                if text.as_bytes() != body && forms.iter().all(|(_, known)| *known != text) {
                    let sorted = if sorted { "keys sorted" } else { "" };
                    let capitals = if capitals { "\\u escapes in capitals, as Java and .NET do" } else { "" };
                    let parts = [layout, escaped, sorted, capitals];
                    let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
                    forms.push((parts.join(", "), text));
                }
            }
        }
    }
    forms
}

/// The body with the digits of its `\u` escapes in capitals, and in small letters; without those that change nothing.
pub(super) fn escapes(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: fn(&mut [u8])| {
        let (mut changed, mut at) = (body.to_vec(), 0);
        while at + 1 < changed.len() {
            match (changed[at], changed[at + 1]) {
                (b'\\', b'u') => {
                    let end = (at + 6).min(changed.len());
                    change(&mut changed[at + 2..end]);
                    at = end;
                }
                (b'\\', _) => at += 2,
                _ => at += 1,
            }
        }
        changed
    };
    let changed = [
        ("in capitals", with(<[u8]>::make_ascii_uppercase)),
        ("in small letters", with(<[u8]>::make_ascii_lowercase)),
    ];
    changed.into_iter().filter(|(_, changed)| changed != body).collect()
}

/// The body in the encodings that it may have been through, and their causes; without those that change nothing.
pub(super) fn encodings(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    if text.is_ascii() {
        return Vec::new();
    }
    let question_marks = |of: fn(char) -> usize| {
        text.chars()
            .flat_map(|c| {
                std::iter::repeat_n(if c.is_ascii() { c } else { '?' }, if c.is_ascii() { 1 } else { of(c) })
            })
            .collect::<String>()
    };
    let latin_1: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let twice: String = body.iter().map(|byte| char::from(*byte)).collect();
    let latin_1_or_mark = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'));
    let mut encodings = vec![
        ("with `?` for each character outside ASCII", question_marks(|_| 1).into_bytes()),
        ("with `?` for each UTF-16 unit outside ASCII", question_marks(char::len_utf16).into_bytes()),
        ("with `?` for each byte outside ASCII", question_marks(char::len_utf8).into_bytes()),
        ("in Latin-1, with `?` for what it lacks", latin_1_or_mark.collect()),
        ("in UTF-8 twice, as when a program takes it for Latin-1 in between", twice.into_bytes()),
    ];
    // The received body is encoded twice, and was signed when it was encoded once.
    encodings.extend(latin_1.map(|once| ("in UTF-8 once, while this body is encoded twice", once)));
    encodings
}

/// JSON in the order of its keys, which `serde_json::Value` would not keep; numbers as they are written.
enum Json {
    Literal(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn read(text: &str) -> Option<Self> {
        // No deeper than what serde_json parses, because this also recurses.
        Self::read_at(text.trim(), 0)
    }

    fn read_at(text: &str, depth: usize) -> Option<Self> {
        if depth > 100 {
            return None;
        }
        match text.as_bytes().first()? {
            b'{' => {
                let mut json = serde_json::Deserializer::from_str(text);
                let fields = json.deserialize_map(Fields).ok()?;
                json.end().ok()?;
                let read =
                    |(key, raw): (String, &RawValue)| Some((key, Self::read_at(raw.get(), depth + 1)?));
                fields.into_iter().map(read).collect::<Option<_>>().map(Self::Object)
            }
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                items
                    .into_iter()
                    .map(|raw| Self::read_at(raw.get(), depth + 1))
                    .collect::<Option<_>>()
                    .map(Self::List)
            }
            b'"' => serde_json::from_str(text).ok().map(Self::Text),
            _ => serde_json::from_str::<&RawValue>(text).ok().map(|raw| Self::Literal(raw.get().to_owned())),
        }
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = map.next_entry()? {
            fields.push(entry);
        }
        Ok(fields)
    }
}

struct Writer<'a> {
    out: &'a mut String,
    item: &'static str,
    key: &'static str,
    indent: usize,
    escape: Escape,
    sorted: bool,
    capitals: bool,
}

impl Writer<'_> {
    fn write(&mut self, json: &Json, depth: usize) {
        match json {
            Json::Literal(text) => self.out.push_str(text),
            Json::Text(text) => self.string(text),
            Json::List(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.separate(index, depth + 1);
                    self.write(item, depth + 1);
                }
                self.close(items.is_empty(), ']', depth);
            }
            Json::Object(fields) => {
                let mut fields: Vec<_> = fields.iter().collect();
                if self.sorted {
                    fields.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.out.push('{');
                for (index, (key, value)) in fields.iter().enumerate() {
                    self.separate(index, depth + 1);
                    self.string(key);
                    self.out.push_str(self.key);
                    self.write(value, depth + 1);
                }
                self.close(fields.is_empty(), '}', depth);
            }
        }
    }

    fn separate(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push_str(self.item);
        }
        self.break_line(depth);
    }

    fn close(&mut self, empty: bool, bracket: char, depth: usize) {
        if !empty {
            self.break_line(depth);
        }
        self.out.push(bracket);
    }

    fn break_line(&mut self, depth: usize) {
        if self.indent > 0 {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', depth * self.indent));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '/' if self.escape == Escape::Slashes => self.out.push_str("\\/"),
                '<' | '>' | '&' if self.escape == Escape::Html => self.unicode(character),
                control if control < ' ' => self.unicode(control),
                // PHP escapes both.
                other if !other.is_ascii() && matches!(self.escape, Escape::Ascii | Escape::Slashes) => {
                    self.unicode(other);
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }

    fn unicode(&mut self, character: char) {
        let mut units = [0; 2];
        for unit in character.encode_utf16(&mut units) {
            // Writing to a string cannot fail.
            let _ = if self.capitals {
                write!(self.out, "\\u{unit:04X}")
            } else {
                write!(self.out, "\\u{unit:04x}")
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Vec<String> {
        forms(body.as_bytes()).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn each_layout_order_and_way_to_escape_is_written() {
        let texts = texts(r#"{"b": [1.50, {}, []], "a":"é/<"}"#);
        for expected in [
            r#"{"b":[1.50,{},[]],"a":"é/<"}"#,
            r#"{"a":"é/<","b":[1.50,{},[]]}"#,
            r#"{"b": [1.50, {}, []], "a": "\u00e9/<"}"#,
            r#"{"b":[1.50,{},[]],"a":"\u00e9\/<"}"#,
            r#"{"b":[1.50,{},[]],"a":"é/\u003c"}"#,
            r#"{"a":"é/\u003C","b":[1.50,{},[]]}"#,
            "{\n  \"a\": \"é/<\",\n  \"b\": [\n    1.50,\n    {},\n    []\n  ]\n}",
        ] {
            assert!(texts.iter().any(|text| text == expected), "{expected} among {texts:#?}");
        }
    }

    #[test]
    fn escapes_change_their_case_and_nothing_else() {
        let body = br#"{"\u00AB":"a\u001b\\u001b\n"}"#;
        let changed = escapes(body);
        assert_eq!(changed.len(), 2);
        assert_eq!(changed[0].1, br#"{"\u00AB":"a\u001B\\u001b\n"}"#);
        assert_eq!(changed[1].1, br#"{"\u00ab":"a\u001b\\u001b\n"}"#);
        assert!(
            escapes(br#"{"a":"\u0000"}"#).is_empty()
                && escapes(br#"\u0"#).is_empty()
                && escapes(b"\\").is_empty()
        );
    }

    #[test]
    fn a_body_that_is_not_json_has_no_forms_and_the_body_itself_is_not_one() {
        assert!(texts("{").is_empty() && forms(b"\xff").is_empty());
        assert!(!texts(r#"{"a":1}"#).contains(&r#"{"a":1}"#.to_owned()));
        assert!(texts(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))).is_empty());
    }
}
