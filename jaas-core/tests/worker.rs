//! What the worker does, over the memory store and with paused time.
#![allow(clippy::expect_used, clippy::panic)]

#[path = "worker/building.rs"]
mod building;
#[path = "worker/failing.rs"]
mod failing;
#[path = "worker/hand_over.rs"]
mod hand_over;
#[path = "worker/handlers.rs"]
mod handlers;
#[path = "worker/leases.rs"]
mod leases;
#[path = "worker/outages.rs"]
mod outages;
#[path = "worker/pacing.rs"]
mod pacing;
#[path = "worker/properties.rs"]
mod properties;
#[path = "worker/running.rs"]
mod running;
#[path = "worker/running_ahead.rs"]
mod running_ahead;
#[path = "worker/stopping.rs"]
mod stopping;
#[path = "worker/store.rs"]
mod store;
#[path = "worker/world.rs"]
mod world;
