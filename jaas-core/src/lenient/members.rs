//! The members of a JSON object as they are written, in one pass without a parser's bookkeeping: most of what receiving an
//! event costs besides its signature.
//!
//! It vouches for what it has read and for nothing else: text that is not well-formed, nests deeper than any event, or has
//! escapes in a name is left to `serde_json`, which also says what is wrong with it.

/// Deeper than any event; what is nested deeper is left to the parser.
const MAX_DEPTH: usize = 32;

/// Gives each member of an object, its name and its raw value, and returns what follows the object. `None` when the parser
/// has to say what this is; some of the members may have been given already.
pub(super) fn members<'a>(text: &'a str, mut each: impl FnMut(&'a str, &'a str)) -> Option<&'a str> {
    let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0 };
    scanner.white_space();
    scanner.object(0, &mut each)?;
    text.get(scanner.at..)
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn object(&mut self, depth: usize, each: &mut impl FnMut(&'a str, &'a str)) -> Option<()> {
        self.expect(b'{')?;
        self.white_space();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let start = self.at + 1;
            // A name with escapes would have to be decoded.
            if self.string()? {
                return None;
            }
            let name = self.text.get(start..self.at - 1)?;
            self.white_space();
            self.expect(b':')?;
            self.white_space();
            let start = self.at;
            self.value(depth)?;
            each(name, self.text.get(start..self.at)?);
            self.white_space();
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
            self.white_space();
        }
        self.at += 1;
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        self.white_space();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(depth)?;
            self.white_space();
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
            self.white_space();
        }
        self.at += 1;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1, &mut |_, _| {}),
            b'[' if depth < MAX_DEPTH => self.list(depth + 1),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(word).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Passes over a string; returns whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        let mut escapes = false;
        loop {
            self.plain();
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(escapes);
                }
                b'\\' => {
                    escapes = true;
                    self.at += match self.bytes.get(self.at + 1)? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
                        b'u' => {
                            let digits = self.bytes.get(self.at + 2..self.at + 6)?;
                            digits.iter().all(u8::is_ascii_hexdigit).then_some(6)?
                        }
                        _ => return None,
                    };
                }
                // A control character.
                _ => return None,
            }
        }
    }

    /// Passes over everything in a string that stands for itself, eight bytes at a time.
    fn plain(&mut self) {
        const ONES: u64 = u64::from_ne_bytes([1; 8]);
        const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
        while let Some(chunk) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let bytes = u64::from_le_bytes(*chunk);
            // The high bit of the first byte that is zero, or less than a space, is right; of those behind it, it may not be.
            let zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
            let quote = zero(bytes ^ (ONES * u64::from(b'"')));
            let backslash = zero(bytes ^ (ONES * u64::from(b'\\')));
            let control = bytes.wrapping_sub(ONES * 0x20) & !bytes;
            let found = (quote | backslash | control) & HIGH_BITS;
            if found != 0 {
                self.at += found.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|byte| byte >= 0x20 && !matches!(byte, b'"' | b'\\')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn scanned(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        let rest = members(text, |name, value| found.push((name, value)))?;
        rest.trim_matches([' ', '\n', '\r', '\t']).is_empty().then_some(found)
    }

    /// What the scanner vouches for is what the parser says.
    fn agrees(text: &str) {
        let Some(found) = scanned(text) else { return };
        let parsed: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let found: BTreeMap<String, &str> =
            found.into_iter().map(|(name, raw)| (name.to_owned(), raw)).collect();
        let parsed: BTreeMap<String, &str> =
            parsed.into_iter().map(|(name, raw)| (name, raw.get())).collect();
        assert_eq!(found, parsed, "{text:?}");
    }

    #[test]
    fn every_kind_of_value_is_given_as_it_is_written() {
        let text = r#" { "a":"x\"\u00e9\\","b" : [1 , {"c":null}, []],"d":-0.5e+10, "é":{ } ,"t":true,"f":false,"t":0} "#;
        let found = scanned(text).expect("well-formed");
        let values: Vec<&str> = found.iter().map(|(_, raw)| *raw).collect();
        assert_eq!(
            values,
            [r#""x\"\u00e9\\""#, r#"[1 , {"c":null}, []]"#, "-0.5e+10", "{ }", "true", "false", "0"]
        );
        assert_eq!(found[3].0, "é");
        agrees(text);
    }

    #[test]
    fn what_is_not_well_formed_is_left_to_the_parser() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(40), "]".repeat(40));
        for text in [
            "",
            "{",
            "[]",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":+1}",
            "{\"a\":-}",
            "{\"a\":1e}",
            "{\"a\":nul}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u00g0\"}",
            "{\"a\":\"",
            "{\"a\":[1,]}",
            "{\"a\":1}}",
            "{\"a\\u0062\":1}",
            "{\"a\":\u{a0}1}",
            &deep,
        ] {
            assert_eq!(scanned(text), None, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_it_vouches_for_is_what_the_parser_says(
            text in r#"\{( |"[a-zé"\\]{0,10}"|:|,|\{|\}|\[|\]|-?[0-9]{1,3}(\.|e|E|\+)?[0-9]{0,2}|true|null|\\u00e9|\x01|"){0,16}\}"#,
        ) {
            agrees(&text);
        }

        #[test]
        fn objects_of_any_shape_are_read(
            members in prop::collection::vec(("[a-zé]{0,12}", prop_oneof![
                "\"[ -!#-\\[\\]-~é🙂]{0,40}\"", "\"(\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-f]{4}|x){0,12}\"", "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,4})?(e[+-]?[0-9]{1,2})?",
                Just("[[], {\"a\":[true]}]".to_owned()),
            ]), 0..8),
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\" :\t{value}")).collect();
            let text = format!("{{{}}}", members.join(" ,\n"));
            prop_assert!(scanned(&text).is_some(), "{}", text);
            agrees(&text);
        }

        #[test]
        fn one_changed_byte_is_never_read_as_something_else(at: prop::sample::Index, byte in 0u8..128) {
            let mut text = br#"{"idempotencyKey":"k-1","n":[1,-2.5e3,{"x":null}],"data":{"name":"Ada \"L\" \\","flag":true}}"#.to_vec();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(text) = std::str::from_utf8(&text) {
                agrees(text);
            }
        }
    }
}
