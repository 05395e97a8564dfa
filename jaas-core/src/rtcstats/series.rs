//! One field through the call.

use std::collections::HashMap;

use super::report::Report;
use super::snapshot::Snapshot;
use crate::timestamp::Timestamp;

/// Follows a field: for every report that has it, its value in each snapshot.
///
/// ```
/// use jaas_core::rtcstats::{Decompressor, Direction, Reader, ReportType, Series};
///
/// # fn example(file: std::fs::File) -> Result<(), jaas_core::rtcstats::RtcstatsError> {
/// let (mut decompressor, mut bitrate) = (Decompressor::new(), Series::of("bytesSent").per_second());
/// for entry in Reader::new(file) {
///     if let Some(snapshot) = decompressor.apply(&entry?)? {
///         for point in bitrate.points(&snapshot) {
///             if point.report.report_type() == Some(ReportType::OutboundRtp) {
///                 println!("{:?} {:?}: {} bit/s", point.at, point.report.kind(), point.value * 8.0);
///             }
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Series {
    field: String,
    per_second: bool,
    /// By connection. Only the reports of its last snapshot are kept.
    last: HashMap<Box<str>, Last>,
}

/// By report: the last time in ms, and the value then.
type Last = HashMap<Box<str>, (f64, f64)>;

/// The value of a field at one moment.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Point<'a> {
    /// The peer connection: `PC_0`, `PC_1`, …
    pub connection: Option<&'a str>,
    /// The id of the report.
    pub id: &'a str,
    /// The report, with its type, kind and stream.
    pub report: &'a Report,
    /// When it was measured, by the participant's clock.
    pub at: Option<Timestamp>,
    /// The field's value, in the unit that W3C defines; [per second](Series::per_second) if requested.
    pub value: f64,
}

impl Series {
    /// Creates a series of this field, under its name on the wire: `jitter`, `packetsLost`, …
    pub fn of(field: impl Into<String>) -> Self {
        Self { field: field.into(), per_second: false, last: HashMap::new() }
    }

    /// Returns by how much the field grows per second: for counters, such as `bytesSent`. A report has no value in its
    /// first snapshot, in one that was not measured again, and after its counter restarted.
    #[must_use]
    pub fn per_second(mut self) -> Self {
        self.per_second = true;
        self
    }

    /// Returns the values in this snapshot; pass all snapshots, in order. Reports without the field, or with a value
    /// that is not a number, have none.
    pub fn points<'a>(&mut self, snapshot: &Snapshot<'a>) -> Vec<Point<'a>> {
        let connection = snapshot.connection();
        let values = snapshot.reports().filter_map(|(id, report)| {
            let value = report.number(&self.field)?;
            let at = report.at().or(snapshot.at());
            Some(Point { connection, id, report, at, value })
        });
        if !self.per_second {
            return values.collect();
        }
        let last = self.last.remove(connection.unwrap_or_default()).unwrap_or_default();
        let mut points = Vec::new();
        let mut now = Last::with_capacity(last.len());
        for point in values {
            let at = point.report.timestamp().or(point.at.map(|at| at.as_millis() as f64));
            let Some(at) = at else { continue };
            let before = last.get(point.id).copied();
            if let Some(per_second) = before.and_then(|before| per_second(before, (at, point.value))) {
                points.push(Point { value: per_second, ..point });
            }
            now.insert(point.id.into(), (at, point.value));
        }
        self.last.insert(connection.unwrap_or_default().into(), now);
        points
    }
}

/// By how much a counter grew per second, from two of its (ms, value); `None` when no time passed or it restarted.
pub(super) fn per_second(before: (f64, f64), now: (f64, f64)) -> Option<f64> {
    let (seconds, grown) = ((now.0 - before.0) / 1000.0, now.1 - before.1);
    (seconds > 0.0 && grown >= 0.0).then(|| grown / seconds)
}
