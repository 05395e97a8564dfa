//! A picture of who was where.

use std::fmt::{self, Write as _};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::attendance::Attendance;
use super::csv::{minutes, rfc3339};
use super::edge::Place;
use super::mark::Mark;
use super::stay::Stay;
use crate::event::EventKind;
use crate::timestamp::Timestamp;

/// The timeline of a meeting: a row for each person of an [`Attendance`], a bar for each stay. Its `Display` is an SVG image
/// of its own, without scripts and fonts from elsewhere.
///
/// Breakout rooms and the lobby have colours of their own; the end of a bar is faded where it is an estimate. It shows the
/// names that are known. [`marks`](Self::marks) adds recordings and the like below the people, [`ticks`](Self::ticks)
/// anything else that happened.
#[derive(Debug, Clone)]
pub struct Timeline {
    zone: TimeZone,
    from: Timestamp,
    until: Timestamp,
    title: String,
    rows: Vec<Row>,
    tracks: Vec<Track>,
}

#[derive(Debug, Clone)]
struct Row {
    label: String,
    minutes: String,
    bars: Vec<Bar>,
}

#[derive(Debug, Clone)]
struct Bar {
    from: Timestamp,
    until: Timestamp,
    place: Place,
    estimated: bool,
}

/// A row below the people.
#[derive(Debug, Clone)]
struct Track {
    label: String,
    spans: Vec<(Timestamp, Timestamp)>,
    ticks: Vec<(Timestamp, String)>,
}

impl Track {
    fn new(label: &str) -> Self {
        Self { label: label.to_owned(), spans: Vec::new(), ticks: Vec::new() }
    }
}

/// What lasts: its label, and the events between which it does.
const LASTING: [(&str, EventKind, EventKind); 3] = [
    ("Recording", EventKind::RecordingStarted, EventKind::RecordingEnded),
    ("Live stream", EventKind::LiveStreamStarted, EventKind::LiveStreamEnded),
    ("Transcription", EventKind::TranscriptionStarted, EventKind::TranscriptionEnded),
];

/// How far outside the meeting a moment may be to be shown where it was. Later ones, and those of a wrong clock, are at the edge.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

const WIDTH: i64 = 760;
const LEFT: i64 = 180;
const RIGHT: i64 = 80;
const TOP: i64 = 56;
const ROW: i64 = 26;

impl Timeline {
    /// The timeline of this attendance and the stays that it was made of; who is still there, is until `now`.
    pub fn of(attendance: &Attendance, stays: &[Stay], now: Timestamp) -> Self {
        let sitting = &attendance.sitting;
        let end = sitting.ended_at.unwrap_or(now);
        let rows: Vec<Row> = attendance
            .people
            .iter()
            .map(|person| {
                let own = stays.iter().filter(|stay| {
                    stay.session == sitting.session && person.presences.contains(&stay.who.presence)
                });
                let bars = own.map(|stay| Bar {
                    from: stay.joined_at,
                    until: stay.left_at.unwrap_or(end).max(stay.joined_at),
                    place: stay.place.clone(),
                    estimated: stay.estimated,
                });
                let user = person.user_id.as_ref().map_or("guest", |id| id.as_str());
                let name = Some(person.shown_name()).filter(|name| !name.is_empty());
                Row {
                    label: name.unwrap_or(user).to_owned(),
                    minutes: minutes(person.attended()),
                    bars: bars.collect(),
                }
            })
            .collect();
        let bars = || rows.iter().flat_map(|row| &row.bars);
        let first = bars().map(|bar| bar.from).chain(sitting.opened_at).min().unwrap_or(end);
        let last = bars().map(|bar| bar.until).chain([end]).max().unwrap_or(end);
        let (title, tracks) = (sitting.fqn.room_key(), Vec::new());
        Self { zone: TimeZone::UTC, from: first, until: last.max(first), title, rows, tracks }
    }

    /// Adds a row for recordings, one for live streams, one for transcriptions, and one with a tick for each other mark, such
    /// as a file that is ready; each only if there are such marks.
    ///
    /// What began without an end, or ended without a beginning, lasts to the edge of the picture. A file is often ready
    /// after the meeting; the picture becomes that much longer, up to a day.
    #[must_use]
    pub fn marks(mut self, marks: &[Mark]) -> Self {
        let mut marks: Vec<&Mark> = marks.iter().collect();
        marks.sort_by_key(|mark| mark.at);
        for mark in &marks {
            self.include(mark.at);
        }
        let mut others = Track::new("Moments");
        let (mut tracks, mut begun) = (LASTING.map(|(label, ..)| Track::new(label)), [None; LASTING.len()]);
        for mark in marks {
            let began = LASTING.iter().position(|(_, start, _)| *start == mark.kind);
            let ended = LASTING.iter().position(|(.., end)| *end == mark.kind);
            match (began, ended) {
                // A second beginning without an end in between changes nothing.
                (Some(index), _) => begun[index] = begun[index].or(Some(mark.at)),
                (None, Some(index)) => {
                    let from = begun[index].take().unwrap_or(self.from);
                    tracks[index].spans.push((from, mark.at));
                }
                (None, None) => others.ticks.push((mark.at, mark.kind.to_string())),
            }
        }
        for (track, begun) in tracks.iter_mut().zip(begun) {
            track.spans.extend(begun.map(|from| (from, self.until)));
        }
        let shown = tracks.into_iter().chain([others]);
        self.tracks.extend(shown.filter(|track| !track.spans.is_empty() || !track.ticks.is_empty()));
        self
    }

    /// Adds a row with a tick for each of these times, and a text that is shown when a pointer rests on it.
    #[must_use]
    pub fn ticks(mut self, label: &str, ticks: impl IntoIterator<Item = (Timestamp, String)>) -> Self {
        let mut track = Track::new(label);
        track.ticks.extend(ticks);
        for (at, _) in &track.ticks {
            self.include(*at);
        }
        self.tracks.push(track);
        self
    }

    /// Makes the picture long enough to show this time; unless it is so far away that the meeting would be a line.
    fn include(&mut self, at: Timestamp) {
        if self.from.duration_since(at) <= FAR && at.duration_since(self.until) <= FAR {
            self.from = self.from.min(at);
            self.until = self.until.max(at);
        }
    }

    /// Writes times of day in this zone. Defaults to UTC.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    fn x(&self, at: Timestamp) -> i64 {
        let (all, part) =
            (self.until.duration_since(self.from), at.min(self.until).duration_since(self.from));
        let width = (WIDTH - LEFT - RIGHT) as f64;
        // Of a meeting without length, everything is at its beginning.
        LEFT + (width * part.as_secs_f64() / all.as_secs_f64().max(0.001)) as i64
    }

    /// The time of day, such as `08:30`.
    fn clock(&self, at: Timestamp) -> String {
        rfc3339(at, &self.zone).get(11..16).unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = TOP + ROW * (self.rows.len() + self.tracks.len()) as i64 + 12;
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
        )?;
        let day = rfc3339(self.from, &self.zone).get(..10).unwrap_or_default().to_owned();
        writeln!(
            f,
            r##"<rect width="{WIDTH}" height="{height}" fill="#ffffff"/><text x="8" y="20" font-size="14">{} · {day}</text>"##,
            Escaped(&self.title)
        )?;
        let step = self.until.duration_since(self.from) / 4;
        for tick in 0..=4 {
            let at = self.from.saturating_add(step * tick);
            let x = self.x(at);
            writeln!(
                f,
                r##"<path d="M{x} {} V{}" stroke="#dddddd"/><text x="{x}" y="44" text-anchor="middle" fill="#555555">{}</text>"##,
                TOP - 6,
                height - 8,
                self.clock(at)
            )?;
        }
        for (index, row) in self.rows.iter().enumerate() {
            self.write_row(f, row, TOP + ROW * index as i64)?;
        }
        for (index, track) in self.tracks.iter().enumerate() {
            self.write_track(f, track, TOP + ROW * (self.rows.len() + index) as i64)?;
        }
        f.write_str("</svg>\n")
    }
}

impl Timeline {
    fn write_row(&self, f: &mut fmt::Formatter<'_>, row: &Row, y: i64) -> fmt::Result {
        let label: String = row.label.chars().take(24).collect();
        let (text_y, right) = (y + 15, WIDTH - 8);
        writeln!(
            f,
            r##"<text x="8" y="{text_y}">{}</text><text x="{right}" y="{text_y}" text-anchor="end" fill="#555555">{} min</text>"##,
            Escaped(&label),
            row.minutes
        )?;
        for bar in &row.bars {
            let x = self.x(bar.from);
            let width = (self.x(bar.until) - x).max(2);
            let (color, what) = match bar.place {
                Place::Main => ("#2f6fb5", "main room"),
                Place::Breakout { .. } => ("#d98a1f", "breakout room"),
                Place::Lobby => ("#9a9a9a", "lobby"),
            };
            let (opacity, note) = if bar.estimated { ("0.45", ", end estimated") } else { ("1", "") };
            writeln!(
                f,
                r##"<rect x="{x}" y="{}" width="{width}" height="16" rx="2" fill="{color}" fill-opacity="{opacity}" stroke="#ffffff"><title>{what} {}–{}{note}</title></rect>"##,
                y + 3,
                self.clock(bar.from),
                self.clock(bar.until)
            )?;
        }
        Ok(())
    }

    fn write_track(&self, f: &mut fmt::Formatter<'_>, track: &Track, y: i64) -> fmt::Result {
        let text_y = y + 15;
        let label: String = track.label.chars().take(24).collect();
        writeln!(f, r##"<text x="8" y="{text_y}" fill="#555555">{}</text>"##, Escaped(&label))?;
        for (from, until) in &track.spans {
            let x = self.x(*from);
            let width = (self.x(*until) - x).max(2);
            writeln!(
                f,
                r##"<rect x="{x}" y="{}" width="{width}" height="8" rx="2" fill="#b5322f"><title>{} {}–{}</title></rect>"##,
                y + 7,
                Escaped(&label),
                self.clock(*from),
                self.clock(*until)
            )?;
        }
        for (at, text) in &track.ticks {
            let x = self.x(*at);
            writeln!(
                f,
                r##"<path d="M{x} {} V{}" stroke="#444444" stroke-width="3"><title>{} {}</title></path>"##,
                y + 4,
                y + 18,
                self.clock(*at),
                Escaped(text)
            )?;
        }
        Ok(())
    }
}

/// Text of others within XML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // What XML does not allow in any form.
                '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char(' ')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
