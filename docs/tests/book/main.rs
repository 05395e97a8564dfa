//! What a reader of the book relies on.
#![allow(clippy::expect_used, clippy::panic)]

mod blocks;
mod getting_started;
mod links;
mod markdown;
mod summary;
