//! The reader that does not block.

use std::fmt;
use std::io::ErrorKind;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::coop::consume_budget;

use super::entry::Entry;
use super::error::RtcstatsError;
use super::machine::{Machine, Step};

/// Reads a statistics file entry by entry, from a download that is still going on.
///
/// It is [`Reader`](super::Reader) over tokio's [`AsyncRead`]: the same entries, the same errors. It decompresses 32
/// KiB at a time and lets other tasks run in between; only the parsing of one line cannot be interrupted, some 10 ms
/// for the longest line. Put a timeout around the whole download: the reader does not limit how long the other side
/// takes to send.
///
/// ```
/// use jaas_core::rtcstats::{AsyncReader, Decompressor, Summary};
///
/// # async fn example(response: impl tokio::io::AsyncRead + Unpin) -> Result<(), Box<dyn std::error::Error>> {
/// let (mut reader, mut decompressor, mut summary) = (AsyncReader::new(response), Decompressor::new(), Summary::new());
/// while let Some(entry) = reader.next().await {
///     summary.add(entry, &mut decompressor)?;
/// }
/// println!("{summary}");
/// # Ok(()) }
/// ```
pub struct AsyncReader<R> {
    read: R,
    machine: Machine,
}

impl<R: AsyncRead + Unpin> AsyncReader<R> {
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

    /// Returns the next entry; `None` at the end. Nothing is lost when the future is dropped before it is ready.
    ///
    /// # Errors
    /// When the input could not be read, and then no entry follows; or when one line is broken, and then the next entry
    /// follows, unless [`stop_at_broken_lines`](Self::stop_at_broken_lines) is set.
    pub async fn next(&mut self) -> Option<Result<Entry, RtcstatsError>> {
        loop {
            // Input that is always ready, from memory, must not occupy the thread.
            consume_budget().await;
            match self.machine.step() {
                Step::Item(item) => return Some(item),
                Step::Again => {}
                Step::End => return None,
                Step::Input => match self.read.read(self.machine.room()).await {
                    Ok(len) => self.machine.filled(len),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Some(Err(self.machine.failed(error))),
                },
            }
        }
    }
}

impl<R> fmt::Debug for AsyncReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncReader").finish_non_exhaustive()
    }
}
