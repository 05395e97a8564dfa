//! Meetings as JaaS would tell of them.

mod day;
mod dice;
mod facts;
mod independence;
mod meeting;
mod person;
mod random;
mod sender;
#[cfg(feature = "proptest")]
pub mod strategy;

pub use self::day::{Day, billable_devices, bodies_in_order};
pub use self::facts::{Artifact, CallFact, Facts, PollFact, Stay};
pub use self::independence::{Counterexample, Independence};
pub use self::meeting::{Breakout, Call, Document, Meeting, Poll, Presence, Waiting};
pub use self::person::Person;
pub use self::random::Random;
pub use self::sender::{
    GivenUp, Latency, Planned, Progress, Report, Sender, SignRepeats, Target, Unanswered,
};
#[cfg(feature = "http")]
pub use self::sender::{HttpError, HttpTarget};
