//! Over HTTP.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jaas_core::signature;
use rustls::{ClientConfig, RootCertStore};

use super::target::{NoResponse, Target};
use crate::signer::SignedRequest;

/// The largest response that is read.
const LIMIT: usize = 1024 * 1024;

/// A running server. Connections are kept and reused. Redirects are not followed, because they are not a 2xx. Proxies
/// are not used.
#[derive(Clone)]
pub struct HttpTarget {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    url: Uri,
    authorization: Option<HeaderValue>,
}

impl HttpTarget {
    /// Creates a target for the server at this URL. For `https` the system decides which certificates are trusted.
    ///
    /// # Errors
    /// When this is not an `http` or `https` URL, or the system trusts no certificates at all.
    pub fn new(url: &str) -> Result<Self, HttpError> {
        let wrong = |reason: &str| HttpError::Url { url: url.to_owned(), reason: reason.to_owned() };
        let parsed: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let tls = match parsed.scheme_str() {
            Some("https") => tls(true)?,
            // The client needs a TLS configuration in any case.
            Some("http") => tls(false)?,
            Some(other) => return Err(wrong(&format!("{other} is neither http nor https"))),
            None => return Err(wrong("it has no http:// or https://")),
        };
        if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            // The message does not repeat it: it is a password.
            let reason = "name and password belong in the Authorization header, not in the URL".to_owned();
            return Err(HttpError::Url { url: place(&parsed), reason });
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, url: parsed, authorization: None })
    }

    /// Sends this value in the `Authorization` header, verbatim, as JaaS does for endpoints that have one (documented).
    ///
    /// # Errors
    /// When a header cannot hold it, because it has a line break or another control character.
    pub fn authorization(mut self, value: &str) -> Result<Self, HttpError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| HttpError::Authorization)?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Ok(self)
    }

    /// Posts a body, signed or not, and returns status and body.
    ///
    /// # Errors
    /// When no response came, or its body is larger than 1 MiB.
    pub async fn ask(&self, body: Bytes, signature: Option<&str>) -> Result<(u16, Bytes), NoResponse> {
        let response = self.send(body, signature).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LIMIT).collect().await;
        let body = body.map_err(|error| self.unreachable(&*error))?;
        Ok((status, body.to_bytes()))
    }

    async fn send(
        &self,
        body: Bytes,
        signature: Option<&str>,
    ) -> Result<
        Response<impl http_body_util::BodyExt<Data = Bytes, Error = impl Error + Send + Sync + 'static>>,
        NoResponse,
    > {
        let mut request = Request::post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        if let Some(signature) = signature {
            request = request.header(signature::HEADER, signature);
        }
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| self.unreachable(&error))?;
        self.client.request(request).await.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &(dyn Error + 'static)) -> NoResponse {
        NoResponse::Unreachable {
            reason: format!("{} cannot be reached: {}", place(&self.url), innermost(error)),
        }
    }
}

#[async_trait]
impl Target for HttpTarget {
    async fn post(&self, request: &SignedRequest) -> Result<u16, NoResponse> {
        let response = self.send(request.body.clone(), Some(&request.signature)).await?;
        let status = response.status().as_u16();
        // Read to its end; otherwise the connection cannot be reused. The status counts even if the body fails.
        let _ = Limited::new(response.into_body(), LIMIT).collect().await;
        Ok(status)
    }
}

impl std::fmt::Debug for HttpTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpTarget")
            .field("url", &place(&self.url))
            .field("authorization", &self.authorization.is_some())
            .finish_non_exhaustive()
    }
}

/// A URL without name, password and query, which may be secrets.
fn place(url: &Uri) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "{}://{}{port}{}",
        url.scheme_str().unwrap_or_default(),
        url.host().unwrap_or_default(),
        url.path()
    )
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
        .map_err(|error| HttpError::Tls { reason: error.to_string() })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// The innermost cause is the most informative.
fn innermost(mut error: &(dyn Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// Why nothing can be sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The URL cannot be used.
    #[error("{url:?} is not a URL to post to: {reason}; write it like https://example.com/webhooks/jaas")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system trusts no certificates.
    #[error("this system trusts no certificates ({reason}); install them (ca-certificates), or use http")]
    Certificates {
        /// The system's error.
        reason: String,
    },
    /// TLS cannot be prepared.
    #[error("TLS cannot be prepared: {reason}")]
    Tls {
        /// Why.
        reason: String,
    },
    /// The value of the `Authorization` header cannot be sent.
    #[error(
        "the Authorization value has a line break or another control character, which no header can hold; trim it"
    )]
    Authorization,
}
