//! The console through actix's test server, over the store in memory.

mod acts;
mod matrix;
mod pages;
mod support;
