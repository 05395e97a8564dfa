//! Stores on servers with settings that are not the default.
#![cfg(all(feature = "postgres", feature = "mysql"))]
#![allow(missing_docs, clippy::expect_used, clippy::panic)]

mod exercise;
mod mysql;
#[path = "../support/own_servers.rs"]
mod own_servers;
mod page;
mod postgres;
#[path = "../support/servers.rs"]
mod servers;

use self::exercise::{Seen, With};

/// Settings that a test tries together.
struct Row {
    settings: &'static [&'static str],
    with: With,
    /// What the store does about them.
    why: &'static str,
}

const fn row(settings: &'static [&'static str], why: &'static str) -> Row {
    Row { settings, with: With::Nothing, why }
}

impl Seen {
    /// Without the warnings that the servers of these tests always cause.
    fn without(mut self, usual: &[String]) -> Self {
        if let Self::Works { warnings } = &mut self {
            warnings.retain(|warning| !usual.contains(warning));
        }
        self
    }
}
