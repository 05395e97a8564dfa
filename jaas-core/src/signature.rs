//! The `X-Jaas-Signature` header.
//!
//! `t=<unix seconds>,v1=<base64>[,v1=<base64>…]`, where
//! `v1 = base64(HMAC-SHA256(secret, t + "." + body))` over the raw body (documented). The key is the whole
//! secret string **including** its `whsec_` prefix, so Svix and Standard-Webhooks libraries, which strip the
//! prefix and base64-decode the rest, compute something else.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::config::{ConfigError, ConfigErrorKind};
use crate::timestamp::Timestamp;

/// The name of the signature header.
pub const HEADER: &str = "x-jaas-signature";

/// The maximum number of `v1` in a header. JaaS sends one, and two while a secret is rotated; a stranger who sends more
/// costs only the parsing of the header.
pub const MAX_SIGNATURES: usize = 32;

/// The longest header that is parsed, in bytes, all its lines together.
pub const MAX_HEADER_BYTES: usize = 8 * 1024;

/// The secret of an endpoint, as shown in the JaaS console: `whsec_` and 32 hex digits. Wiped from memory
/// when dropped; `Debug` hides it.
#[derive(Clone)]
pub struct Secret {
    text: SecretString,
    /// The MAC with the key already in it; half of the work for a short body. Overwritten when dropped, like the key.
    keyed: Hmac<Sha256>,
}

impl Secret {
    /// Wraps a secret exactly as shown in the console, `whsec_` included.
    ///
    /// # Errors
    /// When it is empty or has white space at an end: both are configuration mistakes that would refuse every
    /// genuine request or accept a forged one.
    pub fn new(secret: impl Into<String>) -> Result<Self, ConfigError> {
        let text = SecretString::from(secret.into());
        check(text.expose_secret())?;
        let keyed = keyed(text.expose_secret().as_bytes());
        Ok(Self { text, keyed })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text.expose_secret().as_bytes()
    }

    fn mac(&self, t: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(t.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

fn check(secret: &str) -> Result<(), ConfigError> {
    if secret.trim().is_empty() {
        return Err(ConfigError::new(
            ConfigErrorKind::Secret,
            "the secret is empty, and with an empty secret anyone could sign; copy it from the endpoint's page in the \
             JaaS console, `whsec_` included",
        ));
    }
    if secret.trim() != secret {
        return Err(ConfigError::new(
            ConfigErrorKind::Secret,
            "the secret begins or ends with white space, so no genuine request would match it; a line break at the end of \
             a secrets file is the usual cause: trim it",
        ));
    }
    Ok(())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How far the signature's `t` may be from now.
///
/// It is not documented whether a delivery that is repeated after an outage carries a fresh `t`, so the past side is
/// generous. The stored idempotency keys stop replays, not this window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// How old a signature may be. Defaults to 24 hours.
    pub past: Duration,
    /// How far ahead the sender's clock may be. Defaults to 5 minutes.
    pub future: Duration,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { past: Duration::from_secs(24 * 60 * 60), future: Duration::from_secs(5 * 60) }
    }
}

/// A valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// When the request was signed.
    pub signed_at: Timestamp,
    /// Which of the secrets matched: the index into the slice passed to [`verify`]. During a rotation, the old secret
    /// can be removed once it has not matched for a while.
    pub secret: usize,
}

/// Checks a signature header against the raw body.
///
/// Every `v1` is compared with the MAC of every secret, each in constant time. Elements other than `t` and `v1` are
/// ignored, as documented. The age is checked last, so [`TooOld`](SignatureError::TooOld) is only returned for a
/// genuine signature.
///
/// Join a header that was split into several lines, or repeated, with commas; the same `t` may occur again. The body is
/// hashed once for each secret, and each secret is compared with at most [`MAX_SIGNATURES`] `v1`: a header with more,
/// or of more than [`MAX_HEADER_BYTES`], is malformed and no secret is used.
///
/// ```
/// use jaas_core::signature::{self, Secret, Tolerance};
/// use jaas_core::Timestamp;
///
/// let secret = Secret::new("whsec_00000000000000000000000000000000")?;
/// let now = Timestamp::from_secs(1_760_000_003);
/// let header = "t=1760000000,v1=RIAGpkD1LqUBOM3g17quRvYJHkiZqnQH60PI+ZPILWE=";
/// let verified = signature::verify(header, b"\xff\xfe{}", &[secret], now, Tolerance::default())?;
/// assert_eq!(verified.signed_at, Timestamp::from_secs(1_760_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The reason why the signature is not valid.
pub fn verify(
    header: &str,
    body: &[u8],
    secrets: &[Secret],
    now: Timestamp,
    tolerance: Tolerance,
) -> Result<Verified, SignatureError> {
    let t = parse(header)?;
    let signed_at = t.parse().map(Timestamp::from_secs).map_err(|_| SignatureError::Malformed)?;
    let mut matching = None;
    for (index, secret) in secrets.iter().enumerate() {
        let mac = secret.mac(t, body).finalize();
        for candidate in candidates(header) {
            // Not short-circuited, and this comparison is constant-time.
            if mac == candidate && matching.is_none() {
                matching = Some(index);
            }
        }
    }
    let secret = matching.ok_or(SignatureError::Mismatch)?;
    if signed_at < now.saturating_sub(tolerance.past) {
        return Err(SignatureError::TooOld { age: now.duration_since(signed_at) });
    }
    if signed_at > now.saturating_add(tolerance.future) {
        return Err(SignatureError::FromTheFuture { ahead: signed_at.duration_since(now) });
    }
    Ok(Verified { signed_at, secret })
}

/// Signs a body as JaaS does and returns the header's value; for tests and for the sender's side of a relay.
///
/// ```
/// # use jaas_core::signature::{sign, Secret};
/// # use jaas_core::Timestamp;
/// let secret = Secret::new("whsec_00000000000000000000000000000000")?;
/// assert_eq!(
///     sign(&secret, Timestamp::from_secs(1_760_000_000), b"\xff\xfe{}"),
///     "t=1760000000,v1=RIAGpkD1LqUBOM3g17quRvYJHkiZqnQH60PI+ZPILWE="
/// );
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
pub fn sign(secret: &Secret, at: Timestamp, body: &[u8]) -> String {
    let t = at.as_secs().to_string();
    let v1 = STANDARD.encode(secret.mac(&t, body).finalize().into_bytes());
    format!("t={t},v1={v1}")
}

/// The `t` as written, of a header that has at least one `v1` and not too many.
fn parse(header: &str) -> Result<&str, SignatureError> {
    if header.len() > MAX_HEADER_BYTES {
        return Err(SignatureError::Malformed);
    }
    let mut t = None;
    let mut seen_v1 = 0;
    for (name, value) in elements(header) {
        match name {
            // The whole header twice, as intermediaries may send it; of two times, neither can be trusted.
            "t" if t.is_some_and(|seen| seen != value) => return Err(SignatureError::Malformed),
            "t" => t = Some(value),
            "v1" => seen_v1 += 1,
            _ => {}
        }
    }
    t.filter(|_| (1..=MAX_SIGNATURES).contains(&seen_v1)).ok_or(SignatureError::Malformed)
}

fn elements(header: &str) -> impl Iterator<Item = (&str, &str)> {
    // Only the first `=` separates: the base64 value ends in `=` itself.
    header.split(',').filter_map(|element| element.trim().split_once('='))
}

/// Those `v1` that can be a MAC.
fn candidates(header: &str) -> impl Iterator<Item = CtOutput<Hmac<Sha256>>> {
    elements(header).filter(|(name, _)| *name == "v1").filter_map(|(_, value)| {
        // More room than 32 bytes, because the decoder asks for it in steps of 3.
        let mut bytes = [0; 33];
        let length = STANDARD.decode_slice(value, &mut bytes).ok()?;
        let mac: &[u8; 32] = bytes.get(..length)?.try_into().ok()?;
        Some(CtOutput::new((*mac).into()))
    })
}

pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[allow(
        clippy::expect_used,
        reason = "HMAC takes keys of every length: longer ones are hashed, shorter ones padded"
    )]
    Hmac::new_from_slice(key).expect("a key of any length")
}

/// Why a signature header was refused. For logs and metrics; the sender learns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The header has no `t`, different ones, one that is not a number, no `v1`, or more than [`MAX_SIGNATURES`]; or it
    /// is longer than [`MAX_HEADER_BYTES`].
    #[error("the signature header is not of the form t=<seconds>,v1=<base64>")]
    Malformed,
    /// No `v1` matches any secret.
    #[error("no v1 of the signature header matches the body and any of the secrets")]
    Mismatch,
    /// The signature is genuine but older than the tolerance.
    #[error("the signature is genuine but {} s old, more than the tolerance", age.as_secs())]
    TooOld {
        /// How old it is.
        age: Duration,
    },
    /// The signature is genuine but from further ahead than the tolerance.
    #[error("the signature is genuine but {} s ahead of this machine's clock, more than the tolerance", ahead.as_secs())]
    FromTheFuture {
        /// How far ahead it is.
        ahead: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("a good secret")
    }

    const NOW: Timestamp = Timestamp::from_secs(1_760_000_000);

    #[test]
    fn an_empty_or_white_space_edged_secret_is_refused_with_the_reason() {
        assert!(Secret::new("").expect_err("empty").to_string().contains("is empty"));
        assert!(Secret::new(" \n").expect_err("blank").to_string().contains("is empty"));
        assert!(Secret::new("whsec_1\n").expect_err("line break").to_string().contains("white space"));
        assert!(Secret::new(" whsec_1").is_err());
    }

    #[test]
    fn debug_hides_the_secret() {
        assert_eq!(format!("{:?}", secret("whsec_1")), "Secret(…)");
    }

    #[test]
    fn any_of_several_secrets_may_match_and_is_named() {
        let header = sign(&secret("old"), NOW, b"x");
        let verified = verify(&header, b"x", &[secret("new"), secret("old")], NOW, Tolerance::default());
        assert_eq!(verified, Ok(Verified { signed_at: NOW, secret: 1 }));
    }

    #[test]
    fn the_tolerance_has_two_sides_and_includes_its_ends() {
        let tolerance = Tolerance { past: Duration::from_secs(60), future: Duration::from_secs(5) };
        let check = |at: i64| {
            let header = sign(&secret("s"), Timestamp::from_secs(NOW.as_secs() + at), b"x");
            verify(&header, b"x", &[secret("s")], NOW, tolerance)
        };
        assert!(check(-60).is_ok() && check(5).is_ok());
        assert_eq!(check(-61), Err(SignatureError::TooOld { age: Duration::from_secs(61) }));
        assert_eq!(check(6), Err(SignatureError::FromTheFuture { ahead: Duration::from_secs(6) }));
    }

    #[test]
    fn a_t_that_is_not_a_number_or_occurs_twice_is_malformed() {
        let body = b"x";
        for header in ["t=,v1=AAAA", "t=1e9,v1=AAAA", "t=1,t=2,v1=AAAA", "t=1", "", "v1=AAAA", "t"] {
            let verified = verify(header, body, &[secret("s")], NOW, Tolerance::default());
            assert_eq!(verified, Err(SignatureError::Malformed), "{header:?}");
        }
    }

    #[test]
    fn the_same_t_again_and_any_of_several_v1_are_accepted_and_too_many_are_not() {
        let good = sign(&secret("s"), NOW, b"x");
        let (t, v1) = good.split_once(',').expect("two elements");
        let check =
            |header: &str| verify(header, b"x", &[secret("s")], NOW, Tolerance::default()).map(|_| ());
        let wrong = format!("v1={}", STANDARD.encode([0; 32]));
        assert_eq!(check(&format!("{t},{wrong},{t},{v1}")), Ok(()));
        assert_eq!(check(&format!("{v1},{t}")), Ok(()));
        let among = |others: usize| format!("{t},{}{v1}", format!("{wrong},").repeat(others));
        assert_eq!(check(&among(MAX_SIGNATURES - 1)), Ok(()));
        assert_eq!(check(&among(MAX_SIGNATURES)), Err(SignatureError::Malformed));
        let long = format!("{good},x={}", "y".repeat(MAX_HEADER_BYTES));
        assert_eq!(check(&long), Err(SignatureError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_refused_without_a_panic(header in ".*", body: Vec<u8>) {
            proptest::prop_assert!(verify(&header, &body, &[secret("s")], NOW, Tolerance::default()).is_err());
        }

        #[test]
        fn what_was_signed_verifies_and_one_changed_bit_does_not(body in proptest::collection::vec(0u8.., 1..200), at in 0usize.., bit in 0u8..8) {
            let header = sign(&secret("s"), NOW, &body);
            let verifies = |body: &[u8]| verify(&header, body, &[secret("s")], NOW, Tolerance::default()).is_ok();
            proptest::prop_assert!(verifies(&body));
            let mut changed = body.clone();
            changed[at % body.len()] ^= 1 << bit;
            proptest::prop_assert!(!verifies(&changed));
        }
    }
}
