//! Every event, from its bytes to its handler method: the testkit's fixtures, 8x8's own examples, and the odd
//! bodies.

// `clippy.toml` allows these in test functions; the helpers beside them are tests as well.
#![allow(clippy::expect_used, clippy::panic)]

#[macro_use]
mod parsing;

mod cases;
mod debug_output;
mod dispatch;
mod documented;
mod encoding;
mod fields;
mod fixtures;
mod page;
mod unreadable;
