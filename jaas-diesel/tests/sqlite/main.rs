//! The SQLite store with a worker, and what it does when the process, the disk, the file, a lock or the caller fails.
#![cfg(feature = "sqlite")]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod closing;
#[cfg(unix)]
mod crash;
mod full_file;
#[cfg(unix)]
mod gone_file;
#[cfg(unix)]
#[path = "../../../jaas-core/tests/support/lines.rs"]
mod lines;
mod locks;
mod opening;
#[path = "../support/mod.rs"]
mod support;
mod worker;
mod write_ahead_log;
mod writes;
