//! The blocking reader.

use std::fmt;
use std::io::{ErrorKind, Read};

use super::entry::Entry;
use super::error::RtcstatsError;
use super::machine::{Machine, Step};

/// Reads a statistics file entry by entry: an iterator.
///
/// The file is gzip, of any number of members and with zeros after the last, or plain text; its first bytes decide. At
/// most one line and some buffers of 32 KiB are in memory. A line that is too long or not an entry is an error item,
/// and the next item is the next line. After an error that [ends the file](RtcstatsError::ends_the_file) no item
/// follows. Empty lines are skipped.
///
/// Do not wrap `read` in a buffer: it is read in pieces of 32 KiB.
///
/// ```
/// use jaas_core::rtcstats::{Reader, RtcstatsErrorKind};
///
/// let file = "[\"create\",\"PC_0\",{},1600951818000,1]\nnonsense\n[\"close\",\"PC_0\",null,1600951819000,2]\n";
/// let mut reader = Reader::new(file.as_bytes());
/// assert_eq!(reader.next().expect("an item")?.kind().as_str(), "create");
/// let error = reader.next().expect("an item").expect_err("no entry");
/// assert_eq!((error.kind(), error.line()), (RtcstatsErrorKind::BrokenLine, 2));
/// assert_eq!(reader.next().expect("an item")?.kind().as_str(), "close");
/// assert!(reader.next().is_none());
/// # Ok::<(), jaas_core::rtcstats::RtcstatsError>(())
/// ```
pub struct Reader<R> {
    read: R,
    machine: Machine,
}

impl<R: Read> Reader<R> {
    /// Creates a reader of this input.
    pub fn new(read: R) -> Self {
        Self { read, machine: Machine::new() }
    }

    /// Sets the longest line it accepts, in bytes. Default: [`DEFAULT_MAX_LINE`](super::DEFAULT_MAX_LINE).
    #[must_use]
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.machine.set_max_line(bytes);
        self
    }

    /// Ends after the first line that is too long or not an entry. Default: it continues.
    #[must_use]
    pub fn stop_at_broken_lines(mut self) -> Self {
        self.machine.set_strict();
        self
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, RtcstatsError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.machine.step() {
                Step::Item(item) => return Some(item),
                Step::Again => {}
                Step::End => return None,
                Step::Input => match self.read.read(self.machine.room()) {
                    Ok(len) => self.machine.filled(len),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Some(Err(self.machine.failed(error))),
                },
            }
        }
    }
}

impl<R: Read> std::iter::FusedIterator for Reader<R> {}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
