#![doc = include_str!("../README.md")]

mod clock;
pub mod conformance;
pub mod event;
pub mod fixture;
mod mock;
mod recorder;
mod signer;

pub use mockall;

pub use self::clock::{ManualClock, TokioClock};
pub use self::mock::{MockEventHandler, MockEventStore};
pub use self::recorder::{Recorder, Seen};
pub use self::signer::{SignedRequest, Signer};
