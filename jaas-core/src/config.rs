//! Mistakes in a configuration.

use std::fmt;

/// A configuration that cannot work: what is wrong, and what to do instead. The builders return it, so it shows at
/// start-up and not at the first delivery.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: String,
}

/// Which part of a configuration is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A secret or an `Authorization` value is missing or empty, has white space at an end, or is too short.
    Secret,
    /// A name is empty, unknown, used twice, or has characters that it must not have.
    Name,
    /// A number or a duration is zero or out of its range.
    Range,
    /// A part is missing without which the whole does nothing, such as a handler.
    Missing,
    /// Two parts contradict each other.
    Contradiction,
}

impl ConfigError {
    /// An error of this kind; the message says what is wrong and what to do instead.
    pub fn new(kind: ConfigErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Which part is wrong.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}

/// The message: a `main` that returns an error shows its `Debug`.
impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
