//! The stores and dispatchers of this workspace that need no database keep their contracts, and the suites notice
//! violations.

#![allow(clippy::expect_used, clippy::panic)]

mod dispatchers;
mod faulty_store;
mod memory_store;
