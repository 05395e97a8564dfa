//! The known state of a connection at one moment.

use std::fmt;
use std::io;

use super::held::{Held, Slot};
use super::keyed::Keyed;
use super::report::{Report, write_object};
use crate::timestamp::Timestamp;

/// The complete statistics of one peer connection at one moment, as W3C's `RTCStatsReport`: reports by id. It borrows
/// from its [`Decompressor`](super::Decompressor); clone the reports you want to keep.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    pub(super) connection: Option<&'a str>,
    pub(super) line: u64,
    pub(super) at: Option<Timestamp>,
    pub(super) held: &'a Keyed<Slot>,
}

impl<'a> Snapshot<'a> {
    /// The peer connection: `PC_0`, `PC_1`, …
    pub fn connection(&self) -> Option<&'a str> {
        self.connection
    }

    /// The number of the entry's line in the file, counted from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// When it was taken: the entry's time, or otherwise the time in its statistics.
    pub fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// A report by its id. Ids have no meaning, and differ in every browser.
    pub fn report(&self, id: &str) -> Option<&'a Report> {
        self.held.get(id).and_then(Slot::report)
    }

    /// All reports with their ids, in the order in which they first came.
    pub fn reports(&self) -> impl Iterator<Item = (&'a str, &'a Report)> + use<'a> {
        self.held.iter().filter_map(|(id, slot)| Some((id, slot.report()?)))
    }

    /// Writes it as one JSON object, without line breaks: reports by id. In the mode [`Snippet`](super::Mode::Snippet)
    /// it also contains what is not a report: `timestamp`.
    ///
    /// # Errors
    ///
    /// The errors of `into`.
    pub fn write_json(&self, mut into: impl io::Write) -> io::Result<()> {
        write_object(&mut into, self.held.iter(), |slot, into| match &slot.held {
            Held::Report(report) => report.write_json(into),
            Held::Plain(raw) => into.write_all(raw.as_bytes()),
        })
    }
}

impl fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("connection", &self.connection)
            .field("line", &self.line)
            .field("at", &self.at)
            .field("reports", &self.reports().count())
            .finish()
    }
}
