//! What the sender is answered. Every status code is decided here and nowhere else.

use std::fmt;
use std::time::Duration;

/// The answer to one request. The sender takes any 2xx for *received* and delivers again after anything else
/// (documented); its body is always empty, because a refused stranger is told nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Taken care of: stored or handled now, or before, or kept aside. Status 200.
    Received(Disposition),
    /// Not proven genuine. Status 401; the reason is in logs and metrics only.
    Unauthorized,
    /// The body ended before it was complete, or is no well-formed HTTP. Status 400; the sender is usually gone.
    Incomplete,
    /// Not a `POST`. Status 405.
    MethodNotAllowed,
    /// The body did not arrive in time. Status 408.
    TooSlow,
    /// The body is larger than the limit. Status 413.
    TooLarge,
    /// Not now: the store is unavailable, too much is in flight, the handler asked for a retry, or we are
    /// shutting down. Status 503.
    Unavailable {
        /// When to come back, for the `Retry-After` header.
        retry_after: Duration,
    },
}

/// What became of an authentic delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disposition {
    /// Stored, to be handled.
    Stored,
    /// Handled.
    Handled,
    /// Handled, and nothing needed doing.
    Ignored,
    /// Given up by the handler for good; only where nothing keeps dead letters.
    Failed,
    /// Came before with the same body.
    Duplicate,
    /// Came before with another body, which stays.
    Conflict,
    /// Has no readable envelope; kept in quarantine.
    Quarantined,
}

impl Reply {
    /// The HTTP status code.
    pub const fn status(self) -> u16 {
        match self {
            Self::Received(_) => 200,
            Self::Incomplete => 400,
            Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::Unavailable { .. } => 503,
        }
    }

    /// The value of `Retry-After` in whole seconds, at least 1.
    pub fn retry_after_secs(self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after } => {
                Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1))
            }
            _ => None,
        }
    }

    /// A short name, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received(disposition) => disposition.as_str(),
            Self::Unauthorized => "unauthorized",
            Self::Incomplete => "incomplete",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::TooSlow => "too_slow",
            Self::TooLarge => "too_large",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl Disposition {
    /// A short name, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Handled => "handled",
            Self::Ignored => "ignored",
            Self::Failed => "failed",
            Self::Duplicate => "duplicate",
            Self::Conflict => "conflict",
            Self::Quarantined => "quarantined",
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status(), self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let secs =
            |millis| Reply::Unavailable { retry_after: Duration::from_millis(millis) }.retry_after_secs();
        assert_eq!((secs(0), secs(1000), secs(1001)), (Some(1), Some(1), Some(2)));
        assert_eq!(Reply::TooLarge.retry_after_secs(), None);
    }
}
