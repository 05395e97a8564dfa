//! Each store keeps the contract of every store, does what the reference store does, and has the same table of settings.
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod differential;
#[cfg(feature = "sqlite")]
mod dispatcher;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod on_servers;
mod settings_table;
#[cfg(feature = "sqlite")]
mod sqlite;
