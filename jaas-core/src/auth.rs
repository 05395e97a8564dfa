//! Authentication of deliveries to an endpoint.

use std::fmt;

use hmac::Mac as _;

use crate::config::{ConfigError, ConfigErrorKind};
use crate::signature::{self, Secret, SignatureError, Tolerance, Verified};
use crate::telemetry::target;
use crate::timestamp::Timestamp;

/// How an endpoint distinguishes genuine requests from forged ones. It cannot be switched off.
///
/// Each endpoint of a JaaS app has its own secret.
///
/// ```
/// use jaas_core::Auth;
///
/// // The usual case; two secrets while you rotate.
/// let auth = Auth::signature(["whsec_9635df66714a4cf088ee9d0979dd3bf6", "whsec_0a1b2c3d4e5f60718293a4b5c6d7e8f9"])?;
/// // In addition, the static Authorization value configured for the endpoint, sent verbatim (documented).
/// let both = Auth::signature_and_authorization(["whsec_9635df66714a4cf088ee9d0979dd3bf6"], ["Bearer 1234"])?;
/// assert!(Auth::signature([""]).unwrap_err().to_string().contains("empty"));
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Auth {
    policy: Policy,
    tolerance: Tolerance,
}

#[derive(Debug, Clone)]
enum Policy {
    Signature(Vec<Secret>),
    Authorization(Vec<Secret>),
    Both { secrets: Vec<Secret>, values: Vec<Secret> },
    Either { secrets: Vec<Secret>, values: Vec<Secret> },
}

impl Auth {
    /// A valid `X-Jaas-Signature` made with any of these secrets.
    ///
    /// # Errors
    /// When a secret is empty or has white space at an end, or there is none.
    pub fn signature<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self { policy: Policy::Signature(collect_secrets(secrets)?), tolerance: Tolerance::default() })
    }

    /// Any of these values, verbatim, in the `Authorization` header, and no signature. Prefer
    /// [`signature`](Self::signature): a header value does not authenticate the body.
    ///
    /// # Errors
    /// When a value is empty or has white space at an end, or there is none.
    pub fn authorization<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Result<Self, ConfigError> {
        Ok(Self { policy: Policy::Authorization(collect(values)?), tolerance: Tolerance::default() })
    }

    /// Both: a valid signature made with any of these secrets, and any of these values, verbatim, in the
    /// `Authorization` header.
    ///
    /// # Errors
    /// When a secret or value is empty or has white space at an end, or there is none of either.
    pub fn signature_and_authorization<S: Into<String>, V: Into<String>>(
        secrets: impl IntoIterator<Item = S>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, ConfigError> {
        let policy = Policy::Both { secrets: collect_secrets(secrets)?, values: collect(values)? };
        Ok(Self { policy, tolerance: Tolerance::default() })
    }

    /// Either: a valid signature made with any of these secrets, or any of these values, verbatim, in the
    /// `Authorization` header.
    ///
    /// # Errors
    /// When a secret or value is empty or has white space at an end, or there is none of either.
    pub fn signature_or_authorization<S: Into<String>, V: Into<String>>(
        secrets: impl IntoIterator<Item = S>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self, ConfigError> {
        let policy = Policy::Either { secrets: collect_secrets(secrets)?, values: collect(values)? };
        Ok(Self { policy, tolerance: Tolerance::default() })
    }

    /// Sets how far a signature's time may be from now. Defaults to 24 hours in the past and 5 minutes in the future.
    pub fn tolerance(mut self, tolerance: Tolerance) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The number of signing secrets.
    pub(crate) fn secrets(&self) -> usize {
        match &self.policy {
            Policy::Signature(secrets) | Policy::Both { secrets, .. } | Policy::Either { secrets, .. } => {
                secrets.len()
            }
            Policy::Authorization(_) => 0,
        }
    }

    /// Decides whether a request is genuine, and by which method.
    ///
    /// # Errors
    /// The reason why it is not.
    pub fn check(
        &self,
        credentials: Credentials<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<AuthMethod, AuthError> {
        let signature = |secrets: &[Secret]| {
            let header = credentials.signature.ok_or(AuthError::SignatureMissing)?;
            let verified = signature::verify(header, body, secrets, now, self.tolerance);
            let Verified { secret, signed_at } = verified.map_err(AuthError::Signature)?;
            Ok(AuthMethod::Signature { secret, signed_at })
        };
        let authorization = |values: &[Secret]| {
            let sent = credentials.authorization.ok_or(AuthError::AuthorizationMissing)?;
            if any_equals(values, sent) {
                Ok(AuthMethod::Authorization)
            } else {
                Err(AuthError::AuthorizationMismatch)
            }
        };
        match &self.policy {
            Policy::Signature(secrets) => signature(secrets),
            Policy::Authorization(values) => authorization(values),
            Policy::Both { secrets, values } => authorization(values).and_then(|_| signature(secrets)),
            Policy::Either { secrets, values } => authorization(values).or_else(|_| signature(secrets)),
        }
    }
}

fn collect_secrets<S: Into<String>>(
    secrets: impl IntoIterator<Item = S>,
) -> Result<Vec<Secret>, ConfigError> {
    let secrets = collect(secrets)?;
    if secrets.iter().any(|secret| !secret.as_bytes().starts_with(b"whsec_")) {
        tracing::warn!(
            target: target::DELIVERY,
            "a webhook secret does not begin with whsec_, as those of the JaaS console do; the prefix belongs to the secret"
        );
    }
    Ok(secrets)
}

fn collect<S: Into<String>>(secrets: impl IntoIterator<Item = S>) -> Result<Vec<Secret>, ConfigError> {
    let secrets = secrets.into_iter().map(Secret::new).collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() {
        return Err(ConfigError::new(ConfigErrorKind::Secret, "no secret; pass at least one"));
    }
    Ok(secrets)
}

/// Compares MACs under a fixed key instead of the values, so neither content nor length shows in the time.
fn any_equals(values: &[Secret], sent: &str) -> bool {
    let mac = |bytes: &[u8]| signature::keyed(b"jaas authorization").chain_update(bytes);
    let sent = mac(sent.as_bytes()).finalize().into_bytes();
    values.iter().fold(false, |found, value| mac(value.as_bytes()).verify_slice(&sent).is_ok() | found)
}

/// What authenticated a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A signature made with the secret of this index, in the order they were given. During a rotation, the old secret
    /// can be removed once it has not been used for as long as your tolerance.
    Signature {
        /// The index, from 0.
        secret: usize,
        /// When the request was signed.
        signed_at: Timestamp,
    },
    /// A value of the `Authorization` header alone.
    Authorization,
}

/// The headers of a request that can prove it genuine.
#[derive(Clone, Copy, Default)]
pub struct Credentials<'a> {
    /// The value of `X-Jaas-Signature`; of several lines, their values in order, joined with commas.
    pub signature: Option<&'a str>,
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
}

/// Shows which credentials are present, not their values.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("signature", &self.signature.is_some())
            .field("authorization", &self.authorization.is_some())
            .finish()
    }
}

/// Why a request is refused. For logs and metrics; the sender learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// `X-Jaas-Signature` is missing.
    #[error("the X-Jaas-Signature header is missing")]
    SignatureMissing,
    /// The signature is not valid.
    #[error(transparent)]
    Signature(SignatureError),
    /// `Authorization` is missing.
    #[error("the Authorization header is missing")]
    AuthorizationMissing,
    /// The `Authorization` value is not one of those configured.
    #[error("the Authorization header has none of the configured values")]
    AuthorizationMismatch,
    /// The body is empty, although its `Content-Length` is not 0.
    #[error(
        "the body is empty although its Content-Length is {declared}: something before the receiver consumed it, such as a \
         middleware that logs bodies; mount the webhook outside of it"
    )]
    BodyMissing {
        /// The `Content-Length`, in bytes.
        declared: u64,
    },
}

impl AuthError {
    /// A short name for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::SignatureMissing => "signature_missing",
            Self::Signature(SignatureError::Malformed) => "signature_malformed",
            Self::Signature(SignatureError::Mismatch) => "signature_mismatch",
            Self::Signature(SignatureError::TooOld { .. }) => "signature_too_old",
            Self::Signature(SignatureError::FromTheFuture { .. }) => "signature_from_the_future",
            Self::AuthorizationMissing => "authorization_missing",
            Self::AuthorizationMismatch => "authorization_mismatch",
            Self::BodyMissing { .. } => "body_missing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

    fn good_signature() -> String {
        signature::sign(&Secret::new("s").expect("good"), NOW, b"x")
    }

    #[test]
    fn policies_require_what_they_name() {
        let signature = good_signature();
        let signed = Auth::signature(["s"]).expect("good");
        let value = Auth::authorization(["Bearer 1"]).expect("good");
        let both = Auth::signature_and_authorization(["s"], ["Bearer 1"]).expect("good");
        let either = Auth::signature_or_authorization(["s"], ["Bearer 1"]).expect("good");
        for (signature, authorization, expected) in [
            (None, None, [false, false, false, false]),
            (Some(&*signature), None, [true, false, false, true]),
            (None, Some("Bearer 1"), [false, true, false, true]),
            (Some(&*signature), Some("Bearer 1"), [true, true, true, true]),
            (Some("t=1,v1=AAAA"), Some("Bearer 1"), [false, true, false, true]),
            (Some(&*signature), Some("bearer 1"), [true, false, false, true]),
        ] {
            let credentials = Credentials { signature, authorization };
            let decided =
                [&signed, &value, &both, &either].map(|auth| auth.check(credentials, b"x", NOW).is_ok());
            assert_eq!(decided, expected, "{signature:?} {authorization:?}");
        }
    }

    #[test]
    fn no_secret_at_all_is_refused() {
        assert!(
            Auth::signature(Vec::<String>::new())
                .expect_err("none")
                .to_string()
                .contains("no secret; pass at least one")
        );
        assert!(Auth::authorization([" "]).expect_err("blank").to_string().contains("is empty"));
    }
}
