//! The archive on real databases: processes that are killed while they fetch, and databases that go away.
#![cfg(all(feature = "archive", feature = "sqlite", feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod away;
mod backend;
mod kill;
