//! The errors of a statistics file.

use std::error::Error;
use std::fmt;
use std::io;

/// An error of reading or decompressing a statistics file: what kind, in which line, and the cause. It never quotes the
/// line.
#[derive(Debug)]
pub struct RtcstatsError {
    kind: RtcstatsErrorKind,
    line: u64,
    message: String,
    source: Option<io::Error>,
}

/// What an error means for the rest of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RtcstatsErrorKind {
    /// The rest of the file could not be read. No entry follows.
    Io,
    /// The file ends too early, as after an interrupted download. All complete entries were returned; none follows.
    Truncated,
    /// The compressed data is damaged. All entries that could be decompressed were returned; none follows.
    Corrupt,
    /// A line is not an entry. The next one may be.
    BrokenLine,
    /// A line is longer than the reader accepts; it was skipped.
    LineTooLong,
    /// A `getstats` entry whose data is neither an object nor `null`. The connection's statistics stay as they were.
    NotStatistics,
    /// The decompressor would hold more than allowed. The state of that connection is lost, other connections continue.
    TooMuch,
}

impl RtcstatsError {
    pub(super) fn new(kind: RtcstatsErrorKind, line: u64, message: impl Into<String>) -> Self {
        Self { kind, line, message: message.into(), source: None }
    }

    pub(super) fn with_source(mut self, source: io::Error) -> Self {
        self.source = Some(source);
        self
    }

    pub(super) fn io(line: u64, source: io::Error) -> Self {
        Self::new(
            RtcstatsErrorKind::Io,
            line,
            format!("the statistics file cannot be read after line {line}"),
        )
        .with_source(source)
    }

    /// What the error means for the rest of the file.
    pub fn kind(&self) -> RtcstatsErrorKind {
        self.kind
    }

    /// The number of the line, counted from 1. For an error that is not about one line, the last line read; 0 before
    /// the first.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Whether the reader returns no further entry.
    pub fn ends_the_file(&self) -> bool {
        use RtcstatsErrorKind::{Corrupt, Io, Truncated};
        matches!(self.kind, Io | Truncated | Corrupt)
    }
}

impl fmt::Display for RtcstatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for RtcstatsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source as _)
    }
}
