#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "archive")]
pub mod archive;
mod clock;
pub mod conformance;
pub mod doctor;
pub mod event;
mod fake;
mod faulty;
pub mod fixture;
mod mock;
mod recorder;
pub mod settings;
mod signer;
pub mod simulator;
pub mod watch;

pub use mockall;

pub use self::clock::{ManualClock, TokioClock};
pub use self::fake::{Arrival, EventMatcher, FakeDispatcher, Matches};
pub use self::faulty::{Fault, Faults, FaultyStore, Op};
pub use self::mock::{MockEventHandler, MockEventStore};
pub use self::recorder::{HandlerCall, Recorder};
pub use self::signer::{SignedRequest, Signer};
