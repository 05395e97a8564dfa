//! Why the call was bad.

mod show;
mod track;

use std::time::Duration;

use super::decompress::Decompressor;
use super::entry::Entry;
use super::error::{RtcstatsError, RtcstatsErrorKind};
use super::keyed::Keyed;
use super::reader::Reader;
use super::report::MediaKind;
use super::spread::Spread;
use crate::named::named_enum;
use crate::timestamp::Timestamp;

/// A statistics file in a few numbers: for each connection its length, and for sound and picture, sent and received,
/// the loss, jitter, round trip and bitrate. `Display` prints them as a table.
///
/// Its memory does not depend on the length of the file.
///
/// ```
/// use jaas_core::rtcstats::{Direction, MediaKind, Summary};
///
/// # fn example(file: std::fs::File) -> Result<(), jaas_core::rtcstats::RtcstatsError> {
/// let summary = Summary::of(file)?;
/// for connection in summary.connections() {
///     if let Some(video) = connection.media(Direction::Inbound, MediaKind::Video) {
///         let worst = video.loss.map_or(0.0, |loss| loss.p95);
///         println!("{:?}: {:.1} % of the picture lost at its worst", connection.name, worst * 100.0);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Summary {
    entries: u64,
    broken: u64,
    incomplete: bool,
    time: Span,
    tracked: Keyed<track::Connection>,
}

/// One peer connection: to the video bridge, or directly to the other participant.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionSummary {
    /// `PC_0`, `PC_1`, …
    pub name: Option<String>,
    /// Its first and last statistics, by the participant's clock.
    pub time: Option<(Timestamp, Timestamp)>,
    /// How many snapshots were taken.
    pub snapshots: u64,
    /// The round trip to the other side, in **s**, of the candidate pair in use.
    pub round_trip: Option<Spread>,
    /// Each direction and kind that had streams.
    pub media: Vec<MediaSummary>,
}

/// All streams of one direction and kind in one connection.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MediaSummary {
    /// Sent or received.
    pub direction: Direction,
    /// Sound or picture.
    pub kind: MediaKind,
    /// The largest number of streams at the same time.
    pub streams: usize,
    /// Expected packets, received plus lost; or sent packets.
    pub packets: u64,
    /// Packets lost on the way. For sent packets, as the other side counted them.
    pub packets_lost: u64,
    /// The share of packets that was lost, from 0 to 1, between two snapshots: over all streams together.
    pub loss: Option<Spread>,
    /// How unevenly packets arrived, in **s**, while any arrived. For sent packets, at the other side.
    pub jitter: Option<Spread>,
    /// The round trip to the other side, in **s**, by RTCP.
    pub round_trip: Option<Spread>,
    /// Bits of payload per second, of all streams together, between two snapshots.
    pub bitrate: Option<Spread>,
    /// Frames per second of each stream.
    pub frames_per_second: Option<Spread>,
}

named_enum! {
    /// The direction, from the participant's point of view.
    pub enum Direction {
        /// Received by this participant.
        Inbound = "inbound",
        /// Sent by this participant.
        Outbound = "outbound",
    }
}

impl ConnectionSummary {
    /// The streams of a direction and kind, if there were any.
    #[allow(clippy::needless_pass_by_value, reason = "it is written as a constant")]
    pub fn media(&self, direction: Direction, kind: MediaKind) -> Option<&MediaSummary> {
        self.media.iter().find(|media| media.direction == direction && media.kind == kind)
    }

    /// From the first statistics to the last.
    pub fn duration(&self) -> Duration {
        self.time.map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }
}

impl MediaSummary {
    /// The share of packets that was lost in total, from 0 to 1.
    pub fn lost(&self) -> f64 {
        if self.packets == 0 { 0.0 } else { (self.packets_lost as f64 / self.packets as f64).min(1.0) }
    }
}

impl Summary {
    /// Creates an empty summary.
    pub fn new() -> Self {
        Self::default()
    }

    /// Summarizes a whole file. Lines that are not entries are [counted](Self::broken_lines), and a file that ends too
    /// early is [incomplete](Self::is_incomplete).
    ///
    /// # Errors
    ///
    /// Only of the kind [`Io`](RtcstatsErrorKind::Io).
    pub fn of(file: impl std::io::Read) -> Result<Self, RtcstatsError> {
        let (mut summary, mut decompressor) = (Self::new(), Decompressor::new());
        for entry in Reader::new(file) {
            summary.add(entry, &mut decompressor)?;
        }
        Ok(summary)
    }

    /// Adds an item of a reader: an entry, or an error, which is counted.
    ///
    /// # Errors
    ///
    /// Only of the kind [`Io`](RtcstatsErrorKind::Io).
    pub fn add(
        &mut self,
        entry: Result<Entry, RtcstatsError>,
        decompressor: &mut Decompressor,
    ) -> Result<(), RtcstatsError> {
        let added = entry.and_then(|entry| {
            self.entries += 1;
            self.time.add(entry.at());
            if let Some(snapshot) = decompressor.apply(&entry)? {
                let name = snapshot.connection().unwrap_or_default();
                let known = self.tracked.find(name, 0);
                let at =
                    known.unwrap_or_else(|| self.tracked.push(name.into(), track::Connection::default()));
                self.tracked.at(at).add(&snapshot);
            }
            Ok(())
        });
        match added {
            Err(error) if error.kind() == RtcstatsErrorKind::Io => Err(error),
            Err(error) if error.ends_the_file() => {
                self.incomplete = true;
                Ok(())
            }
            Err(_) => {
                self.broken += 1;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// How many entries there were, of all kinds.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// How many lines were not entries, too long, or could not be decompressed.
    pub fn broken_lines(&self) -> u64 {
        self.broken
    }

    /// Whether the file ended too early, or was damaged from some point on.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The first and the last time in the file, by the participant's clock.
    pub fn time(&self) -> Option<(Timestamp, Timestamp)> {
        self.time.0
    }

    /// From the first time in the file to the last.
    pub fn duration(&self) -> Duration {
        self.time().map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }

    /// Each connection that has statistics, in the order of the file.
    pub fn connections(&self) -> Vec<ConnectionSummary> {
        self.tracked.iter().map(|(name, connection)| connection.summary(name)).collect()
    }
}

/// The earliest and the latest of some times.
#[derive(Debug, Clone, Copy, Default)]
struct Span(Option<(Timestamp, Timestamp)>);

impl Span {
    fn add(&mut self, at: Option<Timestamp>) {
        let Some(at) = at else { return };
        let (first, last) = self.0.unwrap_or((at, at));
        self.0 = Some((first.min(at), last.max(at)));
    }
}
