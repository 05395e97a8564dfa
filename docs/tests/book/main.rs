//! What a reader of the book relies on.
#![allow(clippy::expect_used, clippy::panic)]

mod blocks;
mod links;
mod markdown;
mod summary;
