//! Many meetings.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use jaas_core::{AppId, Timestamp};

use super::dice::Dice;
use super::facts::Facts;
use super::meeting::Meeting;
use super::random::{Random, population};

/// A day full of random meetings of one tenant, in which the same people meet again and again.
///
/// ```
/// use jaas_testkit::simulator::Day;
///
/// let day = Day::new(7).meetings(3).participants(2..=4);
/// assert_eq!(day.play().len(), 3);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Day {
    seed: u64,
    meetings: usize,
    participants: RangeInclusive<usize>,
    app: Option<AppId>,
    morning: Timestamp,
}

impl Day {
    /// Creates a day of 20 meetings of 2 to 8 people each: 23 November 2026, from 8 to 18 o'clock UTC.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            meetings: 20,
            participants: 2..=8,
            app: None,
            morning: Timestamp::from_millis(1_795_420_800_000),
        }
    }

    /// Sets the number of meetings. Defaults to 20.
    pub fn meetings(mut self, meetings: usize) -> Self {
        self.meetings = meetings;
        self
    }

    /// Sets how many people come to each. Defaults to 2 to 8.
    pub fn participants(mut self, participants: RangeInclusive<usize>) -> Self {
        self.participants = participants;
        self
    }

    /// Sets the tenant. Defaults to the fixtures' tenant.
    pub fn of_app(mut self, app: impl Into<AppId>) -> Self {
        self.app = Some(app.into());
        self
    }

    /// Sets when the day begins; it lasts ten hours. Defaults to 23 November 2026, 8 o'clock UTC.
    pub fn starting_at(mut self, morning: Timestamp) -> Self {
        self.morning = morning;
        self
    }

    /// Plays all meetings to their end.
    pub fn play(&self) -> Vec<Meeting> {
        const ROOMS: [&str; 8] = [
            "math",
            "Weekly Sync",
            "café",
            "standup",
            "1:1 Ada & Ben",
            "Interview",
            "all-hands",
            "support/eu",
        ];
        let mut dice = Dice::fork(self.seed, 0);
        // Half of the people also attend other meetings.
        let people = population(&mut dice, (self.participants.end() * 2).max(8));
        (0..self.meetings)
            .map(|_| {
                let seed = dice.next();
                let begins = Duration::from_millis(dice.between(0..=10 * 60 * 60 * 1000));
                let room = dice.pick(&ROOMS).copied().unwrap_or("math");
                let mut meeting = Meeting::new(seed).with_odd_shapes().in_room(room);
                meeting = meeting.starting_at(self.morning.saturating_add(begins));
                if let Some(app) = &self.app {
                    meeting = meeting.of_app(app.clone());
                }
                let random = Random::new(seed).population(people.clone()).of(meeting);
                random.participants(self.participants.clone()).meeting()
            })
            .collect()
    }
}

/// The bodies of all these meetings, earliest first.
pub fn bodies_in_order(meetings: &[Meeting]) -> Vec<Bytes> {
    let mut events: Vec<_> = meetings.iter().flat_map(Meeting::timed_bodies).collect();
    // The sort is stable: events of the same millisecond keep the order of the meetings.
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(_, body)| body).collect()
}

/// The devices that the bill of all these meetings counts, each once: the monthly active users, if they are a month's.
pub fn billable_devices(facts: &[Facts]) -> BTreeSet<&str> {
    facts.iter().flat_map(|facts| &facts.devices).map(String::as_str).collect()
}
