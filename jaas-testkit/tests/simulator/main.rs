//! The simulator: scripts by hand, random meetings, and the sender.
#![allow(clippy::expect_used, clippy::panic)]

mod causality;
mod projection;
mod random;
mod script;
mod sender;
