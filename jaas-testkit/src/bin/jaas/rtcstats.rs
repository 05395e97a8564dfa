//! `jaas rtcstats`, for the statistics files that `RTCSTATS_UPLOADED` links to.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use jaas_core::rtcstats::{
    Decompressor, Mode, Point, Reader, RtcstatsError, RtcstatsErrorKind, Series, Snapshot, Spread, Summary,
};
use jaas_core::telemetry::Escaped;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// Reads a statistics file: why was the call bad?
#[derive(Debug, Args)]
#[command(after_help = "\
RTCSTATS_UPLOADED links to such a file, for 48 hours. It is gzip, or plain once unpacked; both are accepted. Lines that are
not entries are reported on standard error, and so is a file that ends too early; everything it contains is shown. Both make
the exit code 1. Times are in s and sizes in bytes, as browsers report them; shares of loss are from 0 to 1.

Examples:
  jaas rtcstats stats.gz summary
  curl -s \"$link\" | jaas rtcstats - summary --json
  jaas rtcstats stats.gz expand > snapshots.ndjson
  jaas rtcstats stats.gz series packetsLost --csv > lost.csv
  jaas rtcstats stats.gz series bytesReceived --per-second --type inbound-rtp --kind video --csv")]
pub(crate) struct Rtcstats {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The longest line to read, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = jaas_core::rtcstats::DEFAULT_MAX_LINE)]
    max_line: usize,

    /// Stops at the first line that is not an entry
    #[arg(long)]
    strict: bool,

    /// How timestamps are rebuilt
    #[arg(long, value_enum, default_value_t = Rule::Server)]
    mode: Rule,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Loss, jitter, round trip and bitrate of each connection, mean and 95th percentile
    Summary,
    /// The complete statistics after each entry, a line of JSON each
    Expand,
    /// One field through the call, a line for each report and moment
    Series(Follow),
}

#[derive(Debug, Args)]
struct Follow {
    /// The field: jitter, packetsLost, …
    field: String,

    /// Writes comma-separated values, with a line of headings; otherwise lines of JSON
    #[arg(long)]
    csv: bool,

    /// The growth per second, for counters
    #[arg(long)]
    per_second: bool,

    /// Only reports of this type: inbound-rtp, remote-inbound-rtp, candidate-pair, …
    #[arg(long = "type", value_name = "TYPE")]
    of_type: Option<String>,

    /// Only audio, or video
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,

    /// Only this connection: PC_0, …
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
}

/// `Mode`, as written on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Rule {
    /// As the statistics server does: only timestamps of 0 are replaced
    Server,
    /// As the snippet in 8x8's documentation does
    Snippet,
}

impl Rtcstats {
    pub(crate) fn run(&self, output: &Output) -> Result<(), Failure> {
        let input = open(&self.file)?;
        match &self.what {
            What::Summary => self.summary(input, output),
            What::Expand => self.each(input, output, expand),
            What::Series(follow) => {
                let series = Series::of(&follow.field);
                let mut series = if follow.per_second { series.per_second() } else { series };
                let mut begun = false;
                self.each(input, output, |snapshot, out| {
                    if follow.csv && !begun {
                        out.write_all(b"time_ms,connection,report,type,kind,ssrc,value\n")?;
                        begun = true;
                    }
                    let mut points = series.points(snapshot).into_iter().filter(|point| follow.wants(point));
                    points.try_for_each(|point| if follow.csv { csv(&point, out) } else { line(&point, out) })
                })
            }
        }
    }

    fn reader(&self, input: Box<dyn Read>) -> Reader<Box<dyn Read>> {
        let reader = Reader::new(input).max_line(self.max_line);
        if self.strict { reader.stop_at_broken_lines() } else { reader }
    }

    fn decompressor(&self) -> Decompressor {
        Decompressor::new().mode(match self.mode {
            Rule::Server => Mode::Server,
            Rule::Snippet => Mode::Snippet,
        })
    }

    fn summary(&self, input: Box<dyn Read>, output: &Output) -> Result<(), Failure> {
        let (mut summary, mut decompressor) = (Summary::new(), self.decompressor());
        let mut troubles = Troubles::default();
        for item in self.reader(input) {
            let line = match &item {
                Ok(entry) => Some(entry.line()),
                Err(error) => {
                    troubles.report(error, output);
                    None
                }
            };
            let broken = summary.broken_lines();
            // The error of an input that cannot be read was reported above.
            let _ = summary.add(item, &mut decompressor);
            if let Some(line) = line.filter(|_| summary.broken_lines() > broken) {
                output.complain(&format!(
                    "line {line}: its statistics are not counted; they are not an object of reports, or exceed the memory limit"
                ));
            }
        }
        troubles.unreadable(&self.file)?;
        output.result(&json(&summary), || format!("{summary}\n"))?;
        if summary.broken_lines() > 0 || summary.is_incomplete() {
            Err(Failure::already_reported())
        } else {
            Ok(())
        }
    }

    /// Writes a line for each snapshot.
    fn each(
        &self,
        input: Box<dyn Read>,
        output: &Output,
        mut write: impl FnMut(&Snapshot<'_>, &mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let mut decompressor = self.decompressor();
        let mut troubles = Troubles::default();
        for item in self.reader(input) {
            match item.and_then(|entry| {
                decompressor.apply(&entry).map(|snapshot| snapshot.map(|snapshot| write(&snapshot, &mut out)))
            }) {
                Ok(written) => written.unwrap_or(Ok(()))?,
                Err(error) => troubles.report(&error, output),
            }
        }
        out.flush()?;
        troubles.unreadable(&self.file)?;
        if troubles.any { Err(Failure::already_reported()) } else { Ok(()) }
    }
}

/// The problems with the file.
#[derive(Debug, Default)]
struct Troubles {
    any: bool,
    input: Option<String>,
}

impl Troubles {
    fn report(&mut self, error: &RtcstatsError, output: &Output) {
        self.any = true;
        if error.kind() == RtcstatsErrorKind::Io {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            self.input = Some(cause.unwrap_or_else(|| error.to_string()));
        } else {
            output.complain(&error.to_string());
        }
    }

    fn unreadable(&self, file: &Path) -> Result<(), Failure> {
        let Some(why) = &self.input else { return Ok(()) };
        Err(Failure::usage(format!("cannot read {}: {why}", file.display())))
    }
}

impl Follow {
    fn wants(&self, point: &Point<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.of_type, point.report.text("type").as_deref())
            && is(&self.kind, point.report.kind().as_ref().map(|kind| kind.as_str()))
            && is(&self.connection, point.connection)
    }
}

fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let opened = File::open(file);
    let opened =
        opened.map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
    Ok(Box::new(opened))
}

fn expand(snapshot: &Snapshot<'_>, out: &mut dyn Write) -> io::Result<()> {
    let connection = json!(snapshot.connection());
    write!(
        out,
        "{{\"line\":{},\"connection\":{connection},\"at\":{},\"stats\":",
        snapshot.line(),
        json!(snapshot.at())
    )?;
    snapshot.write_json(&mut *out)?;
    out.write_all(b"}\n")
}

fn line(point: &Point<'_>, out: &mut dyn Write) -> io::Result<()> {
    let report = point.report;
    let json = json!({
        "at": point.at,
        "connection": point.connection,
        "report": point.id,
        "type": report.text("type"),
        "kind": report.kind().map(|kind| kind.to_string()),
        "ssrc": report.ssrc(),
        "value": point.value,
    });
    writeln!(out, "{json}")
}

fn csv(point: &Point<'_>, out: &mut dyn Write) -> io::Result<()> {
    let at = point.at.map(|at| at.as_millis().to_string());
    let kind = point.report.kind();
    let ssrc = point.report.ssrc().map(|ssrc| ssrc.to_string());
    let of_type = point.report.text("type");
    let texts = [
        at.as_deref(),
        point.connection,
        Some(point.id),
        of_type.as_deref(),
        kind.as_ref().map(|kind| kind.as_str()),
        ssrc.as_deref(),
    ];
    for text in texts {
        write!(out, "{},", quoted(&Escaped(text.unwrap_or_default()).to_string()))?;
    }
    writeln!(out, "{}", point.value)
}

/// A value in the form of RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn json(summary: &Summary) -> Value {
    let spread = |spread: Option<Spread>| {
        spread.map(|spread| json!({ "mean": spread.mean, "p95": spread.p95, "max": spread.max, "count": spread.count }))
    };
    let connections: Vec<Value> = summary
        .connections()
        .iter()
        .map(|connection| {
            let media: Vec<Value> = connection
                .media
                .iter()
                .map(|media| {
                    json!({
                        "direction": media.direction.as_str(),
                        "kind": media.kind.as_str(),
                        "streams": media.streams,
                        "packets": media.packets,
                        "packetsLost": media.packets_lost,
                        "lost": media.lost(),
                        "loss": spread(media.loss),
                        "jitterSeconds": spread(media.jitter),
                        "roundTripSeconds": spread(media.round_trip),
                        "bitsPerSecond": spread(media.bitrate),
                        "framesPerSecond": spread(media.frames_per_second),
                    })
                })
                .collect();
            json!({
                "connection": connection.name,
                "from": connection.time.map(|(first, _)| first),
                "to": connection.time.map(|(_, last)| last),
                "seconds": connection.duration().as_secs_f64(),
                "snapshots": connection.snapshots,
                "roundTripSeconds": spread(connection.round_trip),
                "media": media,
            })
        })
        .collect();
    json!({
        "entries": summary.entries(),
        "brokenLines": summary.broken_lines(),
        "incomplete": summary.is_incomplete(),
        "from": summary.time().map(|(first, _)| first),
        "to": summary.time().map(|(_, last)| last),
        "seconds": summary.duration().as_secs_f64(),
        "connections": connections,
    })
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_with_commas_and_quotes_are_quoted() {
        assert_eq!(quoted("PC_0"), "PC_0");
        assert_eq!(quoted("a,\"b\""), "\"a,\"\"b\"\"\"");
    }
}
