//! Configuring the fetcher.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::HttpFetcher;
use super::body::Floor;
use super::network::{Network, System};
use crate::archive::target::Hosts;
use crate::config::{ConfigError, ConfigErrorKind};

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

impl HttpFetcherBuilder {
    pub(super) fn new() -> Self {
        Self {
            hosts: Ok(Hosts::seen()),
            local: false,
            floor: Floor { bytes_per_second: 16 * 1024, over: Duration::from_secs(30) },
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
        }
    }

    /// Also fetches from this host. `*` matches one label that is not one of the last two, as in
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

    /// Over what time the speed is measured: a transfer that brings nothing fails after this. Defaults to 30 s.
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

    /// Also fetches `http://127.0.0.1:…` links. A sender of events can then make this process read from services that
    /// listen there: only for trying it by hand, and for tests.
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
                    "this system trusts no certificates ({why}), so no file can be fetched; install them \
                     (ca-certificates)"
                ),
            ));
        }
        self.over(roots, Arc::new(System))
    }

    /// A fetcher that trusts these authorities, over this network.
    pub(super) fn over(
        self,
        roots: RootCertStore,
        network: Arc<dyn Network>,
    ) -> Result<HttpFetcher, ConfigError> {
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
