//! `jaas-db` as a process, over databases that a store in this process has filled.
#![cfg(feature = "command")]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod databases;
#[cfg(feature = "sqlite")]
mod offline;
mod running;
