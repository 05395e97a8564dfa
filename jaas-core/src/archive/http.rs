//! Fetching over HTTPS.

mod body;
mod network;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, HeaderName, IF_RANGE, LAST_MODIFIED, RANGE};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use self::body::{Connection, Floor};
use self::network::{Network, System};
use super::fetch::{Fetch, FetchError, FetchErrorKind, Fetched, Resume};
use super::target::{Hosts, Target, is_public};
use crate::config::{ConfigError, ConfigErrorKind};
use crate::private::Link;

/// The largest part of an answer that is buffered, in bytes.
const BUFFER: usize = 64 * 1024;

/// Fetches over HTTPS, from public addresses of the hosts that are allowed.
///
/// - The scheme is `https`; the host is one that JaaS was seen to use or that the application has
///   [added](HttpFetcherBuilder::host), never an IP address; user info and ports are refused.
/// - The name is looked up once, and the connection goes to one of the addresses that were checked. Addresses of this machine,
///   of private networks, and those in which one of them can be hidden, are passed over; if nothing is left, nothing is
///   connected to. Proxies of the environment are not used, because they would look the name up again.
/// - Redirects are not followed. Nothing is decompressed. The request has a `Host`, and when it goes on where an earlier one
///   stopped, `Range` and `If-Range`; no other header.
/// - 404 and 410 mean gone; any other failure is tried again.
/// - A server that sends less than a [floor](HttpFetcherBuilder::min_speed) is given up for now.
pub struct HttpFetcher {
    hosts: Hosts,
    local: bool,
    floor: Floor,
    connect_timeout: Duration,
    response_timeout: Duration,
    tls: TlsConnector,
    network: Arc<dyn Network>,
}

/// Builds an [`HttpFetcher`].
#[derive(Debug)]
#[must_use]
pub struct HttpFetcherBuilder {
    hosts: Result<Hosts, ConfigError>,
    local: bool,
    floor: Floor,
    connect_timeout: Duration,
    response_timeout: Duration,
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
        HttpFetcherBuilder {
            hosts: Ok(Hosts::seen()),
            local: false,
            floor: Floor { bytes_per_second: 16 * 1024, over: Duration::from_secs(30) },
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
        }
    }
}

impl HttpFetcherBuilder {
    /// Also fetches from this host. `*` stands for one label that is not one of the last two, as in
    /// `*.files.example.org`.
    pub fn host(mut self, host: &str) -> Self {
        self.hosts = self.hosts.and_then(|mut hosts| hosts.add(host).map(|()| hosts));
        self
    }

    /// How many bytes a server must send in a second, on average of a [window](Self::speed_window). Defaults to 16 KiB.
    pub fn min_speed(mut self, bytes_per_second: u64) -> Self {
        self.floor.bytes_per_second = bytes_per_second;
        self
    }

    /// Over what time the speed is measured: a server that sends nothing is given up after this. Defaults to 30 s.
    pub fn speed_window(mut self, window: Duration) -> Self {
        self.floor.over = window;
        self
    }

    /// How long looking up the name, connecting and TLS may take, each. Defaults to 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the server may take to begin its response. Defaults to 30 s.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Also fetches `http://127.0.0.1:…` links. Whoever can send events can then make this process read what listens there:
    /// for trying it by hand, and for tests.
    #[cfg(feature = "archive-local-files")]
    pub fn local_files(mut self) -> Self {
        self.local = true;
        self
    }

    /// Checks the configuration and builds the fetcher.
    ///
    /// # Errors
    /// When a host is not one, a timeout or the speed is zero, or the system trusts no certificates.
    pub fn build(self) -> Result<HttpFetcher, ConfigError> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
            return Err(ConfigError::new(
                ConfigErrorKind::Missing,
                format!(
                    "this system trusts no certificates ({why}), so no file can be fetched; install them (ca-certificates)"
                ),
            ));
        }
        self.over(roots, Arc::new(System))
    }

    fn over(self, roots: RootCertStore, network: Arc<dyn Network>) -> Result<HttpFetcher, ConfigError> {
        let zero = self.connect_timeout.is_zero() || self.response_timeout.is_zero();
        if zero || self.floor.bytes_per_second == 0 || self.floor.over.is_zero() {
            return Err(ConfigError::new(
                ConfigErrorKind::Range,
                "the fetcher's timeouts and speed must not be zero",
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| {
                ConfigError::new(ConfigErrorKind::Missing, format!("TLS cannot be prepared: {error}"))
            })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(HttpFetcher {
            hosts: self.hosts?,
            local: self.local,
            floor: self.floor,
            connect_timeout: self.connect_timeout,
            response_timeout: self.response_timeout,
            tls: TlsConnector::from(Arc::new(tls)),
            network,
        })
    }
}

#[async_trait]
impl Fetch for HttpFetcher {
    async fn fetch(&self, link: &Link, resume: Option<&Resume>) -> Result<Fetched, FetchError> {
        let target = Target::of(link.expose(), &self.hosts, self.local)?;
        let (response, connection) = self.request(&target, resume).await?;
        let about = About::of(&response, resume)?;
        Ok(Fetched {
            from: about.from,
            length: about.length,
            validator: about.validator,
            body: body::stream(response.into_body(), connection, about.expected, self.floor),
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
        let stream = within(self.connect_timeout, "TLS", self.tls.connect(name, stream)).await?;
        Ok(Box::new(stream))
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

/// What a response says of its body.
struct About {
    from: u64,
    length: Option<u64>,
    validator: Option<String>,
    /// How long the body is.
    expected: Option<u64>,
}

impl About {
    fn of(response: &Response<Incoming>, resume: Option<&Resume>) -> Result<Self, FetchError> {
        let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name| text(name).and_then(|text| text.trim().parse::<u64>().ok());
        let status = response.status();
        let validator = text(ETAG)
            .filter(|tag| tag.starts_with('"'))
            .or_else(|| text(LAST_MODIFIED).filter(|_| text(ETAG).is_none()))
            .map(str::to_owned);
        let expected = number(CONTENT_LENGTH);
        match (status, resume) {
            (StatusCode::OK, _) => Ok(Self { from: 0, length: expected, validator, expected }),
            (StatusCode::PARTIAL_CONTENT, Some(resume)) => {
                let (from, length) = text(CONTENT_RANGE).and_then(content_range).unwrap_or_default();
                if from != resume.from || validator.as_ref().is_some_and(|now| *now != resume.validator) {
                    return Err(FetchError::failed("the server sent another part than was asked for"));
                }
                Ok(Self { from, length, validator: Some(resume.validator.clone()), expected })
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                Err(FetchError::new(FetchErrorKind::Gone, format!("the server says {status}")))
            }
            _ if status.is_redirection() => Err(FetchError::new(
                FetchErrorKind::NotAllowed,
                format!("the server says {status}, and redirects are not followed"),
            )),
            _ => Err(FetchError::failed(format!("the server says {status}"))),
        }
    }
}

/// The first byte and the length of the whole, of `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.trim().parse().ok()?, length.trim().parse().ok()))
}

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
