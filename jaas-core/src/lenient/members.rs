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
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.white_space();
    let mut more = scanner.begin(b'{', b'}')?;
    while more {
        let name = scanner.at + 1;
        scanner.name()?;
        let name = text.get(name..scanner.at - 1)?;
        scanner.colon()?;
        let value = scanner.at;
        scanner.value(0)?;
        each(name, text.get(value..scanner.at)?);
        more = scanner.another(b'}')?;
    }
    text.get(scanner.at..)
}

/// Gives each element of a list, as [`members`] does the members of an object.
pub(super) fn elements<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Option<&'a str> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.white_space();
    let mut more = scanner.begin(b'[', b']')?;
    while more {
        let element = scanner.at;
        scanner.value(0)?;
        each(text.get(element..scanner.at)?);
        more = scanner.another(b']')?;
    }
    text.get(scanner.at..)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    fn white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes over the beginning of an object or a list; returns whether anything is in it. If not, it is passed over.
    #[inline(always)]
    fn begin(&mut self, open: u8, end: u8) -> Option<bool> {
        self.expect(open)?;
        self.white_space();
        if self.peek()? == end {
            self.at += 1;
            return Some(false);
        }
        Some(true)
    }

    /// Passes over a member's name. One with escapes would have to be decoded.
    #[inline(always)]
    fn name(&mut self) -> Option<()> {
        (!self.string()?).then_some(())
    }

    /// Passes over what separates a name from its value.
    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        if self.peek()? != b':' {
            self.white_space();
        }
        self.expect(b':')?;
        self.white_space();
        Some(())
    }

    /// Passes over a comma, or this end; returns whether another member or element follows.
    #[inline(always)]
    fn another(&mut self, end: u8) -> Option<bool> {
        if self.peek()? != b',' {
            self.white_space();
        }
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            self.white_space();
            return Some(true);
        }
        (byte == end).then_some(false)
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        let mut more = self.begin(b'{', b'}')?;
        while more {
            self.name()?;
            self.colon()?;
            self.value(depth)?;
            more = self.another(b'}')?;
        }
        Some(())
    }

    fn list(&mut self, depth: usize) -> Option<()> {
        let mut more = self.begin(b'[', b']')?;
        while more {
            self.value(depth)?;
            more = self.another(b']')?;
        }
        Some(())
    }

    #[inline(always)]
    fn value(&mut self, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
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
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        self.at += plain(self.bytes.get(self.at..)?);
        if self.peek()? == b'"' {
            self.at += 1;
            return Some(false);
        }
        self.string_from_escape()
    }

    /// Passes over the rest of a string, from its first escape on.
    #[inline(never)]
    fn string_from_escape(&mut self) -> Option<bool> {
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(true);
                }
                b'\\' => {
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
            self.at += plain(self.bytes.get(self.at..)?);
        }
    }
}

/// How many bytes at the beginning of this stand for themselves in a string; eight are looked at together.
#[inline(always)]
fn plain(bytes: &[u8]) -> usize {
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let (chunks, last) = bytes.as_chunks::<8>();
    for (index, chunk) in chunks.iter().enumerate() {
        let chunk = u64::from_le_bytes(*chunk);
        // A byte's high bit is set where the subtraction goes below zero. Up to the first such byte that is right; behind
        // it, it may not be. With its 2 taken away, a quote, which is 0x22, is less than 0x21 as a control character is;
        // a space gets a 2, and is not.
        let quote_or_control = (chunk ^ each(2)).wrapping_sub(each(0x21));
        let backslash = (chunk ^ each(b'\\')).wrapping_sub(each(1));
        let found = (quote_or_control | backslash) & !chunk & each(0x80);
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    bytes.len() - last.len() + last.iter().take_while(is_plain).count()
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

    fn elements_agree(text: &str) {
        let mut found = Vec::new();
        let Some(rest) = elements(text, |element| found.push(element)) else { return };
        if !rest.trim_matches([' ', '\n', '\r', '\t']).is_empty() {
            return;
        }
        let parsed: Vec<&RawValue> =
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(found, parsed.into_iter().map(RawValue::get).collect::<Vec<_>>(), "{text:?}");
    }

    #[test]
    fn every_element_of_a_list_is_given_as_it_is_written() {
        for (text, expected) in [
            ("[]", Some(&[][..])),
            (" [ ] ", Some(&[])),
            (
                r#"[ "a\"]" , {"b":[1]},[],-0.5e+10 ,null]"#,
                Some(&[r#""a\"]""#, r#"{"b":[1]}"#, "[]", "-0.5e+10", "null"]),
            ),
            ("[1,]", None),
            ("[,1]", None),
            ("[1 2]", None),
            ("[1}", None),
            ("[1", None),
            ("{}", None),
        ] {
            let mut found = Vec::new();
            let rest = elements(text, |element| found.push(element));
            assert_eq!(rest.map(|_| found).as_deref(), expected, "{text:?}");
            elements_agree(text);
        }
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
            let values: Vec<&str> = members.iter().filter_map(|member| member.split_once(":\t")).map(|(_, value)| value).collect();
            elements_agree(&format!("[{}]", values.join(" ,\n")));
        }

        #[test]
        fn lists_it_vouches_for_are_what_the_parser_says(
            text in r#"\[( |"[a-z"\\]{0,10}"|,|\{|\}|\[|\]|-?[0-9]{1,2}|null|\x01|"){0,12}\]"#,
        ) {
            elements_agree(&text);
        }

        /// Every byte at every place of the eight that are looked at together.
        #[test]
        fn what_stands_for_itself_in_a_string_is_counted(bytes in prop::collection::vec(prop_oneof![
            any::<u8>(), prop::sample::select(&[b'"', b'\\', 0x1f, b' ', b'!', 0x80, 0xa2, 0xdc, 0xff][..]), Just(b'a'),
        ], 0..40)) {
            let plain_ones = bytes.iter().take_while(|byte| **byte >= 0x20 && !matches!(byte, b'"' | b'\\')).count();
            prop_assert_eq!(plain(&bytes), plain_ones);
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
