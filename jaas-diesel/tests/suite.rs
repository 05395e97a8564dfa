//! The tests on all databases, in one program: it is linked once, and a long test of one part runs beside the tests of the
//! others. `cargo test -p jaas-diesel --all-features --test suite meetings::` runs one part.
//!
//! The other files and folders are programs of their own, because they change or listen to what is global in a process, or
//! measure time.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod archive;
mod command;
mod conformance;
mod meetings;
mod watch;

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[path = "support/own_servers.rs"]
mod own_servers;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[path = "support/proxy.rs"]
mod proxy;
#[cfg(any(feature = "postgres", feature = "mysql"))]
#[path = "support/server.rs"]
mod server;
