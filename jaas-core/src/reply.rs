//! The response to the sender. This module decides every status code.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use crate::delivery::Body;

/// The response to one request. The sender takes any 2xx for *received* and delivers again after anything else
/// (documented). Only a settings question gets a body; a refused stranger learns nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// The delivery is taken care of: stored or handled now or before, or quarantined. Status 200.
    Received(Disposition),
    /// The answer to a settings question, as JSON. Status 200: anything else opens the room.
    Settings(Body),
    /// A settings question that is refused on purpose, as JSON. Status 400: people who join see the message, and the
    /// room still opens (seen).
    SettingsRefused(Body),
    /// Not authenticated. Status 401; the reason appears only in logs and metrics.
    Unauthorized,
    /// The body ended before it was complete, or is not well-formed HTTP. Status 400; the sender is usually gone.
    Incomplete,
    /// Not a `POST`. Status 405.
    MethodNotAllowed,
    /// The body did not arrive in time. Status 408.
    TooSlow,
    /// The body is larger than the limit. Status 413.
    TooLarge,
    /// Not now: the store is unavailable, too much is in flight, the handler asked for a retry, or the process is
    /// shutting down. Status 503.
    Unavailable {
        /// When to try again, for the `Retry-After` header.
        retry_after: Duration,
    },
}

/// The outcome of an authentic delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disposition {
    /// Stored, to be handled.
    Stored,
    /// Handled.
    Handled,
    /// Handled, and nothing had to be done.
    Ignored,
    /// Failed permanently in the handler; only where nothing keeps dead letters.
    Failed,
    /// Received before with the same body.
    Duplicate,
    /// Received before with another body, which stays.
    Conflict,
    /// Its envelope cannot be parsed; kept in quarantine.
    Quarantined,
}

impl Reply {
    /// Every name that [`as_str`](Self::as_str) can return.
    pub(crate) const NAMES: [&str; 15] = [
        Disposition::Stored.as_str(),
        Disposition::Handled.as_str(),
        Disposition::Ignored.as_str(),
        Disposition::Failed.as_str(),
        Disposition::Duplicate.as_str(),
        Disposition::Conflict.as_str(),
        Disposition::Quarantined.as_str(),
        "settings",
        "settings_refused",
        "unauthorized",
        "incomplete",
        "method_not_allowed",
        "too_slow",
        "too_large",
        "unavailable",
    ];

    /// The place of its name in [`NAMES`](Self::NAMES).
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::Received(disposition) => *disposition as usize,
            Self::Settings(_) => 7,
            Self::SettingsRefused(_) => 8,
            Self::Unauthorized => 9,
            Self::Incomplete => 10,
            Self::MethodNotAllowed => 11,
            Self::TooSlow => 12,
            Self::TooLarge => 13,
            Self::Unavailable { .. } => 14,
        }
    }

    /// A settings question refused with this message.
    pub(crate) fn settings_refused(message: &str) -> Self {
        let refused = Self::SettingsRefused(Body::default());
        // This is the one error body that reaches people (seen).
        let body = json!({
            "status": refused.status(),
            "messageKey": "settings.provisioning.exception",
            "message": message,
        });
        Self::SettingsRefused(body.to_string().into())
    }

    /// The HTTP status code.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Received(_) | Self::Settings(_) => 200,
            Self::Incomplete | Self::SettingsRefused(_) => 400,
            Self::Unauthorized => 401,
            Self::MethodNotAllowed => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::Unavailable { .. } => 503,
        }
    }

    /// The body, which is JSON; `None` when it is empty.
    pub fn json(&self) -> Option<&Bytes> {
        match self {
            Self::Settings(body) | Self::SettingsRefused(body) => Some(body),
            _ => None,
        }
    }

    /// The value of `Retry-After` in whole seconds, at least 1.
    pub fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Unavailable { retry_after } => {
                Some(retry_after.as_secs().saturating_add(u64::from(retry_after.subsec_nanos() > 0)).max(1))
            }
            _ => None,
        }
    }

    /// A short name, for metrics.
    pub const fn as_str(&self) -> &'static str {
        Self::NAMES[self.index()]
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

    #[test]
    fn every_reply_has_a_name_of_its_own() {
        let every = [
            Reply::Received(Disposition::Stored),
            Reply::Received(Disposition::Handled),
            Reply::Received(Disposition::Ignored),
            Reply::Received(Disposition::Failed),
            Reply::Received(Disposition::Duplicate),
            Reply::Received(Disposition::Conflict),
            Reply::Received(Disposition::Quarantined),
            Reply::Settings(Body::default()),
            Reply::SettingsRefused(Body::default()),
            Reply::Unauthorized,
            Reply::Incomplete,
            Reply::MethodNotAllowed,
            Reply::TooSlow,
            Reply::TooLarge,
            Reply::Unavailable { retry_after: Duration::ZERO },
        ];
        assert_eq!(every.each_ref().map(Reply::index), std::array::from_fn(|index| index));
        assert_eq!(every[0].as_str(), "stored");
        assert_eq!(every[14].as_str(), "unavailable");
    }

    #[test]
    fn a_refused_question_has_the_body_that_is_shown_to_people() {
        let reply = Reply::settings_refused("Ask \"Ada\"");
        let body: serde_json::Value = serde_json::from_slice(reply.json().expect("a body")).expect("JSON");
        let shown =
            json!({"status": 400, "messageKey": "settings.provisioning.exception", "message": "Ask \"Ada\""});
        assert_eq!((reply.status(), body), (400, shown));
        assert!(!format!("{reply:?}").contains("Ada"));
        assert_eq!(Reply::Unauthorized.json(), None);
    }
}
