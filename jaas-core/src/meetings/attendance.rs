//! Who attended a meeting, and for how long.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::csv::{Csv, minutes, rfc3339};
use super::edge::Via;
use super::intervals::{Interval, union};
use super::sitting::Sitting;
use super::stay::Stay;
use crate::id::UserId;
use crate::private::Personal;
use crate::timestamp::Timestamp;

/// Who attended a sitting: one entry for each person, in the order they came.
///
/// # Export
/// [`to_csv`](Self::to_csv) is a table as RFC 4180 has it, with a line of names; [`to_json`](Self::to_json) has the same
/// names. Times are RFC 3339 with milliseconds. A cell that begins with `=`, `+`, `-` or `@` has a `'` before it, so that no
/// spreadsheet takes a name for a formula.
///
/// | column | |
/// |---|---|
/// | `user_id` | the user id of the JWT; empty for guests and phones |
/// | `name` | the name; for a phone without one its number. Empty where names are not kept |
/// | `first_joined` | when they came first |
/// | `last_left` | when they left last; empty while they are there |
/// | `minutes` | how long they were there, with two decimals; several devices at the same time count once, the lobby does not count |
/// | `stays` | how many times they came to the main room or a breakout room |
/// | `estimated` | `true` if a leave is missing, so that an end is that of the room or of what came next |
/// | `late_by_minutes` | how long after the [beginning](Self::starts_at) they came |
/// | `via` | [how they took part](Via::as_str), `participant` if in several ways |
/// | `visitor` | `true` for visitors, who only watch |
/// | `presence` | the connection, or several with a blank between them: what tells guests apart |
/// | `email` | the e-mail address, where it is kept |
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attendance {
    /// The sitting.
    pub sitting: Sitting,
    /// What being late is counted from: when the room opened, or when the first came, unless
    /// [`starting_at`](Self::starting_at) says otherwise.
    pub starts_at: Option<Timestamp>,
    /// The people.
    pub people: Vec<Attendee>,
}

/// One person in an [`Attendance`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attendee {
    /// The user id of the JWT; guests and phones have none.
    pub user_id: Option<UserId>,
    /// The connections, in the order they came.
    pub presences: Vec<String>,
    /// How they took part: the same for all connections, or else [`Via::Participant`].
    pub via: Via,
    /// The name.
    pub name: Option<Personal>,
    /// The e-mail address of the JWT.
    pub email: Option<Personal>,
    /// The phone number or SIP address.
    pub address: Option<Personal>,
    /// When they were there, without overlaps, in order. The way from one room to another is part of it.
    pub intervals: Vec<Interval>,
    /// When they came first.
    pub first_joined: Timestamp,
    /// When they left last; `None` while they are there.
    pub last_left: Option<Timestamp>,
    /// How long after the beginning they came.
    pub late_by: Duration,
    /// How many times they came to a room.
    pub stays: usize,
    /// Whether an end is an estimate.
    pub estimated: bool,
}

impl Attendance {
    /// The attendance of this sitting from its stays. The lobby does not count.
    ///
    /// While the meeting goes on, who is there is counted until `now`. Who came after it had ended was not there.
    pub fn of<'a>(sitting: &Sitting, stays: impl IntoIterator<Item = &'a Stay>, now: Timestamp) -> Self {
        let mut counted: Vec<&Stay> = stays
            .into_iter()
            .filter(|stay| stay.session == sitting.session && !stay.place.is_lobby())
            .collect();
        counted.sort_by(|one, other| one.by_time(other));
        let mut people: BTreeMap<Person<'_>, Vec<&Stay>> = BTreeMap::new();
        for stay in &counted {
            people.entry(Person::of(stay)).or_default().push(stay);
        }
        let mut people: Vec<Attendee> =
            people.into_values().filter_map(|stays| Attendee::of(sitting, &stays, now)).collect();
        people.sort_by(|one, other| {
            (one.first_joined, &one.presences).cmp(&(other.first_joined, &other.presences))
        });
        let first = people.first().map(|person| person.first_joined);
        let attendance = Self { sitting: sitting.clone(), starts_at: None, people };
        match sitting.opened_at.or(first) {
            Some(begin) => attendance.starting_at(begin),
            None => attendance,
        }
    }

    /// Counts being late from the time the meeting was planned for.
    #[must_use]
    pub fn starting_at(mut self, begin: Timestamp) -> Self {
        self.starts_at = Some(begin);
        for person in &mut self.people {
            person.late_by = person.first_joined.duration_since(begin);
        }
        self
    }

    /// The person with this user id.
    pub fn of_user(&self, user: &str) -> Option<&Attendee> {
        self.people.iter().find(|person| person.user_id.as_ref().is_some_and(|id| *id == *user))
    }

    /// A table with times in UTC; see [Export](Self#export). It holds the names that are known.
    pub fn to_csv(&self) -> String {
        self.to_csv_in(&TimeZone::UTC)
    }

    /// The same with times in this zone.
    pub fn to_csv_in(&self, zone: &TimeZone) -> String {
        let mut csv = Csv::default();
        csv.line([
            "user_id",
            "name",
            "first_joined",
            "last_left",
            "minutes",
            "stays",
            "estimated",
            "late_by_minutes",
            "via",
            "visitor",
            "presence",
            "email",
        ]);
        for person in &self.people {
            csv.line([
                person.user_id.as_ref().map_or_else(String::new, ToString::to_string),
                person.shown_name().to_owned(),
                rfc3339(person.first_joined, zone),
                person.last_left.map_or_else(String::new, |at| rfc3339(at, zone)),
                minutes(person.attended()),
                person.stays.to_string(),
                person.estimated.to_string(),
                minutes(person.late_by),
                person.via.as_str().to_owned(),
                (person.via == Via::Visitor).to_string(),
                person.presences.join(" "),
                person.email.as_ref().map_or_else(String::new, |email| email.expose().to_owned()),
            ]);
        }
        csv.finish()
    }

    /// The sitting, and its people with the names of the [columns](Self#export), and their `intervals`; times in UTC.
    pub fn to_json(&self) -> Value {
        self.to_json_in(&TimeZone::UTC)
    }

    /// The same with times in this zone.
    pub fn to_json_in(&self, zone: &TimeZone) -> Value {
        let at = |at: Timestamp| rfc3339(at, zone);
        let people = self.people.iter().map(|person| {
            let intervals = person.intervals.iter();
            json!({
                "user_id": person.user_id,
                "name": Some(person.shown_name()).filter(|name| !name.is_empty()),
                "first_joined": at(person.first_joined),
                "last_left": person.last_left.map(at),
                "minutes": hundredths(person.attended()),
                "stays": person.stays,
                "estimated": person.estimated,
                "late_by_minutes": hundredths(person.late_by),
                "via": person.via.as_str(),
                "visitor": person.via == Via::Visitor,
                "presence": person.presences,
                "email": person.email.as_ref().map(Personal::expose),
                "intervals": intervals.map(|one| json!([at(one.from), at(one.until)])).collect::<Vec<_>>(),
            })
        });
        json!({
            "session_id": self.sitting.session,
            "room": self.sitting.fqn.room_key(),
            "opened_at": self.sitting.opened_at.map(at),
            "ended_at": self.sitting.ended_at.map(at),
            "people": people.collect::<Vec<_>>(),
        })
    }
}

impl Attendee {
    /// How long they were there.
    pub fn attended(&self) -> Duration {
        self.intervals.iter().map(Interval::duration).sum()
    }

    /// The name, or else the phone number; empty when neither is known.
    pub fn shown_name(&self) -> &str {
        self.name.as_ref().or(self.address.as_ref()).map_or("", Personal::expose)
    }

    /// From the stays of one person, first come first.
    fn of(sitting: &Sitting, stays: &[&Stay], now: Timestamp) -> Option<Self> {
        let first = stays.first()?;
        let mut presences: Vec<String> = Vec::new();
        for stay in stays {
            if !presences.contains(&stay.who.presence) {
                presences.push(stay.who.presence.clone());
            }
        }
        // Who comes after the end finds the room closed.
        let left = |stay: &Stay| stay.left_at.or(sitting.ended_at.map(|_| stay.joined_at));
        let interval = |stay: &&Stay| {
            let until = way_to_next(stay, stays).or(left(stay)).unwrap_or(now).max(stay.joined_at);
            Interval { from: stay.joined_at, until }
        };
        let lefts: Option<Vec<Timestamp>> = stays.iter().map(|stay| left(stay)).collect();
        let via = Some(first.who.via).filter(|via| stays.iter().all(|stay| stay.who.via == *via));
        let known =
            |field: fn(&Stay) -> Option<&Personal>| stays.iter().find_map(|stay| field(stay)).cloned();
        Some(Self {
            user_id: first.who.user_id.clone(),
            presences,
            via: via.unwrap_or_default(),
            name: known(|stay| stay.who.name.as_ref()),
            email: known(|stay| stay.who.email.as_ref()),
            address: known(|stay| stay.who.address.as_ref()),
            intervals: union(stays.iter().map(interval)),
            first_joined: first.joined_at,
            last_left: lefts.and_then(|lefts| lefts.into_iter().max()),
            late_by: Duration::ZERO,
            stays: stays.len(),
            estimated: stays
                .iter()
                .any(|stay| stay.estimated || stay.left_at.is_none() && left(stay).is_some()),
        })
    }
}

/// When somebody who left for another room arrived there.
fn way_to_next(stay: &Stay, stays: &[&Stay]) -> Option<Timestamp> {
    let left_at = stay.left_at.filter(|_| stay.is_room_switch())?;
    let arrivals = stays.iter().filter(|next| next.who.presence == stay.who.presence);
    arrivals.map(|next| next.joined_at).filter(|at| *at >= left_at && *at > stay.joined_at).min()
}

/// What makes two stays those of one person.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Person<'a> {
    User(&'a UserId),
    Connection(&'a str),
}

impl<'a> Person<'a> {
    fn of(stay: &'a Stay) -> Self {
        match &stay.who.user_id {
            Some(user) => Self::User(user),
            None => Self::Connection(&stay.who.presence),
        }
    }
}

fn hundredths(duration: Duration) -> f64 {
    // As in the table, so that both say the same.
    minutes(duration).parse().unwrap_or_default()
}
