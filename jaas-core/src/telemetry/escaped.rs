//! Text of a stranger in a line of a log.

use std::fmt::{self, Display, Write};

/// Shows a text on one line: control characters, line breaks of any kind and the characters that turn the
/// direction of writing are escaped (`\n`, `\u{1b}`), everything else is as it is.
///
/// Keys, types, names and all else that a body holds were written by others. Printed as they are, a line feed in them forges
/// a line of the log, and ESC commands the terminal of who reads it. All log lines and spans of this crate use this;
/// use it in your own lines, and wherever you print.
///
/// ```
/// use jaas_core::telemetry::Escaped;
///
/// let key = "k-1\n2026-11-28 ERROR forged \u{1b}[31m";
/// assert_eq!(Escaped(key).to_string(), r"k-1\n2026-11-28 ERROR forged \u{1b}[31m");
/// assert_eq!(Escaped("Zoë 🙂").to_string(), "Zoë 🙂");
/// assert_eq!(format!("{:>5}|{:<5}|", Escaped("a"), Escaped("b")), "    a|b    |");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escaped<T>(pub T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_none() && f.precision().is_none() {
            return write!(Escaping(f), "{}", self.0);
        }
        let mut escaped = String::new();
        write!(Escaping(&mut escaped), "{}", self.0)?;
        f.pad(&escaped)
    }
}

/// Passes text on, escaped.
struct Escaping<'a, W: Write>(&'a mut W);

impl<W: Write> Write for Escaping<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, found)) = rest.char_indices().find(|(_, c)| is_escaped(*c)) {
            self.0.write_str(&rest[..at])?;
            match found {
                '\n' | '\r' | '\t' => write!(self.0, "{}", found.escape_default())?,
                other => write!(self.0, "{}", other.escape_unicode())?,
            }
            rest = &rest[at + found.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

fn is_escaped(c: char) -> bool {
    c.is_control()
        // Line and paragraph separator; marks, embeddings, overrides and isolates of direction; the byte order mark.
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_that_breaks_a_line_or_commands_a_terminal_is_escaped_and_no_other() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            let shown = Escaped(c).to_string();
            assert!(shown.is_ascii() || shown == c.to_string(), "{shown}");
            assert!(!shown.contains(char::is_control) && shown.lines().count() == 1, "{shown}");
        }
        assert_eq!(
            Escaped("a\u{202e}b\u{9b}c\u{2028}\0\r\n\t").to_string(),
            r"a\u{202e}b\u{9b}c\u{2028}\u{0}\r\n\t"
        );
    }
}
