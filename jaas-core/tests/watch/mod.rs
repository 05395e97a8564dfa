//! Noticing events that should have come and did not, over the memory store.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod auditing;
mod endpoints;
mod seeded;
