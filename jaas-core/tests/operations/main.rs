//! The dashboard and the alert rules of `docs/operations`: they can be read, and ask for what is told.
#![allow(clippy::expect_used, clippy::panic)]

mod alerts;
mod dashboard;
mod uses;
