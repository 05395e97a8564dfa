//! The `jaas` command as a process, against a server in this one.
#![allow(clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod database;
mod offline;
mod rtcstats;
mod sending;
mod server;
mod settings;
mod support;
