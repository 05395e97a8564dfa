//! The console through actix's test server, over the store in memory.

mod acts;
mod life;
mod matrix;
mod meetings;
mod pages;
mod support;
