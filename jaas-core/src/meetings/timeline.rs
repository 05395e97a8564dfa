//! A picture of who was where.

use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;

use super::attendance::Attendance;
use super::csv::{minutes, rfc3339};
use super::edge::Place;
use super::stay::Stay;
use crate::timestamp::Timestamp;

/// The timeline of a meeting: a row for each person of an [`Attendance`], a bar for each stay. Its `Display` is an SVG image
/// of its own, without scripts and fonts from elsewhere.
///
/// Breakout rooms and the lobby have colours of their own; the end of a bar is faded where it is an estimate. It shows the
/// names that are known.
#[derive(Debug, Clone)]
pub struct Timeline {
    zone: TimeZone,
    from: Timestamp,
    until: Timestamp,
    title: String,
    rows: Vec<Row>,
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
        Self { zone: TimeZone::UTC, from: first, until: last.max(first), title: sitting.fqn.room_key(), rows }
    }

    /// Writes times of day in this zone. Defaults to UTC.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone) -> Self {
        self.zone = zone;
        self
    }

    fn x(&self, at: Timestamp) -> i64 {
        let (all, part) = (self.until.duration_since(self.from), at.duration_since(self.from));
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
        let height = TOP + ROW * self.rows.len() as i64 + 12;
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
