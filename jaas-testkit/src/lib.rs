#![doc = include_str!("../README.md")]

mod clock;
pub mod conformance;
pub mod doctor;
pub mod event;
pub mod fixture;
mod recorder;
mod signer;
pub mod simulator;

pub use self::clock::{ManualClock, TokioClock};
pub use self::recorder::{Recorder, Seen};
pub use self::signer::{SignedRequest, Signer};
