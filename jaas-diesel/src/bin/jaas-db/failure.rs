//! How a command ends when it fails.

use std::error::Error;
use std::io::{self, ErrorKind};

use jaas_core::store::{StoreError, StoreErrorKind};

/// The message, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: Option<String>,
}

impl Failure {
    /// What was asked for does not exist, or was refused.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, message: Some(message.into()) }
    }

    /// The command was used wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: Some(message.into()) }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Adds what had happened before.
    pub(crate) fn after(mut self, what: &str) -> Self {
        self.message = self.message.map(|message| format!("{message}; {what}"));
        self
    }
}

/// An error while writing to standard output. The reader may have read enough, as `head` does.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Self { code: 0, message: None };
        }
        Self::usage(format!("cannot write to standard output: {error}"))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let away = matches!(
            error.kind(),
            StoreErrorKind::Unavailable | StoreErrorKind::Overloaded | StoreErrorKind::Closed
        );
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        Self { code: if away { 3 } else { 1 }, message: Some(message) }
    }
}
