//! Why a signature is refused.
//!
//! [`Doctor::examine`] first calls `jaas_core::signature::verify`. If the signature is not valid, it repeats the
//! mistakes that people make with `X-Jaas-Signature`, alone and in combination, until one explains the header. So it
//! works on a genuine request that your receiver refused (was the body, header or secret damaged on the way?) and on a
//! request that your own code signed (what does it do wrong?).

mod rewrite;
mod search;

use std::fmt;

use jaas_core::Timestamp;
use jaas_core::signature::{self, Secret, SignatureError, Tolerance, Verified};
use jaas_core::{ConfigError, ConfigErrorKind};

/// Examines signatures made, or supposedly made, with these secrets.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_testkit::doctor::{Doctor, Mistake};
///
/// let doctor = Doctor::new(["whsec_9635df66714a4cf088ee9d0979dd3bf6"])?;
/// let now = Timestamp::from_secs(1_760_000_003);
/// let diagnosis = doctor.examine("t=1760000000,v1=xEJe6jyK1SpZm/glelJ/NcbVUHguUaTnWxc/c48bkdE=", b"{}", now);
/// assert!(!diagnosis.is_valid());
/// assert!(diagnosis.findings.iter().any(|finding| finding.mistake == Mistake::PrefixStripped));
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Doctor {
    secrets: Vec<String>,
    others: Vec<String>,
    tolerance: Tolerance,
}

impl Doctor {
    /// Creates a doctor that knows the secrets of the endpoint: several while you rotate.
    ///
    /// # Errors
    /// When there is none, or one is empty. White space at an end is not an error here: it is one of the mistakes.
    pub fn new<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        let secrets: Vec<String> = secrets.into_iter().map(Into::into).collect();
        if secrets.is_empty() {
            return Err(ConfigError::new(ConfigErrorKind::Secret, "no secret; pass at least one"));
        }
        if secrets.iter().any(|secret| secret.trim().is_empty()) {
            return Err(ConfigError::new(
                ConfigErrorKind::Secret,
                "a secret is empty; give the endpoint's secret as it is shown",
            ));
        }
        Ok(Self { secrets, others: Vec::new(), tolerance: Tolerance::default() })
    }

    /// Secrets that do *not* belong to this endpoint but may have been used by mistake: of another endpoint, or from
    /// before a rotation. None by default.
    pub fn others<S: Into<String>>(mut self, secrets: impl IntoIterator<Item = S>) -> Self {
        self.others = secrets.into_iter().map(Into::into).collect();
        self
    }

    /// How far the signature's time may be from now. Defaults to 24 hours in the past and 5 minutes in the future.
    pub fn tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Examines a header's value against the body, byte for byte as received, at this time.
    pub fn examine(&self, header: &str, body: &[u8], now: Timestamp) -> Diagnosis {
        // A secret with white space at its end cannot be used; the search reports it.
        let usable: Vec<(usize, Secret)> = self
            .secrets
            .iter()
            .enumerate()
            .filter_map(|(index, secret)| Some((index, Secret::new(secret.as_str()).ok()?)))
            .collect();
        let secrets: Vec<Secret> = usable.iter().map(|(_, secret)| secret.clone()).collect();
        let verdict = signature::verify(header, body, &secrets, now, self.tolerance);
        let findings = match &verdict {
            Ok(_) => Vec::new(),
            Err(_) => search::explain(self, header, body, now),
        };
        let secret =
            verdict.as_ref().ok().and_then(|verified| usable.get(verified.secret)).map(|(index, _)| *index);
        Diagnosis { verdict, secret, findings }
    }
}

/// Shows how many secrets there are, not their values.
impl fmt::Debug for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doctor")
            .field("secrets", &self.secrets.len())
            .field("others", &self.others.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// The result of an examination.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The result that a receiver gets.
    pub verdict: Result<Verified, SignatureError>,
    /// Which of the secrets passed to [`Doctor::new`] made the signature, from 0; `None` when not valid.
    pub secret: Option<usize>,
    /// The mistakes that together explain the refusal, the fewest that do. Empty when the signature is valid, and
    /// when no known mistake explains it.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Whether a receiver accepts the request.
    pub fn is_valid(&self) -> bool {
        self.verdict.is_ok()
    }
}

/// One mistake, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of mistake.
    pub mistake: Mistake,
    /// How it shows here, and the remedy. It never quotes a secret or the body.
    pub explanation: String,
}

impl Finding {
    fn new(mistake: Mistake, explanation: impl Into<String>) -> Self {
        Self { mistake, explanation: explanation.into() }
    }

    fn clock_skew(signed_at: Timestamp, now: Timestamp, tolerance: Tolerance) -> Option<Self> {
        let (age, ahead) = (now.duration_since(signed_at), signed_at.duration_since(now));
        if ahead > tolerance.future {
            let text = format!(
                "The signature is from {signed_at}, {} s ahead of now, and only {} s are tolerated. One of the two clocks \
                 is wrong: set both by NTP.",
                ahead.as_secs(),
                tolerance.future.as_secs()
            );
            return Some(Self::new(Mistake::ClockSkew, text));
        }
        (age > tolerance.past).then(|| {
            let text = format!(
                "The signature is from {signed_at}, {} s ago, and only {} s are tolerated. If the request really is \
                 that old, give the time it came at; if it is new, one of the two clocks is wrong: set both by NTP.",
                age.as_secs(),
                tolerance.past.as_secs()
            );
            Self::new(Mistake::ClockSkew, text)
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.explanation)
    }
}

/// A known mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mistake {
    /// The key is the secret without its `whsec_`; the prefix belongs to the key (documented).
    PrefixStripped,
    /// The key was decoded from base64 or hex, as Svix and Standard-Webhooks libraries do; it is the text itself
    /// (documented).
    KeyDecoded,
    /// The secret has white space at an end, such as the line break of a secrets file.
    WhiteSpaceInSecret,
    /// The secret has quotes around it, such as those of a file of environment variables.
    QuotesAroundSecret,
    /// Made with the secret of another endpoint, or with one from before a rotation.
    WrongSecret,
    /// `v1` is hex; it must be base64.
    Hex,
    /// `v1` is base64 with `-` and `_`, which belong to another alphabet.
    UrlSafeBase64,
    /// `v1` lost the `=` at its end, as happens when an element is split at every `=` instead of the first.
    PaddingLost,
    /// The body was parsed and written again, or signed in that form; the signature covers the bytes.
    Reserialised,
    /// A line break was added to the end of the body, or lost there.
    TrailingNewline,
    /// A byte order mark was put before the body, or removed.
    ByteOrderMark,
    /// The body is empty, and something else was signed: something consumed it earlier.
    BodyMissing,
    /// The body was encoded in base64 by a gateway, or signed in that form.
    Base64Body,
    /// The body went through another character set than UTF-8: characters outside ASCII became `?` or other bytes.
    CharacterSet,
    /// The time is in milliseconds; `t` is in seconds.
    Milliseconds,
    /// The body was signed alone, without `t` and the dot before it.
    TimestampNotSigned,
    /// The signature is genuine, but the clocks of the two sides, or the time until the request was examined, differ by
    /// more than the tolerance.
    ClockSkew,
    /// The header has no `t` or no `v1`.
    MalformedHeader,
    /// Two headers with different `t` were joined into one.
    HeadersJoined,
}

impl Mistake {
    /// A short name, for machines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrefixStripped => "prefix_stripped",
            Self::KeyDecoded => "key_decoded",
            Self::WhiteSpaceInSecret => "white_space_in_secret",
            Self::QuotesAroundSecret => "quotes_around_secret",
            Self::WrongSecret => "wrong_secret",
            Self::Hex => "hex",
            Self::UrlSafeBase64 => "url_safe_base64",
            Self::PaddingLost => "padding_lost",
            Self::Reserialised => "reserialised",
            Self::TrailingNewline => "trailing_newline",
            Self::ByteOrderMark => "byte_order_mark",
            Self::BodyMissing => "body_missing",
            Self::Base64Body => "base64_body",
            Self::CharacterSet => "character_set",
            Self::Milliseconds => "milliseconds",
            Self::TimestampNotSigned => "timestamp_not_signed",
            Self::ClockSkew => "clock_skew",
            Self::MalformedHeader => "malformed_header",
            Self::HeadersJoined => "headers_joined",
        }
    }
}

/// A time this large counts milliseconds: in seconds it would be after the year 5000.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// What `t` would be if it were milliseconds.
fn from_millis(t: i64) -> Option<Timestamp> {
    (t >= MILLISECONDS_FROM).then(|| Timestamp::from_millis(t))
}

const _: fn() = || {
    fn shared_between_threads<T: Send + Sync>() {}
    shared_between_threads::<Doctor>();
};
