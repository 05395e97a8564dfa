//! Splits bytes into lines of bounded length.

/// Takes bytes in pieces, and returns lines.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// The position up to which no line break was found.
    scanned: usize,
    max: usize,
    /// The rest of a line that was too long is skipped.
    skipping: bool,
    number: u64,
}

/// A line that was split off.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// A whole line, without its line break.
    Whole(&'a [u8]),
    /// A line longer than allowed.
    TooLong,
}

impl Lines {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), begin: 0, scanned: 0, max, skipping: false, number: 0 }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    /// The number of the line returned last, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Takes more bytes. Remove all lines before the next piece: then it holds at most a line and a piece.
    pub(super) fn push(&mut self, mut piece: &[u8]) {
        if self.skipping {
            match memchr::memchr(b'\n', piece) {
                Some(end) => {
                    piece = &piece[end + 1..];
                    self.skipping = false;
                }
                None => return,
            }
        }
        if self.begin > 0 {
            self.bytes.drain(..self.begin);
            self.scanned -= self.begin;
            self.begin = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Returns the next line, if its end has arrived.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        let Some(found) = memchr::memchr(b'\n', &self.bytes[self.scanned..]) else {
            self.scanned = self.bytes.len();
            if self.scanned - self.begin <= self.max {
                return None;
            }
            self.forget();
            self.skipping = true;
            self.number += 1;
            return Some(Line::TooLong);
        };
        let (begin, end) = (self.begin, self.scanned + found);
        self.begin = end + 1;
        self.scanned = self.begin;
        self.number += 1;
        if end - begin > self.max {
            return Some(Line::TooLong);
        }
        Some(Line::Whole(&self.bytes[begin..end]))
    }

    /// Returns the bytes after the last line break.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.bytes);
        rest.drain(..self.begin);
        self.forget();
        if rest.is_empty() {
            return None;
        }
        self.number += 1;
        Some(rest)
    }

    fn forget(&mut self) {
        self.bytes = Vec::new();
        (self.begin, self.scanned) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of these bytes, split into pieces of this size; `None` for a line that is too long.
    fn cut(bytes: &[u8], piece: usize, max: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(max);
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            lines.push(piece);
            while let Some(line) = lines.next() {
                all.push(match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                });
            }
            assert!(lines.bytes.len() <= max + piece.len(), "{} bytes", lines.bytes.len());
        }
        all.extend(lines.rest().map(Some));
        assert_eq!(lines.number(), all.len() as u64);
        all
    }

    #[test]
    fn a_line_that_is_too_long_is_reported_once_and_the_next_one_is_complete() {
        for piece in 1..40 {
            let all = cut(b"ab\n0123456789012345678901234567890\n\ncd\n12345\n123456\nef", piece, 5);
            let text = |text: &str| Some(text.as_bytes().to_vec());
            assert_eq!(
                all,
                [text("ab"), None, text(""), text("cd"), text("12345"), None, text("ef")],
                "{piece}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn pieces_do_not_matter(bytes in proptest::collection::vec(proptest::sample::select(b"ab\n".to_vec()), 0..200), piece in 1_usize..50) {
            let expected: Vec<_> = match bytes.strip_suffix(b"\n").unwrap_or(&bytes) {
                [] if bytes.is_empty() => Vec::new(),
                bytes => bytes.split(|byte| *byte == b'\n').map(|line| Some(line.to_vec())).collect(),
            };
            proptest::prop_assert_eq!(cut(&bytes, piece, 1000), expected);
        }
    }
}
