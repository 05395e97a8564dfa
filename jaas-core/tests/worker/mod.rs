//! What the worker does, over the memory store and with paused time.
#![allow(clippy::expect_used, clippy::panic)]

mod building;
mod failing;
mod hand_over;
mod handlers;
mod leases;
mod outages;
mod pacing;
mod properties;
mod running;
mod running_ahead;
mod stopping;
mod store;
mod world;
