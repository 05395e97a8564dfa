//! What a receiver does with a request, from its signature to the reply: events go to an inbox or to handlers, and
//! questions go to the settings service.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod deciding;
mod direct;
mod settings;
mod signature_vectors;
#[path = "../support/mod.rs"]
mod support;
