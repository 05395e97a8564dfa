//! Fetching files behind links, over the memory store: the archiver with paused time, the fetcher and the sink over
//! real sockets and files.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod archiving;
mod downloads;
mod erasing;
mod outages;
mod overload;
mod refusals;
mod secrets;
mod world;
