//! Meetings as JaaS would report them, and a sender that delivers as JaaS does.
//!
//! | | |
//! |---|---|
//! | [`Meeting`], [`Person`] | one meeting, played by hand |
//! | [`Random`], [`Day`] | whole meetings from a seed |
//! | [`Facts`] | what an application should have learned from a meeting |
//! | [`Independence`] | does your projection depend on the order of events, or on copies? |
//! | [`Loss`] | which events never come |
//! | [`Sender`], [`Target`] | delivering to a `Receiver` or a server: repeated, doubled, reordered, late, lost |
//! | `strategy` | random meetings for proptest (feature `proptest`) |
//!
//! ```
//! use jaas_core::event::Event;
//! use jaas_testkit::simulator::{Independence, Meeting, Person};
//! use std::collections::BTreeSet;
//! use std::time::Duration;
//!
//! let mut meeting = Meeting::new(7);
//! let ada = meeting.join(&Person::named("Ada").moderator());
//! let ben = meeting.join(&Person::named("Ben"));
//! meeting.wait(Duration::from_secs(1800));
//! meeting.kick(ada, ben);
//! meeting.end();
//!
//! /// Yours: the devices of a meeting that the bill counts.
//! fn devices(deliveries: &[jaas_core::Delivery]) -> BTreeSet<String> {
//!     let usages = deliveries.iter().filter_map(|delivery| match delivery.event() {
//!         Event::Usage(usage) => Some(usage.0),
//!         _ => None,
//!     });
//!     usages.flatten().filter_map(|entry| Some(entry.device_id?.into_exposed())).collect()
//! }
//! assert_eq!(devices(&meeting.deliveries()), meeting.facts().devices);
//! Independence::of(meeting.deliveries()).check(devices).unwrap();
//! ```

mod day;
mod dice;
mod facts;
mod independence;
mod loss;
mod meeting;
mod person;
mod random;
mod sender;
#[cfg(feature = "proptest")]
pub mod strategy;

pub use self::day::{Day, billable_devices, bodies_in_order};
pub(crate) use self::dice::Dice;
pub use self::facts::{
    Artifact, BreakoutFact, CallFact, Facts, PollFact, ReactionsByUser, Stay, TalkFact, Wait,
};
pub use self::independence::{Counterexample, Independence};
pub use self::loss::Loss;
pub use self::meeting::{Breakout, Call, Document, Meeting, Poll, Presence, Waiting};
pub use self::person::Person;
pub use self::random::Random;
#[cfg(feature = "http")]
pub use self::sender::{HttpError, HttpTarget};
pub use self::sender::{
    Latency, NoResponse, Planned, Progress, Report, Sender, SignRepeats, Target, Undelivered,
};

const _: () = {
    const fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Meeting>();
    shared_between_threads::<Sender>();
    shared_between_threads::<Report>();
};
