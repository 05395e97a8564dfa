//! Tests of the book: links, blocks of code, table of contents.
#![allow(clippy::expect_used, clippy::panic)]

mod blocks;
mod links;
mod markdown;
mod summary;
