//! The summary as readable text.

use std::fmt;
use std::time::Duration;

use super::{ConnectionSummary, MediaSummary, Summary};
use crate::rtcstats::spread::Spread;
use crate::telemetry::Escaped;

/// A table for each connection.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries", self.entries())?;
        if let Some((first, _)) = self.time() {
            write!(f, ", {} from {first}", Hms(self.duration()))?;
        }
        if self.broken_lines() > 0 {
            write!(f, ", {} broken lines", self.broken_lines())?;
        }
        if self.is_incomplete() {
            f.write_str("; the file is not complete")?;
        }
        let connections = self.connections();
        if connections.is_empty() {
            f.write_str("\nno statistics of any connection")?;
        }
        connections.iter().try_for_each(|connection| write!(f, "\n\n{connection}"))
    }
}

impl fmt::Display for ConnectionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("without a name");
        write!(f, "{}: {} in {} snapshots", Escaped(name), Hms(self.duration()), self.snapshots)?;
        if let Some(round_trip) = self.round_trip {
            write!(f, ", round trip {} ms", Scaled(round_trip, 1e3))?;
        }
        if self.media.is_empty() {
            return f.write_str("\n  no sound and no picture");
        }
        let headings = ["streams", "lost", "loss", "jitter ms", "round trip ms", "kbit/s", "frames/s"];
        write!(f, "\n  {:14}", "")?;
        headings.iter().try_for_each(|heading| write!(f, " {heading:>15}"))?;
        self.media.iter().try_for_each(|media| write!(f, "\n  {media}"))
    }
}

/// One line, with mean and 95th percentile separated by a bar.
impl fmt::Display for MediaSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:14}", format!("{} {}", self.direction.as_str(), self.kind))?;
        write!(f, " {:>15} {:>15}", self.streams, format!("{:.2} %", self.lost() * 100.0))?;
        let spreads = [
            (self.loss, 1e2, " %"),
            (self.jitter, 1e3, ""),
            (self.round_trip, 1e3, ""),
            (self.bitrate, 1e-3, ""),
            (self.frames_per_second, 1.0, ""),
        ];
        spreads.into_iter().try_for_each(|(spread, scale, unit)| {
            let text =
                spread.map_or_else(|| "-".to_owned(), |spread| format!("{}{unit}", Scaled(spread, scale)));
            write!(f, " {text:>15}")
        })
    }
}

/// Mean and 95th percentile, multiplied by a factor.
struct Scaled(Spread, f64);

impl fmt::Display for Scaled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} | {:.1}", self.0.mean * self.1, self.0.p95 * self.1)
    }
}

/// `1:02:03`, or `2:03`.
struct Hms(Duration);

impl fmt::Display for Hms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(f, "{minutes}:{seconds:02}")
        }
    }
}
