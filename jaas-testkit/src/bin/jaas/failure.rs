//! How a command ends when it does not end well.

use std::io::{self, ErrorKind};

use jaas_core::ConfigError;
use jaas_testkit::simulator::{HttpError, NoResponse};

/// What to say, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: Option<String>,
}

impl Failure {
    /// The answer is no.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, message: Some(message.into()) }
    }

    /// The answer is no, and has been told already.
    pub(crate) fn no_as_told() -> Self {
        Self { code: 1, message: None }
    }

    /// It was used wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: Some(message.into()) }
    }

    /// Nobody answered.
    pub(crate) fn nobody(message: impl Into<String>) -> Self {
        Self { code: 3, message: Some(message.into()) }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

/// Of writing to standard output. Whoever reads it may have seen enough, as `head` has.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe {
            return Self { code: 0, message: None };
        }
        Self::usage(format!("standard output cannot be written: {error}"))
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<NoResponse> for Failure {
    fn from(unanswered: NoResponse) -> Self {
        Self::nobody(format!("{unanswered}; {}", remedy(&unanswered)))
    }
}

/// What to look at when nobody answers.
pub(crate) fn remedy(unanswered: &NoResponse) -> &'static str {
    match unanswered {
        NoResponse::Unreachable { reason } if reason.contains("certificate") => {
            "this system does not trust it: install its issuer's certificate, or name a file with it in SSL_CERT_FILE"
        }
        _ => "is the server running there?",
    }
}
