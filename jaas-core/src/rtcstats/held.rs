//! The state that is held for a connection between two entries.

use super::report::Report;

/// The place of a report.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) held: Held,
    /// The last entry that contained it.
    pub(super) pass: u64,
}

#[derive(Debug)]
pub(super) enum Held {
    Report(Report),
    /// A value that is not an object, as raw JSON.
    Plain(Box<str>),
}

impl Slot {
    pub(super) fn report(&self) -> Option<&Report> {
        match &self.held {
            Held::Report(report) => Some(report),
            Held::Plain(_) => None,
        }
    }

    pub(super) fn size(&self) -> usize {
        match &self.held {
            Held::Report(report) => report.size(),
            Held::Plain(raw) => raw.len(),
        }
    }
}
