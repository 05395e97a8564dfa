//! The tests of the public API, in one program: it is linked once, and a long test of one part runs beside the tests of
//! the others. `cargo test -p jaas-core --test suite protocol::` runs one part.
//!
//! A test beside this file needs a process of its own, because what it changes or listens to is global there, or is run by
//! itself: `events` when one is added.

mod archive;
mod meetings;
mod operations;
mod protocol;
mod receiver;
mod rtcstats;
mod watch;
mod worker;
