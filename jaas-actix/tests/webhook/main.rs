//! A webhook in an actix-web server, over a socket: what is accepted, what is refused, and with which response.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod accepting;
mod hanging_up;
mod health;
mod refusing;
mod settings;
#[path = "../support/mod.rs"]
mod support;
