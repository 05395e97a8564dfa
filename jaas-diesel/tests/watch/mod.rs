//! Watched sessions and their gaps on the three databases.
#![cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod kills;
mod seeded;
mod world;
