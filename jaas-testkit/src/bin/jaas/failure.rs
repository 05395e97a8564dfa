//! How a command ends when it fails.

use std::io::{self, ErrorKind};

use jaas_core::ConfigError;
use jaas_testkit::simulator::{HttpError, NoResponse};

/// The message, and the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: Option<String>,
}

impl Failure {
    /// The check failed.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { code: 1, message: Some(message.into()) }
    }

    /// The check failed, and the reason has already been written.
    pub(crate) fn already_reported() -> Self {
        Self { code: 1, message: None }
    }

    /// Another program failed with this exit code, and has written why.
    pub(crate) fn exited(code: u8) -> Self {
        Self { code, message: None }
    }

    /// The command was used wrongly.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: Some(message.into()) }
    }

    /// The server did not respond.
    pub(crate) fn no_server(message: impl Into<String>) -> Self {
        Self { code: 3, message: Some(message.into()) }
    }

    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
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
        Self::no_server(format!("{unanswered}; {}", remedy(&unanswered)))
    }
}

/// What to check when the server does not respond.
pub(crate) fn remedy(unanswered: &NoResponse) -> &'static str {
    match unanswered {
        NoResponse::Unreachable { reason } if reason.contains("certificate") => {
            "this system does not trust the certificate: install its issuer's certificate, or name a file with it in SSL_CERT_FILE"
        }
        _ => "is the server running there?",
    }
}
