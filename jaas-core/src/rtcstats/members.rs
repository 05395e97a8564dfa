//! The members of a JSON object that has been validated before: cut from the text without parsing it again, which makes
//! decompressing fast.

use std::borrow::Cow;

/// Names and raw values of an object, in order. For text that is not a valid object it returns something or nothing,
/// but never panics.
#[derive(Debug, Clone)]
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Members<'a> {
    /// `None` when the value is not an object.
    pub(super) fn of(text: &'a str) -> Option<Self> {
        text.starts_with('{').then_some(Self { text, at: 1 })
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// Skips white space and these bytes.
    fn skip(&mut self, mark: u8) {
        while let Some(byte) = self.bytes().get(self.at) {
            if *byte != mark && !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                break;
            }
            self.at += 1;
        }
    }

    /// Skips the name of the next member if it is this one, which must not contain quotes or backslashes: then its JSON
    /// form is the name itself.
    pub(super) fn has_name(&mut self, name: &str) -> bool {
        self.skip(b',');
        let rest = self.bytes().get(self.at + 1..).unwrap_or_default();
        let is_it = self.bytes().get(self.at) == Some(&b'"')
            && rest.get(name.len()) == Some(&b'"')
            && rest.starts_with(name.as_bytes());
        if is_it {
            self.at += name.len() + 2;
            self.skip(b':');
        }
        is_it
    }

    /// Skips the name of the next member and returns it; then its value is next.
    pub(super) fn name(&mut self) -> Option<Cow<'a, str>> {
        self.skip(b',');
        if self.bytes().get(self.at) != Some(&b'"') {
            return None;
        }
        let name = name(self.value()?);
        self.skip(b':');
        Some(name)
    }

    /// Skips the beginning of an object, if one is next. Then its members are next, and after the last of them,
    /// [`leave`](Self::leave).
    pub(super) fn enter(&mut self) -> bool {
        let is_object = self.bytes().get(self.at) == Some(&b'{');
        self.at += usize::from(is_object);
        is_object
    }

    /// Skips the end of an object, if it is next.
    pub(super) fn leave(&mut self) -> bool {
        self.skip(b',');
        let is_end = self.bytes().get(self.at) == Some(&b'}');
        self.at += usize::from(is_end);
        is_end
    }

    /// Skips a value and returns it.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let begin = self.at;
        self.at = match self.bytes().get(begin)? {
            b'"' => after_string(self.bytes(), begin)?,
            b'{' | b'[' => after_nested(self.bytes(), begin)?,
            _ => {
                let rest = &self.bytes()[begin..];
                begin + rest.iter().position(|byte| ENDS[usize::from(*byte)]).unwrap_or(rest.len())
            }
        };
        self.text.get(begin..self.at)
    }
}

/// The bytes that end a number, `true`, `false` or `null`.
const ENDS: [bool; 256] = {
    let mut ends = [false; 256];
    let marks = *b",}] \t\r\n";
    let mut at = 0;
    while at < marks.len() {
        ends[marks[at] as usize] = true;
        at += 1;
    }
    ends
};

#[cfg(test)]
impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        Some((self.name()?, self.value()?))
    }
}

/// The text between the quotes; half an emoji, which no Rust text can hold, becomes U+FFFD.
fn name(quoted: &str) -> Cow<'_, str> {
    let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if inside.contains('\\') {
        return crate::lenient::string(quoted).unwrap_or_default().into();
    }
    inside.into()
}

/// The end of the text that begins here.
fn after_string(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of the object or list that begins here.
fn after_nested(bytes: &[u8], begin: usize) -> Option<usize> {
    let (mut at, mut depth) = (begin, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = after_string(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn members(text: &str) -> Vec<(String, String)> {
        Members::of(text)
            .into_iter()
            .flatten()
            .map(|(name, raw)| (name.into_owned(), raw.to_owned()))
            .collect()
    }

    #[test]
    fn names_and_values_are_cut_out_unchanged() {
        let text = "{ \"a\" : 1 ,\"b\":-1.5e3,\"c\\\"}\":\"x\\\\\",\t\"\":{\"}\":[\"]\",{}]} , \"e\": [ ] ,\"f\":null}";
        let expected = [
            ("a", "1"),
            ("b", "-1.5e3"),
            ("c\"}", "\"x\\\\\""),
            ("", "{\"}\":[\"]\",{}]}"),
            ("e", "[ ]"),
            ("f", "null"),
        ];
        assert_eq!(members(text), expected.map(|(name, raw)| (name.to_owned(), raw.to_owned())));
        assert_eq!(members("{}"), members("{ }"));
        for text in ["", "[]", "1", "\"{\"", "null"] {
            assert!(Members::of(text).is_none());
        }
    }

    fn any_value() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::btree_map(".*", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn any_object_is_cut_as_serde_parses_it(map in proptest::collection::btree_map(".*", any_value(), 0..6), pretty: bool) {
            let object = Value::Object(map.into_iter().collect());
            let text = if pretty { format!("{object:#}") } else { object.to_string() };
            let cut: BTreeMap<String, Value> = Members::of(&text)
                .expect("an object")
                .map(|(name, raw)| (name.into_owned(), serde_json::from_str(raw).expect("JSON")))
                .collect();
            let whole: BTreeMap<String, Value> = serde_json::from_str(&text).expect("JSON");
            proptest::prop_assert_eq!(cut, whole);
        }

        #[test]
        fn any_text_is_cut_without_a_panic(text in "\\{[{}\\[\\]\",:\\\\a0 é]*") {
            let _ = members(&text);
        }
    }
}
