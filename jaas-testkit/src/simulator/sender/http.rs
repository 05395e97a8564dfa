//! Over HTTP.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

use super::target::{Target, Unanswered};
use crate::signer::SignedRequest;

/// A running server. Connections are kept and used again; redirects are not followed, because they are no 2xx.
#[derive(Clone)]
pub struct HttpTarget {
    client: Client,
    url: Url,
    authorization: Option<String>,
}

impl HttpTarget {
    /// The server at this URL. `https` asks the system which certificates it trusts.
    ///
    /// # Errors
    /// When this is no `http` or `https` URL, or the system trusts no certificates at all.
    pub fn new(url: &str) -> Result<Self, HttpError> {
        let parsed = Url::parse(url)
            .map_err(|error| HttpError::Url { url: url.to_owned(), reason: error.to_string() })?;
        let mut builder =
            Client::builder().redirect(redirect::Policy::none()).connect_timeout(Duration::from_secs(5));
        builder = match parsed.scheme() {
            "https" => builder.tls_backend_preconfigured(tls(true)?),
            // It is asked for a TLS configuration all the same.
            "http" => builder.tls_backend_preconfigured(tls(false)?),
            other => {
                let reason = format!("{other} is neither http nor https");
                return Err(HttpError::Url { url: url.to_owned(), reason });
            }
        };
        let client = builder.build().map_err(|error| HttpError::Client { reason: chain(&error) })?;
        Ok(Self { client, url: parsed, authorization: None })
    }

    /// Sends this value in the `Authorization` header, verbatim, as JaaS does for endpoints that have one (documented).
    #[must_use]
    pub fn authorization(mut self, value: impl Into<String>) -> Self {
        self.authorization = Some(value.into());
        self
    }

    /// Posts a body, signed or not, and answers status and body.
    ///
    /// # Errors
    /// When no answer came, or its body is larger than 1 MiB.
    pub async fn ask(&self, body: Bytes, signature: Option<&str>) -> Result<(u16, Bytes), Unanswered> {
        const LIMIT: usize = 1024 * 1024;
        let mut response = self.send(body, signature).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > LIMIT {
                return Err(Unanswered::Unreachable {
                    reason: format!("{} answers more than 1 MiB", self.place()),
                });
            }
        }
        Ok((response.status().as_u16(), body.into()))
    }

    async fn send(&self, body: Bytes, signature: Option<&str>) -> Result<Response, Unanswered> {
        let mut post =
            self.client.post(self.url.clone()).header("Content-Type", "application/json").body(body);
        if let Some(signature) = signature {
            post = post.header(jaas_core::signature::HEADER, signature);
        }
        if let Some(value) = &self.authorization {
            post = post.header("Authorization", value);
        }
        post.send().await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Unanswered {
        if error.is_timeout() && !error.is_connect() {
            return Unanswered::TimedOut;
        }
        Unanswered::Unreachable { reason: format!("{} cannot be reached: {}", self.place(), chain(error)) }
    }

    /// Without user name, password and query, which may be secrets.
    fn place(&self) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!(
            "{}://{}{port}{}",
            self.url.scheme(),
            self.url.host_str().unwrap_or_default(),
            self.url.path()
        )
    }
}

#[async_trait]
impl Target for HttpTarget {
    async fn post(&self, request: &SignedRequest) -> Result<u16, Unanswered> {
        let mut response = self.send(request.body.clone(), Some(&request.signature)).await?;
        let status = response.status().as_u16();
        // Read to its end, or the connection cannot be used again. The status counts whatever becomes of the body.
        while let Ok(Some(_)) = response.chunk().await {}
        Ok(status)
    }
}

impl std::fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTarget")
            .field("url", &self.place())
            .field("authorization", &self.authorization.is_some())
            .finish_non_exhaustive()
    }
}

fn tls(needed: bool) -> Result<ClientConfig, HttpError> {
    let mut roots = RootCertStore::empty();
    if needed {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let reason = found.errors.first().map(ToString::to_string).unwrap_or_default();
            return Err(HttpError::Certificates { reason });
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Client { reason: error.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The innermost cause tells most, and never holds the URL with its query.
fn chain(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    let mut text = None;
    while let Some(inner) = cause.source() {
        text = Some(inner.to_string());
        cause = inner;
    }
    text.unwrap_or_else(|| "the request failed".to_owned())
}

/// Why nothing can be sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL cannot be used.
    #[error("{url:?} is no URL to post to: {reason}; it looks like https://example.com/webhooks/jaas")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts no certificates.
    #[error("this system trusts no certificates ({reason}); install them (ca-certificates), or use http")]
    Certificates {
        /// What the system says.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("the HTTP client cannot be made: {reason}")]
    Client {
        /// Why.
        reason: String,
    },
}
