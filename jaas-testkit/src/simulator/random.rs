//! Whole meetings from a seed.

mod script;

use std::ops::RangeInclusive;

use serde_json::json;

use self::script::Script;
use super::dice::Dice;
use super::meeting::Meeting;
use super::person::{Claim, Person};

/// The ingredients of a random meeting.
///
/// ```
/// use jaas_testkit::simulator::Random;
///
/// let meeting = Random::new(7).participants(2..=5).meeting();
/// assert!(meeting.has_ended());
/// assert_eq!(meeting.bodies(), Random::new(7).participants(2..=5).meeting().bodies());
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Random {
    seed: u64,
    participants: RangeInclusive<usize>,
    steps: Option<usize>,
    population: Vec<Person>,
    meeting: Meeting,
}

impl Random {
    /// Creates a meeting of this seed: of 2 to 8 people out of a population of 24, in which every possible action
    /// happens sooner or later, with bodies in all the [shapes](Meeting::with_odd_shapes) seen on the wire.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            participants: 2..=8,
            steps: None,
            population: population(&mut Dice::fork(seed, 1), 24),
            meeting: Meeting::new(seed).with_odd_shapes(),
        }
    }

    /// Sets how many people come, each possibly more than once. Defaults to 2 to 8.
    pub fn participants(mut self, participants: RangeInclusive<usize>) -> Self {
        self.participants = participants;
        self
    }

    /// Sets how many actions happen before the end; of two meetings of the same seed, the one with fewer steps begins
    /// like the other. Defaults to five per person, and a few.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Sets who may come, besides guests. Defaults to 24 people, the same for the same seed.
    pub fn population(mut self, people: Vec<Person>) -> Self {
        self.population = people;
        self
    }

    /// Sets where and when it is held, if different from [`Meeting::new`]: pass a meeting in which nothing has
    /// happened.
    pub fn of(mut self, meeting: Meeting) -> Self {
        self.meeting = meeting;
        self
    }

    /// Plays the meeting to its end.
    pub fn meeting(self) -> Meeting {
        let mut dice = Dice::fork(self.seed, 2);
        let (fewest, most) = (*self.participants.start() as u64, *self.participants.end() as u64);
        let to_come = usize::try_from(dice.between(fewest.max(1)..=most.max(fewest).max(1))).unwrap_or(1);
        let default_steps = to_come * 5 + dice.below(12);
        let mut meeting = self.meeting;
        if dice.percent(60) {
            meeting = meeting.with_rtcstats();
        }
        // Popped from the end, so the last name comes first.
        let mut people = self.population;
        dice.shuffle(&mut people);
        let mut script = Script { meeting, dice, people, to_come };
        script.come();
        for _ in 0..self.steps.unwrap_or(default_steps) {
            if !script.step() {
                break;
            }
        }
        script.finish()
    }
}

/// People of every kind: moderators and others, each claim written in each way, claims of any type.
pub(crate) fn population(dice: &mut Dice, size: usize) -> Vec<Person> {
    const NAMES: [&str; 12] = [
        "Ada",
        "Ben",
        "Cem",
        "Dora",
        "Émile",
        "Fatima",
        "李 Wei",
        "Grace",
        "Håkan",
        "Ines",
        "Jo O'Neill",
        "Zoë",
    ];
    (0..size)
        .map(|index| {
            let name = NAMES[index % NAMES.len()];
            let person = match index / NAMES.len() {
                0 => Person::named(name),
                round => Person::named(&format!("{name} {}", round + 1)),
            };
            let moderates = dice.percent(35);
            let person = person.moderator_claim(match dice.below(3) {
                0 if !moderates => Claim::Absent,
                1 => Claim::Text(moderates),
                _ => Claim::Bool(moderates),
            });
            match dice.below(8) {
                0 => person.claim("group", "mathematics"),
                1 => person.claim("group", json!({ "name": "mathematics" })),
                2 => person.claim("hidden-from-recorder", "true"),
                3 => person.claim("hidden-from-recorder", false),
                4 => person.claim("context", json!({ "nested": [1, null, { "deep": true }] })),
                5 => person.claim("id", 100_000 + index),
                _ => person,
            }
        })
        .collect()
}
