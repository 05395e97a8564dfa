//! A model of the inbox's protocol, explored exhaustively: receivers that accept events, workers that claim and settle
//! them, and everything that can go wrong between two of their transactions.
//!
//! # What is modelled
//! The rows of two tables (events, and one queue per session with waiting events) as they are committed, and two
//! processes, each with a receiver and a worker that has room for one run. Their steps are:
//!
//! - accepting one event or two in one transaction, with repeated deliveries, and with a hand-over to the worker of the
//!   same process when the queue is new;
//! - claiming a session, taking over an expired lease, counting its crash, and dead-lettering an event that crashed too
//!   often;
//! - settling an event as done, failed, dead, released or given back, and going on with the next event of the session;
//! - running the following event before the previous one is recorded, and recording it beside another one when an
//!   earlier event had come;
//! - renewing a lease that had expired and was not taken over;
//! - replaying and discarding;
//! - crashing, which rolls back what is not committed, and loses every lease; the sender then sends again;
//! - time: a back-off and the settle window are counted in ticks, and a lease can expire at any moment. There is one
//!   clock, that of the database.
//!
//! An action is atomic. A transaction during which others may act takes two actions: one for its lock (of an accept, for
//! its insert), one for what it reads and writes under the lock and its commit. What it has not committed is visible
//! to nothing else, except that a second insert of a key waits for the first, and that a claim skips a locked queue.
//!
//! The index of an event is both its key and its place in the order of its session. As events arrive in any order, this
//! covers late arrivals and equal times alike.
//!
//! Left out are: bodies and conflicts, steps of several handlers, purging and erasing, deadlocks between transactions that
//! lock several queues (each accept here takes all its locks at the same moment), and replies that are lost after a commit
//! (a crash of the process after the commit leaves the same rows).
//!
//! # What is checked
//! `properties.rs` lists what holds in every state. In addition, no path is endless (`walk.rs`). Together with the
//! property that something can happen as long as anything is left to do, this means that every event is settled on
//! every path, however unlucky.
//!
//! `correct.rs` explores the protocol until nothing is left, within the bounds of `bounds.rs`: how many events arrive,
//! and how often each misfortune happens. No depth and no number of states truncates it. `broken.rs` does the same with
//! protocols that differ in one place (`variant.rs`), and requires a counterexample of each. So each property is known
//! to be able to fail, and each rule of the protocol to be necessary.
//!
//! # Reading a counterexample
//! `cargo test -p jaas-core --test suite protocol:: -- --show-output` prints the numbers of states, and for each broken variant
//! one of the shortest lists of steps that violates the property. Session, process and event are indices. When
//! `CommitClaim` comes much later than `LockForClaim` of the same process, the steps between them happened while the
//! lock was held. `CommitSettle` with `next: true` asks for the next event; whether there is one depends on the head.
//!
//! When the protocol itself violates a property, the list is printed too. Processes may then swap their numbers from one
//! step to the next, because states that differ only in these numbers are explored once.

#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod accept;
mod action;
mod bounds;
mod broken;
mod claim;
mod correct;
mod misfortune;
mod model;
mod operator;
mod properties;
mod settle;
mod state;
mod variant;
mod walk;
