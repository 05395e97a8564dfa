//! Follows the streams of a connection from snapshot to snapshot.

use std::collections::HashMap;

use super::{ConnectionSummary, Direction, MediaSummary, Span};
use crate::rtcstats::report::{MediaKind, Report};
use crate::rtcstats::series::per_second;
use crate::rtcstats::snapshot::Snapshot;
use crate::rtcstats::spread::Values;

/// The accumulated state of a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Connection {
    time: Span,
    snapshots: u64,
    round_trip: Values,
    groups: [Group; 4],
    /// The counters of the last snapshot, by report.
    last: HashMap<Box<str>, Counters>,
}

/// The streams of one direction and kind.
#[derive(Debug, Clone, Default)]
struct Group {
    streams: usize,
    packets: i64,
    lost: i64,
    loss: Values,
    jitter: Values,
    round_trip: Values,
    bitrate: Values,
    frames_per_second: Values,
}

/// The counters of a stream; for the other side's report, with what had been sent when it arrived.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    at: f64,
    bytes: f64,
    packets: i64,
    lost: i64,
}

/// The changes of a group between two snapshots.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    streams: usize,
    /// The packets to which the losses refer.
    packets: i64,
    lost: i64,
    bitrate: Option<f64>,
}

const GROUPS: [(Direction, &str); 4] = [
    (Direction::Inbound, "audio"),
    (Direction::Inbound, "video"),
    (Direction::Outbound, "audio"),
    (Direction::Outbound, "video"),
];

impl Connection {
    pub(super) fn add(&mut self, snapshot: &Snapshot<'_>) {
        self.snapshots += 1;
        self.time.add(snapshot.at());
        self.round_trip.add_some(round_trip(snapshot));
        let mut now = HashMap::with_capacity(self.last.len());
        let mut steps = [Step::default(); 4];
        for (id, report) in snapshot.reports() {
            let Some(stream) = Stream::of(report) else { continue };
            let Some(counters) = stream.counters(snapshot, report) else { continue };
            let last = self.last.get(id).copied();
            // The other side reports every few seconds; in between, its report does not change.
            if let Some(last) = last.filter(|last| stream.remote && last.at == counters.at) {
                now.insert(id.into(), last);
                continue;
            }
            let (group, step) = (&mut self.groups[stream.group], &mut steps[stream.group]);
            let grown = Grown::between(last, counters);
            if stream.remote {
                stream.add_remote(report, grown, group, step);
            } else {
                stream.add_local(report, grown, group, step);
            }
            now.insert(id.into(), counters);
        }
        self.last = now;
        for (group, step) in self.groups.iter_mut().zip(steps) {
            group.streams = group.streams.max(step.streams);
            group.bitrate.add_some(step.bitrate);
            if step.packets > 0 {
                group.loss.add((step.lost as f64 / step.packets as f64).clamp(0.0, 1.0));
            }
        }
    }

    pub(super) fn summary(&self, name: &str) -> ConnectionSummary {
        let groups = self.groups.iter().zip(GROUPS).filter(|(group, _)| group.streams > 0);
        let media = groups.map(|(group, (direction, kind))| MediaSummary {
            direction,
            kind: MediaKind::from(kind),
            streams: group.streams,
            packets: u64::try_from(group.packets).unwrap_or(0),
            packets_lost: u64::try_from(group.lost).unwrap_or(0),
            loss: group.loss.spread(),
            jitter: group.jitter.spread(),
            round_trip: group.round_trip.spread(),
            bitrate: group.bitrate.spread(),
            frames_per_second: group.frames_per_second.spread(),
        });
        ConnectionSummary {
            name: (!name.is_empty()).then(|| name.to_owned()),
            time: self.time.0,
            snapshots: self.snapshots,
            round_trip: self.round_trip.spread(),
            media: media.collect(),
        }
    }
}

/// The streams of a report, and the side that made it.
struct Stream {
    group: usize,
    direction: Direction,
    /// The report is from the other side.
    remote: bool,
}

impl Stream {
    fn of(report: &Report) -> Option<Self> {
        let of_type = |name: &str| report.is("type", name);
        let (direction, remote) = if of_type(r#""inbound-rtp""#) {
            (Direction::Inbound, false)
        } else if of_type(r#""outbound-rtp""#) {
            (Direction::Outbound, false)
        } else if of_type(r#""remote-inbound-rtp""#) {
            (Direction::Outbound, true)
        } else if of_type(r#""remote-outbound-rtp""#) {
            (Direction::Inbound, true)
        } else {
            return None;
        };
        let kind = report.kind()?;
        let group = GROUPS.iter().position(|group| *group == (direction, kind.as_str()))?;
        Some(Self { group, direction, remote })
    }

    /// The counters now; for the other side's report of a sent stream, with the stream's own count of packets.
    fn counters(&self, snapshot: &Snapshot<'_>, report: &Report) -> Option<Counters> {
        let at = report.timestamp().or(snapshot.at().map(|at| at.as_millis() as f64))?;
        let lost = report.packets_lost().unwrap_or(0);
        let signed = |count: Option<u64>| count.and_then(|count| i64::try_from(count).ok()).unwrap_or(0);
        let (bytes, packets) = match (self.direction, self.remote) {
            (Direction::Inbound, false) => {
                (report.number("bytesReceived"), signed(report.packets_received()).saturating_add(lost))
            }
            (Direction::Outbound, false) => (report.number("bytesSent"), signed(report.packets_sent())),
            (_, true) => (None, signed(sent(snapshot, report).and_then(Report::packets_sent))),
        };
        Some(Counters { at, bytes: bytes.unwrap_or(0.0), packets, lost })
    }

    fn add_local(&self, report: &Report, grown: Grown, group: &mut Group, step: &mut Step) {
        step.streams += 1;
        group.packets = group.packets.saturating_add(grown.packets);
        group.frames_per_second.add_some(report.frames_per_second());
        if let Some(bytes) = grown.bytes_per_second {
            *step.bitrate.get_or_insert(0.0) += bytes * 8.0;
        }
        if self.direction == Direction::Inbound {
            group.add_lost(grown, step);
            // No packets of a muted stream arrive, and its jitter does not change.
            if grown.packets > 0 {
                group.jitter.add_some(report.jitter());
            }
        }
    }

    fn add_remote(&self, report: &Report, grown: Grown, group: &mut Group, step: &mut Step) {
        group.round_trip.add_some(report.round_trip_time());
        if self.direction == Direction::Outbound {
            group.add_lost(grown, step);
            group.jitter.add_some(report.jitter());
        }
    }
}

impl Group {
    fn add_lost(&mut self, grown: Grown, step: &mut Step) {
        self.lost = self.lost.saturating_add(grown.lost);
        if !grown.is_new {
            step.packets = step.packets.saturating_add(grown.packets);
            step.lost = step.lost.saturating_add(grown.lost);
        }
    }
}

/// By how much the counters of a stream have grown.
#[derive(Debug, Clone, Copy)]
struct Grown {
    packets: i64,
    lost: i64,
    bytes_per_second: Option<f64>,
    /// The stream is new, or its counters restarted: it has grown by everything there is, over an unknown time.
    is_new: bool,
}

impl Grown {
    fn between(last: Option<Counters>, now: Counters) -> Self {
        let last = last.filter(|last| now.packets >= last.packets && now.bytes >= last.bytes);
        let base = last.unwrap_or_default();
        Self {
            packets: now.packets.saturating_sub(base.packets),
            lost: now.lost.saturating_sub(base.lost),
            bytes_per_second: last.and_then(|last| per_second((last.at, last.bytes), (now.at, now.bytes))),
            is_new: last.is_none(),
        }
    }
}

/// The stream to which a report of the other side refers.
fn sent<'a>(snapshot: &Snapshot<'a>, report: &Report) -> Option<&'a Report> {
    snapshot.report(&report.local_id()?)
}

/// The round trip to the other side, in s, of the candidate pair in use: the pair that the transport names, or in
/// browsers without such a report, the pair marked as `selected`.
fn round_trip(snapshot: &Snapshot<'_>) -> Option<f64> {
    let of_type = |name: &'static str| {
        snapshot.reports().map(|(_, report)| report).filter(move |report| report.is("type", name))
    };
    let named = of_type(r#""transport""#)
        .filter_map(Report::selected_candidate_pair_id)
        .find_map(|id| snapshot.report(&id));
    let selected = || of_type(r#""candidate-pair""#).find(|pair| pair.flag("selected") == Some(true));
    named.or_else(selected)?.current_round_trip_time()
}
