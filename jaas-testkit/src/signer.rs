//! Requests signed as JaaS signs them.

use bytes::Bytes;
use jaas_core::ConfigError;
use jaas_core::signature::{self, Secret};
use jaas_core::{Credentials, Timestamp};

/// Signs bodies with an endpoint's secret.
///
/// ```
/// use jaas_core::Timestamp;
/// use jaas_testkit::Signer;
///
/// let signer = Signer::new("whsec_00000000000000000000000000000000")?;
/// let request = signer.sign(Timestamp::from_secs(1_760_000_000), "{}");
/// assert!(request.headers()[0].1.starts_with("t=1760000000,v1="));
/// # Ok::<(), jaas_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Signer {
    secret: Secret,
}

impl Signer {
    /// Creates a signer with this secret.
    ///
    /// # Errors
    /// When the secret is empty or has white space at an end.
    pub fn new(secret: impl Into<String>) -> Result<Self, ConfigError> {
        Ok(Self { secret: Secret::new(secret)? })
    }

    /// Signs a body at this time.
    pub fn sign(&self, at: Timestamp, body: impl Into<Bytes>) -> SignedRequest {
        let body = body.into();
        SignedRequest { signature: signature::sign(&self.secret, at, &body), body }
    }
}

/// A request as JaaS would send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRequest {
    /// The value of `X-Jaas-Signature`.
    pub signature: String,
    /// The body.
    pub body: Bytes,
}

impl SignedRequest {
    /// The headers, for an HTTP client.
    pub fn headers(&self) -> [(&'static str, &str); 2] {
        [("X-Jaas-Signature", &self.signature), ("Content-Type", "application/json")]
    }

    /// The credentials, for [`Receiver::receive`](jaas_core::Receiver::receive).
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials { signature: Some(&self.signature), authorization: None }
    }
}
