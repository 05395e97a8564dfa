//! Rebuilding complete statistics out of what has changed.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::DEFAULT_MAX_HELD;
use super::entry::{Entry, EntryKind};
use super::error::{RtcstatsError, RtcstatsErrorKind};
use super::keyed::{Keyed, Names};
use super::report::Report;
use super::snapshot::Snapshot;
use crate::Timestamp;
use crate::lenient::Field as _;

/// What a field, a report and a connection are counted as, beside their text.
const FIELD_SIZE: usize = 120;
const REPORT_SIZE: usize = 240;
const CONNECTION_SIZE: usize = 400;
/// What an id in an entry is counted as while the entry is applied.
const FOUND_SIZE: usize = 64;

/// The key of the connection without a name; no name is empty.
const NAMELESS: &str = "";

/// Rebuilds complete statistics, for each peer connection on its own.
///
/// An entry holds, of each report, the fields that have changed; `{}` is a report that has not, and a report that is absent
/// was removed. Apply the entries in the order of the file. Unchanged fields are not touched, let alone copied.
///
/// It holds the last state of every connection, up to [`max_held`](Decompressor::max_held).
///
/// An entry that is missing, because its line was broken, leaves the fields it would have changed as they were until they
/// change again.
#[derive(Debug, Default)]
pub struct Decompressor {
    mode: Mode,
    max_held: MaxHeld,
    state: State,
}

/// Which of two rules for timestamps applies.
///
/// The sender takes the latest timestamp of all reports out, writes it once at the top level, and 0 where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// As the statistics server itself does it (seen in its published code): the timestamp at the top level belongs to no
    /// report and is taken out first; it replaces timestamps of 0, and only these. A report that was measured earlier
    /// keeps its own time. The default.
    #[default]
    Server,
    /// As the snippet in 8x8's documentation computes it, "meant as a guideline": each report of an entry gets the entry's
    /// timestamp if there was one of that id before, whatever its own said; the top level's `timestamp` stays among the
    /// reports and is for ever that of the first entry. To compare with what was computed that way.
    ///
    /// Where the snippet fails, or meddles with JavaScript's own objects, this does not: `null` in a report's place counts
    /// as absent, a text or list in the place of a report that was there changes nothing, and a report may be called
    /// `constructor`.
    Snippet,
}

impl Decompressor {
    /// Rebuilds as the [server](Mode::Server) does.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which rule for timestamps applies. Default: [`Mode::Server`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// How much it may hold of all connections, in bytes as it counts them: text, and a fixed amount for each field, report
    /// and connection. What it really needs is no more than twice that. Default:
    /// [`DEFAULT_MAX_HELD`](super::DEFAULT_MAX_HELD).
    #[must_use]
    pub fn max_held(mut self, bytes: usize) -> Self {
        self.max_held = MaxHeld(bytes);
        self
    }

    /// How much it holds of all connections, in bytes as it counts them.
    pub fn held(&self) -> usize {
        self.state.held
    }

    /// Applies an entry to its connection and shows what is known then; `None` when the entry carries no statistics.
    ///
    /// # Errors
    ///
    /// [`NotStatistics`](RtcstatsErrorKind::NotStatistics) when the data of a `getstats` entry is no object; nothing
    /// changes. [`TooMuch`](RtcstatsErrorKind::TooMuch) when more would be held than may be: the connection is forgotten,
    /// and each later entry of it is the same error, since what it changes is not known any more.
    pub fn apply(&mut self, entry: &Entry) -> Result<Option<Snapshot<'_>>, RtcstatsError> {
        if *entry.kind() != EntryKind::GetStats {
            return Ok(None);
        }
        let too_much = || {
            let (line, max) = (entry.line(), self.max_held.0);
            RtcstatsError::new(
                RtcstatsErrorKind::TooMuch,
                line,
                format!(
                    "line {line}: more than {max} bytes of statistics would be held; `max_held` allows more"
                ),
            )
        };
        let delta = Delta::read(entry, self.max_held.0)?.ok_or_else(too_much)?;
        let stats_at = delta.timestamp.and_then(Timestamp::read);
        let at = self.state.connection(entry.connection(), self.max_held.0).ok_or_else(too_much)?;
        if !self.state.merge(at, delta, self.mode, self.max_held.0) {
            self.state.lose(at);
            return Err(too_much());
        }
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

/// What is held of all connections.
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
    /// Counts the entries, to tell what was in the last one.
    pass: u64,
    /// It was forgotten, because it was too large.
    lost: bool,
}

/// The place of a report.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) held: Held,
    /// The last entry it was in.
    pass: u64,
    /// Where in that entry; of an id that is there twice, the second counts.
    place: usize,
}

#[derive(Debug)]
pub(super) enum Held {
    Report(Report),
    /// What is no object, as raw JSON.
    Plain(Box<str>),
}

impl Slot {
    pub(super) fn report(&self) -> Option<&Report> {
        match &self.held {
            Held::Report(report) => Some(report),
            Held::Plain(_) => None,
        }
    }

    fn size(&self) -> usize {
        match &self.held {
            Held::Report(report) => report.size(),
            Held::Plain(raw) => raw.len(),
        }
    }
}

impl State {
    /// Where the state of a connection is; `None` when it is lost, or too many are held for another one.
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

    /// Merges what has changed; `false` when more would be held than may be.
    fn merge(&mut self, at: usize, delta: Delta<'_>, mode: Mode, max: usize) -> bool {
        let Self { connections, names, held } = self;
        let connection = connections.at(at);
        connection.pass += 1;
        let pass = connection.pass;
        let slots = &mut connection.slots;

        let timestamp = delta.timestamp.filter(|raw| *raw != "null");
        let values = || {
            let taken_out = |id: &str| mode == Mode::Server && id == "timestamp";
            delta.values.iter().filter(move |(id, raw)| *raw != "null" && !taken_out(id))
        };
        let mut places = Vec::with_capacity(delta.values.len());
        let mut after = 0;
        for (place, (id, _)) in values().enumerate() {
            let found = slots.find(id, after);
            let slot = found.unwrap_or_else(|| {
                *held += REPORT_SIZE + id.len();
                slots.push(id.as_ref().into(), Slot { held: Held::Plain("".into()), pass, place })
            });
            after = slot + 1;
            (slots.at(slot).pass, slots.at(slot).place) = (pass, place);
            places.push(slot);
            if *held > max {
                return false;
            }
        }
        for (place, (_, raw)) in values().enumerate() {
            let slot = slots.at(places[place]);
            if slot.place != place {
                continue;
            }
            let before = slot.size();
            if !is_truthy(raw) {
                slot.held = Held::Plain((*raw).into());
            } else if !raw.starts_with('{') {
                // Of what is no object, JavaScript keeps what was there first.
                if matches!(&slot.held, Held::Plain(held) if !is_truthy(held)) {
                    slot.held = Held::Plain((*raw).into());
                }
            } else {
                let is_new = matches!(&slot.held, Held::Plain(held) if !is_truthy(held));
                if is_new {
                    slot.held = Held::Report(Report::default());
                }
                if let Held::Report(report) = &mut slot.held {
                    let room = max.saturating_sub(*held);
                    if !merge_report(
                        report,
                        raw,
                        Times { entry: timestamp, is_new, mode },
                        names,
                        before + room,
                    ) {
                        *held = *held - before + slot.size();
                        return false;
                    }
                }
            }
            *held = *held - before + slot.size();
            if *held > max {
                return false;
            }
        }
        let mut removed = 0;
        slots.retain(|id, slot| {
            let keep = slot.pass == pass;
            removed += if keep { 0 } else { REPORT_SIZE + id.len() + slot.size() };
            keep
        });
        *held -= removed;
        true
    }

    /// Forgets what is known of a connection.
    fn lose(&mut self, at: usize) {
        let connection = self.connections.at(at);
        let sizes = connection.slots.iter().map(|(id, slot)| REPORT_SIZE + id.len() + slot.size());
        self.held -= sizes.sum::<usize>();
        *connection = Connection { lost: true, ..Connection::default() };
    }
}

/// What a report's timestamp depends on.
struct Times<'a> {
    /// The entry's own, as raw JSON.
    entry: Option<&'a str>,
    is_new: bool,
    mode: Mode,
}

impl<'a> Times<'a> {
    /// The timestamp of a report that came with this one, or without.
    fn of(&self, own: Option<&'a str>) -> Change<'a> {
        let replaced = self.entry.map_or(Change::Removed, Change::To);
        match own {
            Some(own) if is_zero(own) => replaced,
            _ if self.mode == Mode::Snippet && !self.is_new => replaced,
            Some(own) => Change::To(own),
            None => Change::Nothing,
        }
    }
}

enum Change<'a> {
    To(&'a str),
    Removed,
    Nothing,
}

/// Merges the fields of one report; `false` when it would be larger than `max`.
fn merge_report(report: &mut Report, raw: &str, times: Times<'_>, names: &mut Names, max: usize) -> bool {
    let (fields, size) = report.slots();
    let mut own = None;
    let mut after = 0;
    let visitor = Object(|name: Cow<'_, str>, value| {
        if name == "timestamp" {
            own = Some(value);
            return true;
        }
        after = set(fields, &name, value, after, size, names) + 1;
        *size <= max
    });
    // It was validated as a part of its line.
    if serde_json::Deserializer::from_str(raw).deserialize_map(visitor).is_err() {
        return false;
    }
    match times.of(own) {
        Change::To(value) => {
            set(fields, "timestamp", value, after, size, names);
        }
        Change::Removed => {
            if let Some(removed) = fields.remove("timestamp") {
                *size -= FIELD_SIZE + "timestamp".len() + removed.len();
            }
        }
        Change::Nothing => {}
    }
    *size <= max
}

/// Sets a field, and says where it is.
fn set(
    fields: &mut Keyed<String>,
    name: &str,
    value: &str,
    after: usize,
    size: &mut usize,
    names: &mut Names,
) -> usize {
    let Some(at) = fields.find(name, after) else {
        *size += FIELD_SIZE + name.len() + value.len();
        return fields.push(names.shared(name), value.to_owned());
    };
    let held = fields.at(at);
    *size = *size - held.len() + value.len();
    held.clear();
    held.push_str(value);
    // One long value must not hold its memory for ever.
    if held.capacity() > 64 + 2 * held.len() {
        held.shrink_to_fit();
    }
    at
}

/// Whether JavaScript takes it for true.
fn is_truthy(raw: &str) -> bool {
    !matches!(raw, "" | "null" | "false" | "\"\"") && !is_zero(raw)
}

/// Whether it is the number 0, written in any way.
fn is_zero(raw: &str) -> bool {
    raw == "0" || raw.starts_with(['-', '0']) && f64::read(raw) == Some(0.0)
}

/// What an entry says has changed.
struct Delta<'a> {
    /// `timestamp` at the top level, as raw JSON.
    timestamp: Option<&'a str>,
    /// Everything at the top level, that included, in the order of the entry.
    values: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Delta<'a> {
    /// `None` when it alone is more than may be held.
    fn read(entry: &'a Entry, max: usize) -> Result<Option<Self>, RtcstatsError> {
        let mut delta = Self { timestamp: None, values: Vec::new() };
        let mut too_much = false;
        let visitor = Object(|id: Cow<'a, str>, raw| {
            if id == "timestamp" {
                delta.timestamp = Some(raw);
            }
            delta.values.push((id, raw));
            too_much = delta.values.len() * FOUND_SIZE > max;
            !too_much
        });
        let read = serde_json::Deserializer::from_str(entry.data()).deserialize_map(visitor);
        match read {
            Ok(()) => Ok(Some(delta)),
            Err(_) if too_much => Ok(None),
            Err(_) => {
                let line = entry.line();
                Err(RtcstatsError::new(
                    RtcstatsErrorKind::NotStatistics,
                    line,
                    format!("line {line}: the statistics are no object of reports"),
                ))
            }
        }
    }
}

/// Gives the members of an object as raw JSON, as long as `true` comes back.
struct Object<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str) -> bool> Visitor<'de> for Object<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let raw: &RawValue = map.next_value()?;
            if !(self.0)(name, raw.get()) {
                return Err(serde::de::Error::custom("too much"));
            }
        }
        Ok(())
    }
}

/// A name of which half an emoji, which no text in Rust can hold, becomes U+FFFD.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;

        impl<'de> Visitor<'de> for BytesVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                Ok(Name(String::from_utf8_lossy(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Name(String::from_utf8_lossy(bytes).into_owned().into()))
            }
        }

        deserializer.deserialize_bytes(BytesVisitor)
    }
}
