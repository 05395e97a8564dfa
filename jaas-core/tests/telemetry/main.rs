//! Metrics, spans and traces: that they are what their tables say.
#![allow(clippy::expect_used, clippy::panic)]

mod archived;
mod documented;
mod injection;
mod lost_body;
mod metrics_table;
mod monitor;
mod spans;
mod traces;
mod undecodable;

#[path = "../support/lines.rs"]
mod lines;
mod watched;
mod world;
