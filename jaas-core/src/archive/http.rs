//! Fetching over HTTPS.

mod body;
mod builder;
mod network;
mod response;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HOST, IF_RANGE, RANGE};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::body::{Connection, Floor};
pub use self::builder::HttpFetcherBuilder;
use self::network::Network;
use self::response::Head;
use super::address::is_public;
use super::fetch::{Fetch, FetchError, FetchErrorKind, Fetched, Resume};
use super::target::{Hosts, Target};
use crate::config::ConfigError;
use crate::private::Link;

/// The largest part of a response that is buffered, in bytes.
const BUFFER: usize = 64 * 1024;

/// Fetches over HTTPS, from public addresses of the hosts that are allowed.
///
/// - The scheme is `https`; the host is one that JaaS was seen to use or that the application has
///   [added](HttpFetcherBuilder::host), never an IP address; user info and ports are refused.
/// - The name is looked up once, and the connection goes to one of the addresses that were checked. Addresses of this
///   machine, of private networks, and those in which one of them can be hidden, are passed over; if nothing is left,
///   nothing is connected to. Proxies of the environment are not used, because they would look the name up again.
/// - Redirects are not followed. Nothing is decompressed. The request has a `Host`, and when it goes on where an
///   earlier one stopped, `Range` and `If-Range`; no other header.
/// - 404 and 410 mean gone; any other failure is tried again.
/// - A transfer slower than the [minimum speed](HttpFetcherBuilder::min_speed) fails, and is tried again.
pub struct HttpFetcher {
    hosts: Hosts,
    local: bool,
    floor: Floor,
    connect_timeout: Duration,
    response_timeout: Duration,
    tls: TlsConnector,
    network: Arc<dyn Network>,
}

impl HttpFetcher {
    /// A fetcher with the defaults: from `objectstorage.*.oraclecloud.com`, `8x8.vc`, `api-vo.jitsi.net` and
    /// `*.s3.*.amazonaws.com`, which were seen in receivers.
    ///
    /// # Errors
    /// When the system trusts no certificates.
    pub fn new() -> Result<Self, ConfigError> {
        Self::builder().build()
    }

    /// Starts with the defaults.
    pub fn builder() -> HttpFetcherBuilder {
        HttpFetcherBuilder::new()
    }
}

#[async_trait]
impl Fetch for HttpFetcher {
    async fn fetch(&self, link: &Link, resume: Option<&Resume>) -> Result<Fetched, FetchError> {
        let target = Target::of(link.expose(), &self.hosts, self.local)?;
        let (response, connection) = self.request(&target, resume).await?;
        let head = Head::of(&response, resume)?;
        Ok(Fetched {
            from: head.from,
            length: head.length,
            validator: head.validator,
            body: body::stream(response.into_body(), connection, head.expected, self.floor),
        })
    }
}

impl HttpFetcher {
    /// Connects to an address of the target, and asks for the file.
    async fn request(
        &self,
        target: &Target,
        resume: Option<&Resume>,
    ) -> Result<(Response<Incoming>, Connection), FetchError> {
        let mut last = FetchError::failed(format!("{} has no address", target.host));
        for address in self.addresses(target).await? {
            match self.connect(target, address).await {
                Ok(stream) => return self.ask(stream, target, resume).await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The addresses of the target that may be connected to.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, FetchError> {
        let host = &target.host;
        if target.is_local {
            return Ok(vec![SocketAddr::from(([127, 0, 0, 1], target.port))]);
        }
        let found = within(self.connect_timeout, "looking up the host", self.network.resolve(host)).await?;
        if found.is_empty() {
            return Err(FetchError::failed(format!("{host} has no address")));
        }
        let public: Vec<_> = found.into_iter().filter(|address| is_public(*address)).collect();
        if public.is_empty() {
            // It may be the DNS of this network, which can be mended before the deadline.
            let why = format!("{host} has no public address; nothing was connected to");
            return Err(FetchError::new(FetchErrorKind::NotAllowed, why));
        }
        Ok(public.into_iter().map(|address| SocketAddr::new(address, target.port)).collect())
    }

    async fn connect(&self, target: &Target, address: SocketAddr) -> Result<Box<dyn Stream>, FetchError> {
        let stream = within(self.connect_timeout, "connecting", self.network.connect(address)).await?;
        let _ = stream.set_nodelay(true);
        if target.is_local {
            return Ok(Box::new(stream));
        }
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| FetchError::failed(format!("{} is not a name for TLS", target.host)))?;
        match timeout(self.connect_timeout, self.tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(error)) => Err(FetchError::failed(tls_error(&target.host, &error))),
            Err(_) => Err(FetchError::failed(format!("TLS took longer than {:?}", self.connect_timeout))),
        }
    }

    async fn ask(
        &self,
        stream: Box<dyn Stream>,
        target: &Target,
        resume: Option<&Resume>,
    ) -> Result<(Response<Incoming>, Connection), FetchError> {
        let host =
            if target.port == 443 { target.host.clone() } else { format!("{}:{}", target.host, target.port) };
        let mut request = Request::get(target.path.as_str()).header(HOST, host);
        if let Some(Resume { from, validator }) = resume {
            request = request.header(RANGE, format!("bytes={from}-")).header(IF_RANGE, validator);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| FetchError::failed("the request cannot be made"))?;
        let handshake = http1::Builder::new().max_buf_size(BUFFER).handshake(TokioIo::new(stream));
        let (mut sender, connection) = within(self.connect_timeout, "the connection", handshake).await?;
        let connection = Connection::drive(connection);
        let response =
            within(self.response_timeout, "waiting for the response", sender.send_request(request)).await?;
        Ok((response, connection))
    }
}

/// What a connection is to HTTP, with TLS or without.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Waits for a step, but not for long. Errors of these libraries do not have the link in them: they never see it whole.
async fn within<T, E: fmt::Display>(
    limit: Duration,
    step: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, FetchError> {
    match timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(FetchError::failed(format!("{step} failed: {error}"))),
        Err(_) => Err(FetchError::failed(format!("{step} took longer than {limit:?}"))),
    }
}

/// The error of a handshake, with the remedy if the certificate is what is wrong.
fn tls_error(host: &str, error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let remedy = match cause {
        Some(rustls::Error::InvalidCertificate(_)) => {
            "; the file is not fetched from a server whose certificate this system does not trust; if the server is \
             the right one, install the certificate of its authority on this system"
        }
        _ => "",
    };
    format!("TLS with {host} failed: {error}{remedy}")
}

impl From<super::target::Forbidden> for FetchError {
    fn from(why: super::target::Forbidden) -> Self {
        let kind = match why {
            super::target::Forbidden::Host(_) => FetchErrorKind::NotAllowed,
            _ => FetchErrorKind::Refused,
        };
        Self::new(kind, why.to_string())
    }
}

impl fmt::Debug for HttpFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFetcher")
            .field("hosts", &self.hosts)
            .field("local", &self.local)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
