//! The simulator: scripts by hand, random meetings, and the sender.
#![allow(clippy::expect_used, clippy::panic)]

mod causality;
mod independence;
mod projection;
mod random;
mod script;
mod sender;
