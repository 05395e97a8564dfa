//! Configuring an archive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Archive;
use super::artifact::Artifact;
use super::fetch::Fetch;
use super::http::HttpFetcher;
use super::name::{ObjectName, UnsafeName};
use super::sink::Sink;
use super::store::ArtifactStore;
use crate::backoff::Backoff;
use crate::clock::{Clock, SystemClock};
use crate::config::{ConfigError, ConfigErrorKind};

/// How objects are named.
pub(super) type Names = Arc<dyn Fn(&Artifact) -> Result<ObjectName, UnsafeName> + Send + Sync>;

/// Builds an [`Archive`].
#[must_use]
pub struct ArchiveBuilder<S> {
    store: S,
    sink: Arc<dyn Sink>,
    fetcher: Option<Arc<dyn Fetch>>,
    settings: Settings,
}

/// The configuration of an archiver.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) name: Arc<str>,
    pub(super) names: Names,
    pub(super) at_risk: Duration,
    pub(super) concurrency: usize,
    pub(super) lease: Duration,
    pub(super) backoff: Backoff,
    pub(super) max_bytes: u64,
    pub(super) handler_timeout: Duration,
    pub(super) poll_interval: Duration,
}

impl<S: ArtifactStore> ArchiveBuilder<S> {
    pub(super) fn new(store: S, sink: impl Sink) -> Self {
        let settings = Settings {
            clock: Arc::new(SystemClock),
            name: "archiver".into(),
            names: Arc::new(|artifact| Ok(ObjectName::of(artifact))),
            at_risk: Duration::from_secs(6 * 60 * 60),
            concurrency: 4,
            lease: Duration::from_secs(30),
            backoff: Backoff::default().max_delay(Duration::from_secs(15 * 60)),
            max_bytes: 64 << 30,
            handler_timeout: Duration::from_secs(10),
            poll_interval: Duration::from_secs(1),
        };
        Self { store, sink: Arc::new(sink), fetcher: None, settings }
    }

    /// What fetches files. Defaults to [`HttpFetcher::new`].
    pub fn fetcher(mut self, fetcher: impl Fetch) -> Self {
        self.fetcher = Some(Arc::new(fetcher));
        self
    }

    /// How objects are named. The same artifact must have the same name each time, and different ones different names.
    /// Defaults to [`ObjectName::of`].
    pub fn names(
        mut self,
        names: impl Fn(&Artifact) -> Result<ObjectName, UnsafeName> + Send + Sync + 'static,
    ) -> Self {
        self.settings.names = Arc::new(names);
        self
    }

    /// Where the time comes from. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.settings.clock = Arc::new(clock);
        self
    }

    /// The name recorded with claims, for people who look. Defaults to `archiver`.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// How long before its link dies an artifact is [at risk](super::ArtifactHandler::at_risk). Defaults to 6 h.
    pub fn at_risk(mut self, left: Duration) -> Self {
        self.settings.at_risk = left;
        self
    }

    /// How many files are fetched at once. Each takes up to about 10 MiB of memory. Defaults to 4.
    pub fn concurrency(mut self, files: usize) -> Self {
        self.settings.concurrency = files;
        self
    }

    /// How long a claim holds without renewal. It is renewed every third of this; after a crash, files that were being
    /// fetched are fetched again when it ends. Defaults to 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long to wait after a failure. It is never waited beyond the deadline, and
    /// [`max_failures`](Backoff::max_failures) does not count: the deadline ends the tries. Defaults to 1 s, doubled up
    /// to 15 min.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// How large a file may be, in bytes. Defaults to 64 GiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// How long a method of the handler may take. Keep it below the lease. Defaults to 10 s.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.settings.handler_timeout = timeout;
        self
    }

    /// How often to look for work that nothing announced. Defaults to 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.poll_interval = interval;
        self
    }

    /// Checks the configuration and builds the archive.
    ///
    /// # Errors
    /// When a limit is zero, or the fetcher cannot be made because the system trusts no certificates.
    pub fn build(self) -> Result<Archive<S>, ConfigError> {
        let settings = self.settings;
        for (what, zero) in [
            ("concurrency", settings.concurrency == 0),
            ("lease", settings.lease < Duration::from_millis(3)),
            ("max_bytes", settings.max_bytes == 0),
            ("handler_timeout", settings.handler_timeout.is_zero()),
            ("poll_interval", settings.poll_interval.is_zero()),
        ] {
            if zero {
                return Err(ConfigError::new(
                    ConfigErrorKind::Range,
                    format!("the archive's {what} must not be zero"),
                ));
            }
        }
        let fetcher = match self.fetcher {
            Some(fetcher) => fetcher,
            None => Arc::new(HttpFetcher::new()?),
        };
        Ok(Archive {
            store: Arc::new(self.store),
            sink: self.sink,
            fetcher,
            settings,
            added: Arc::new(Notify::new()),
        })
    }
}

impl<S> fmt::Debug for ArchiveBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("at_risk", &self.at_risk)
            .field("concurrency", &self.concurrency)
            .field("lease", &self.lease)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}
