//! The store in a SQLite file: what the worker, a crash, a full disk, a lock or the caller does to it.
#![cfg(feature = "sqlite")]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod crash;
mod faults;
#[cfg(unix)]
#[path = "../../../jaas-core/tests/support/lines.rs"]
mod lines;
#[path = "../support/mod.rs"]
mod support;
mod worker;
