//! The tables of meetings on the three databases.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod announcing;
mod asking;
mod dump;
mod killed;
mod outages;
#[path = "../support/proxy.rs"]
mod proxy;
mod said;
mod seeded;
#[path = "../support/server.rs"]
mod server;
mod statements;
mod world;
