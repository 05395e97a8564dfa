//! Statistics files through the public API.
#![allow(clippy::expect_used, clippy::panic)]

mod differential;
mod fuzz;
mod generate;
mod reading;
mod summing;
mod support;
