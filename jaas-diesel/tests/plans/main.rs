//! What the statements of the hot road look at does not grow with what the store holds, whatever the planner knows.
//!
//! The calls go through the public API, and what is measured is every statement that the store sends, so that one that is
//! added later is measured too.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod calls;
mod fill;
mod mysql;
mod postgres;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/servers.rs"]
mod servers;
mod sqlite;
#[path = "../support/mod.rs"]
mod support;
