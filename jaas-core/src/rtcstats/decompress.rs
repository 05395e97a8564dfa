//! Rebuilds complete statistics from the changes.

use super::DEFAULT_MAX_HELD;
use super::entry::{Entry, EntryKind};
use super::error::{RtcstatsError, RtcstatsErrorKind};
use super::held::{Held, Slot};
use super::keyed::{Keyed, Names};
use super::members::Members;
use super::report::Report;
use super::snapshot::Snapshot;
use crate::lenient::Field as _;
use crate::timestamp::Timestamp;

/// The size counted for a field, a report and a connection, in addition to their text; a connection includes its
/// summary.
const FIELD_SIZE: usize = 120;
const REPORT_SIZE: usize = 240;
const CONNECTION_SIZE: usize = 4000;

/// The entry's time at the top level, and the report's time inside a report.
const TIMESTAMP: &str = "timestamp";

/// The key of the connection without a name; no name is empty.
const NAMELESS: &str = "";

/// Rebuilds complete statistics, separately for each peer connection.
///
/// An entry holds, for each report, the fields that have changed; `{}` is a report that has not changed, and an absent
/// report was removed. Apply the entries in the order of the file. Unchanged fields are neither touched nor copied.
///
/// It holds the last state of every connection, up to [`max_held`](Decompressor::max_held).
///
/// A report that occurs twice in one entry, which no sender writes, is merged twice.
///
/// An entry that is missing, because its line was broken, leaves the fields it would have changed unchanged until they
/// change again.
#[derive(Debug, Default)]
pub struct Decompressor {
    mode: Mode,
    max_held: MaxHeld,
    state: State,
}

/// Which of two rules for timestamps applies.
///
/// The sender removes the latest timestamp of all reports, writes it once at the top level, and writes 0 in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// As the statistics server does (seen in its published code): the timestamp at the top level does not belong to a
    /// report and is removed first; it replaces timestamps of 0, and only these. A report that was measured earlier
    /// keeps its time. The default.
    #[default]
    Server,
    /// As the snippet in 8x8's documentation computes it, "meant as a guideline": each report of an entry gets the
    /// entry's timestamp if there was one of that id before, whatever its own value; the top level's `timestamp` stays
    /// among the reports and is forever that of the first entry. Use it to compare with results computed that way.
    ///
    /// Where the snippet fails, or interferes with JavaScript's own objects, this does not: `null` in place of a report
    /// counts as absent, text or a list in place of an existing report changes nothing, and a report may be called
    /// `constructor`.
    Snippet,
}

impl Decompressor {
    /// Creates a decompressor that rebuilds as the [server](Mode::Server) does.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the rule for timestamps. Default: [`Mode::Server`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets how much it may hold for all connections, in bytes as it counts them: text, and a fixed amount for each
    /// field, report and connection. It really needs at most twice that. Default:
    /// [`DEFAULT_MAX_HELD`](super::DEFAULT_MAX_HELD).
    #[must_use]
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = MaxHeld(bytes);
        self
    }

    /// How much it holds for all connections, in bytes as it counts them.
    pub fn held(&self) -> usize {
        self.state.held
    }

    /// Applies an entry to its connection and returns the statistics known then; `None` when the entry has no
    /// statistics: it is of another kind, or its data is `null`.
    ///
    /// # Errors
    ///
    /// [`NotStatistics`](RtcstatsErrorKind::NotStatistics) when the data of a `getstats` entry is neither an object nor
    /// `null`; nothing changes. [`TooMuch`](RtcstatsErrorKind::TooMuch) when more would be held than allowed: the
    /// connection is dropped, and each later entry of it returns the same error, since the state that it changes is
    /// unknown.
    pub fn apply(&mut self, entry: &Entry) -> Result<Option<Snapshot<'_>>, RtcstatsError> {
        // A browser that could not measure sends `null`.
        if *entry.kind() != EntryKind::GetStats || entry.data() == "null" {
            return Ok(None);
        }
        let too_much = || {
            let (line, max) = (entry.line(), self.max_held.0);
            RtcstatsError::new(
                RtcstatsErrorKind::TooMuch,
                line,
                format!(
                    "line {line}: more than {max} bytes of statistics would be held; raise `max_held` to allow more"
                ),
            )
        };
        let Some(delta) = Members::of(entry.data()) else {
            let line = entry.line();
            let message = format!("line {line}: the statistics are not an object of reports");
            return Err(RtcstatsError::new(RtcstatsErrorKind::NotStatistics, line, message));
        };
        let at = self.state.connection(entry.connection(), self.max_held.0).ok_or_else(too_much)?;
        let Some(timestamp) = self.state.merge(at, delta, self.mode, self.max_held.0) else {
            self.state.lose(at);
            return Err(too_much());
        };
        let stats_at = timestamp.and_then(Timestamp::parse);
        let (name, connection) = self.state.connections.item(at);
        Ok(Some(Snapshot {
            connection: (name != NAMELESS).then_some(name),
            line: entry.line(),
            at: entry.at().or(stats_at),
            held: &connection.slots,
        }))
    }
}

#[derive(Debug)]
struct MaxHeld(usize);

impl Default for MaxHeld {
    fn default() -> Self {
        Self(DEFAULT_MAX_HELD)
    }
}

/// The state of all connections.
#[derive(Debug, Default)]
struct State {
    connections: Keyed<Connection>,
    names: Names,
    /// The sum of all sizes.
    held: usize,
}

#[derive(Debug, Default)]
struct Connection {
    slots: Keyed<Slot>,
    /// Counts the entries, to know what was in the last one.
    pass: u64,
    /// It was dropped, because it was too large.
    lost: bool,
}

impl State {
    /// The index of the connection's state; `None` when it is lost, or when there is no room for another connection.
    fn connection(&mut self, name: Option<&str>, max: usize) -> Option<usize> {
        let name = name.unwrap_or(NAMELESS);
        if let Some(at) = self.connections.find(name, 0) {
            return (!self.connections.at(at).lost).then_some(at);
        }
        let size = CONNECTION_SIZE + name.len();
        if self.held + size > max {
            return None;
        }
        self.held += size;
        Some(self.connections.push(name.into(), Connection::default()))
    }

    /// Merges the changes, and returns the entry's timestamp; `None` when more would be held than allowed.
    fn merge<'a>(
        &mut self,
        at: usize,
        mut delta: Members<'a>,
        mode: Mode,
        max: usize,
    ) -> Option<Option<&'a str>> {
        let Self { connections, names, held } = self;
        let connection = connections.at(at);
        connection.pass += 1;
        let pass = connection.pass;
        let slots = &mut connection.slots;

        // The entry's timestamp is at its end, so the reports get theirs after all have been parsed.
        let mut timestamp = None;
        let mut timeless = Vec::with_capacity(64);
        let mut after = 0;
        loop {
            let slot = match slots.find_ahead(after, |id| id != TIMESTAMP && delta.has_name(id)) {
                Some(slot) => slot,
                None => {
                    let Some(id) = delta.name() else { break };
                    if id == TIMESTAMP {
                        timestamp = Some(delta.clone().value()?).filter(|raw| *raw != "null");
                        if mode == Mode::Server {
                            delta.value()?;
                            continue;
                        }
                    }
                    slots.find(&id, after).unwrap_or_else(|| {
                        *held += REPORT_SIZE + id.len();
                        slots.push(id.as_ref().into(), Slot { held: Held::Plain("".into()), pass: 0 })
                    })
                }
            };
            after = slot + 1;
            let place = slots.at(slot);
            let before = place.size();
            let is_new = matches!(&place.held, Held::Plain(held) if !is_truthy(held));
            match (&mut place.held, delta.enter()) {
                // When something else has taken a report's place, JavaScript changes nothing.
                (Held::Plain(_), true) if !is_new => {
                    while delta.name().is_some() {
                        delta.value()?;
                    }
                    delta.leave();
                }
                (_, true) => {
                    if is_new {
                        place.held = Held::Report(Report::default());
                    }
                    if let Held::Report(report) = &mut place.held {
                        let room = before + max.saturating_sub(*held);
                        let merged = merge_report(report, &mut delta, names, room);
                        if let Some((own, after)) = merged {
                            timeless.push(Timeless { slot, own, after, is_new });
                        } else {
                            *held = *held - before + place.size();
                            return None;
                        }
                    }
                }
                (_, false) => {
                    let raw = delta.value()?;
                    if raw == "null" {
                        continue;
                    }
                    if is_new || !is_truthy(raw) {
                        place.held = Held::Plain(raw.into());
                    }
                }
            }
            place.pass = pass;
            *held = *held - before + place.size();
            if *held + timeless.len() * size_of::<Timeless<'_>>() > max {
                return None;
            }
        }
        for report in timeless {
            let change = report.change(timestamp, mode);
            let Held::Report(held_report) = &mut slots.at(report.slot).held else { continue };
            let before = held_report.size();
            set_timestamp(held_report, change, report.after, names);
            *held = *held - before + held_report.size();
        }
        let mut removed = 0;
        slots.retain(|id, slot| {
            let keep = slot.pass == pass;
            removed += if keep { 0 } else { REPORT_SIZE + id.len() + slot.size() };
            keep
        });
        *held -= removed;
        (*held <= max).then_some(timestamp)
    }

    /// Drops the state of a connection.
    fn lose(&mut self, at: usize) {
        let connection = self.connections.at(at);
        let sizes = connection.slots.iter().map(|(id, slot)| REPORT_SIZE + id.len() + slot.size());
        self.held -= sizes.sum::<usize>();
        *connection = Connection { lost: true, ..Connection::default() };
    }
}

/// A report that was merged, except for its timestamp.
struct Timeless<'a> {
    slot: usize,
    /// The timestamp that came with it, as raw JSON.
    own: Option<&'a str>,
    /// Where its timestamp probably is.
    after: usize,
    is_new: bool,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    To(&'a str),
    Removed,
    Nothing,
}

impl<'a> Timeless<'a> {
    /// Decides its timestamp in an entry with this timestamp.
    fn change(&self, entry: Option<&'a str>, mode: Mode) -> Change<'a> {
        let replaced = entry.map_or(Change::Removed, Change::To);
        match self.own {
            Some(own) if is_zero(own) => replaced,
            _ if mode == Mode::Snippet && !self.is_new => replaced,
            Some(own) => Change::To(own),
            None => Change::Nothing,
        }
    }
}

/// Merges the fields of one report, the next in the delta, except for its timestamp, which is returned, together with
/// where it probably is; `None` when the report would be larger than `max`.
fn merge_report<'a>(
    report: &mut Report,
    delta: &mut Members<'a>,
    names: &mut Names,
    max: usize,
) -> Option<(Option<&'a str>, usize)> {
    let (fields, size) = report.slots();
    let (mut own, mut after, mut timestamp_at) = (None, 0, 0);
    loop {
        let found = match fields.find_ahead(after, |name| name != TIMESTAMP && delta.has_name(name)) {
            Some(at) => Ok(at),
            None => {
                let Some(name) = delta.name() else { break };
                if name == TIMESTAMP {
                    (own, timestamp_at) = (Some(delta.value()?), after);
                    continue;
                }
                fields.find(&name, after).ok_or(name)
            }
        };
        let value = delta.value()?;
        match found {
            Ok(at) => {
                change(fields.at(at), value, size);
                after = at + 1;
            }
            Err(name) => {
                *size += FIELD_SIZE + name.len() + value.len();
                after = fields.push(names.shared(&name), value.to_owned()) + 1;
            }
        }
        if *size > max {
            return None;
        }
    }
    delta.leave();
    Some((own, timestamp_at))
}

fn set_timestamp(report: &mut Report, to: Change<'_>, after: usize, names: &mut Names) {
    let (fields, size) = report.slots();
    match to {
        Change::To(value) => match fields.find(TIMESTAMP, after) {
            Some(at) => change(fields.at(at), value, size),
            None => {
                *size += FIELD_SIZE + TIMESTAMP.len() + value.len();
                fields.push(names.shared(TIMESTAMP), value.to_owned());
            }
        },
        Change::Removed => {
            if let Some(removed) = fields.remove(TIMESTAMP) {
                *size -= FIELD_SIZE + TIMESTAMP.len() + removed.len();
            }
        }
        Change::Nothing => {}
    }
}

/// Changes a value in place, without a new allocation as long as it fits.
fn change(held: &mut String, value: &str, size: &mut usize) {
    *size = *size - held.len() + value.len();
    held.clear();
    held.push_str(value);
    // One long value must not hold its memory forever.
    if held.capacity() > 64 + 2 * held.len() {
        held.shrink_to_fit();
    }
}

/// Whether JavaScript considers it true.
fn is_truthy(raw: &str) -> bool {
    !matches!(raw, "" | "null" | "false" | "\"\"") && !is_zero(raw)
}

/// Whether it is the number 0, in any notation.
fn is_zero(raw: &str) -> bool {
    raw == "0" || raw.starts_with(['-', '0']) && f64::parse(raw) == Some(0.0)
}
