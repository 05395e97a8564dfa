//! For applications that watch for events that should have come: which gaps [a loss](gaps_of) should make, a
//! [drill](Drill) that plays whole days of meetings with losses, and a [conformance suite](conformance) for stores.

pub mod conformance;
mod drill;
mod lost;

pub use self::drill::{Drill, Score};
pub use self::lost::{LostEvent, gaps_of};
