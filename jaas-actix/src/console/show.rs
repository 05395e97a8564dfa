//! How pages show times, ages and texts of strangers.

use std::fmt;
use std::time::Duration;

use jaas_core::Timestamp;
use jaas_core::telemetry::Escaped;

/// A point in time, and how long ago it was when the page was made. Shown as `2026-11-28 09:30:05 (3 min ago)`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    at: Timestamp,
    now: Timestamp,
}

impl At {
    pub(crate) fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }

    /// As a program reads it.
    pub(crate) fn iso(&self) -> String {
        self.at.to_string()
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let iso = self.at.to_string();
        match iso.split_once('T') {
            Some((day, time)) => {
                let time = time.split('.').next().unwrap_or(time);
                write!(f, "{day} {time} ")?;
            }
            None => write!(f, "{iso} ")?,
        }
        if self.at > self.now {
            write!(f, "(in {})", Span(self.at.duration_since(self.now)))
        } else {
            write!(f, "({} ago)", Span(self.now.duration_since(self.at)))
        }
    }
}

/// A duration in its largest unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        match secs {
            0..120 => write!(f, "{secs} s"),
            120..7_200 => write!(f, "{} min", secs / 60),
            7_200..172_800 => write!(f, "{} h", secs / 3_600),
            _ => write!(f, "{} d", secs / 86_400),
        }
    }
}

/// A text that a stranger may have written, on one line and cut to at most this many characters. Templates escape what
/// HTML gives a meaning to.
pub(crate) fn cut(text: &str, max: usize) -> String {
    // Escaping only lengthens, so no more is needed.
    let head: String = text.chars().take(max + 1).collect();
    let escaped = Escaped(&head).to_string();
    match escaped.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}

/// A count with spaces between the thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// A size in bytes.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..10_240 => format!("{} bytes", count(number)),
        10_240..10_485_760 => format!("{} KiB", number / 1024),
        _ => format!("{} MiB", count(number / (1024 * 1024))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_with_its_age() {
        let now = Timestamp::from_secs(1_760_000_000);
        let at = |secs: i64| At::new(Timestamp::from_secs(1_760_000_000 + secs), now).to_string();
        assert_eq!(at(-119), "2025-10-09 08:51:21 (119 s ago)");
        assert_eq!(at(-120), "2025-10-09 08:51:20 (2 min ago)");
        assert_eq!(at(90_000), "2025-10-10 09:53:20 (in 25 h)");
        assert_eq!(at(-864_000), "2025-09-29 08:53:20 (10 d ago)");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_shown_on_one_line() {
        assert_eq!(cut("Zoë", 3), "Zoë");
        assert_eq!(cut("Zoë\n", 4), r"Zoë\…");
        assert_eq!(cut("\u{202e}abc", 40), r"\u{202e}abc");
        assert_eq!(cut("", 3), "");
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(count),
            ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
    }
}
