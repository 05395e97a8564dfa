//! Mistakes in a configuration.

/// A configuration that cannot work: what is wrong, and what to do instead. The builders return it, so it shows at
/// start-up and not at the first delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
