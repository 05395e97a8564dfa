//! The dashboard and the alert rules of `docs/operations`: they parse, and use metrics that exist.
#![allow(clippy::expect_used, clippy::panic)]

mod alerts;
mod dashboard;
mod uses;
