//! The tables of meetings on the three databases.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod announcing;
mod asking;
mod dump;
mod killed;
mod outages;
mod said;
mod seeded;
mod statements;
mod world;
