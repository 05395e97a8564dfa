//! The tests of the book in this folder. `cargo test` compiles every Rust example of its pages, and runs those that can
//! run. `tests/book` checks the rest: other languages, links and the table of contents. `tests/getting_started.rs` follows
//! the page "Getting started" as a newcomer would.
//!
//! A page with Rust examples needs a line here; a test checks this.

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../getting-started.md")]
struct GettingStarted;

#[cfg(doctest)]
#[doc = include_str!("../handlers.md")]
struct Handlers;

#[cfg(doctest)]
#[doc = include_str!("../transactions.md")]
struct Transactions;

#[cfg(doctest)]
#[doc = include_str!("../archive.md")]
struct Archive;

#[cfg(doctest)]
#[doc = include_str!("../ordering.md")]
struct Ordering;

#[cfg(doctest)]
#[doc = include_str!("../settings.md")]
struct Settings;

#[cfg(doctest)]
#[doc = include_str!("../meetings.md")]
struct Meetings;

#[cfg(doctest)]
#[doc = include_str!("../stores.md")]
struct Stores;

#[cfg(doctest)]
#[doc = include_str!("../testing.md")]
struct Testing;

#[cfg(doctest)]
#[doc = include_str!("../simulating.md")]
struct Simulating;

#[cfg(doctest)]
#[doc = include_str!("../rtcstats.md")]
struct Rtcstats;

#[cfg(doctest)]
#[doc = include_str!("../operations/retention.md")]
struct Retention;

#[cfg(doctest)]
#[doc = include_str!("../operations/repair.md")]
struct Repair;

#[cfg(doctest)]
#[doc = include_str!("../operators.md")]
struct Operators;

#[cfg(doctest)]
#[doc = include_str!("../operations/metrics.md")]
struct Metrics;

#[cfg(doctest)]
#[doc = include_str!("../operations/tracing.md")]
struct Tracing;
