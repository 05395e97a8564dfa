//! Keeping the files behind the links of events, before the links die.
//!
//! Recordings, transcriptions, chats, shared documents and statistics are behind links that live for 24 h (statistics:
//! 48 h); then the files are deleted for good (documented). A handler that downloads holds back the later events of its
//! session, and gives up by count; a link gives up by the clock. So each file is a separate job:
//!
//! 1. The [`Intake`], a transactional handler, writes down [what an event links to](links()).
//! 2. The archiver fetches, [the earliest deadline first](ArtifactStore::claim_artifacts), and writes to a [`Sink`]. It
//!    tries again until the deadline.
//! 3. The application's [`ArtifactHandler`] hears of each file once, in its own transaction: *stored*, *at risk*,
//!    *lost*.
//!
//! The link is in the stored body of the event and nowhere else: not in the artifact's row, a log line, a metric, an
//! error or an object's name. Erasing a session ends what waits of it, and what waits is not purged.
//!
//! ```
//! use jaas_core::archive::{Archive, ArtifactHandler, ObjectSink};
//! use jaas_core::store::MemoryStore;
//! use jaas_core::{EventHandler, Handlers, Worker};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! struct Mine;
//! impl EventHandler for Mine {}
//! struct OnArtifact;
//! impl ArtifactHandler for OnArtifact {}
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! # let folder = std::env::temp_dir().join("jaas-archive-example");
//! let store = Arc::new(MemoryStore::new());
//! let archive = Archive::builder(store.clone(), ObjectSink::folder(folder)?).build()?;
//! let handlers = Handlers::new().transactional("archive", archive.intake()).transactional("mine", Mine);
//! let worker = Worker::builder(store, handlers).build()?.spawn();
//! let archiver = archive.spawn(OnArtifact);
//! // … until the application stops:
//! worker.stop(Duration::from_secs(10)).await;
//! archiver.stop(Duration::from_secs(10)).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod address;
mod archiver;
mod artifact;
mod builder;
mod download;
mod erasing;
mod fetch;
mod folder;
mod handler;
mod http;
mod intake;
mod job;
mod links;
mod name;
mod object_sink;
mod sink;
pub(crate) mod store;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The version of `object_store` that [`ObjectSink`] takes stores of.
pub use object_store;
use tokio::sync::Notify;

use self::archiver::Archiver;
pub use self::artifact::{Artifact, ArtifactKind};
pub use self::builder::ArchiveBuilder;
use self::builder::Settings;
pub use self::erasing::DeleteError;
pub use self::fetch::{Fetch, FetchError, FetchErrorKind, Fetched, Resume};
pub use self::handler::{ArtifactContext, ArtifactHandler, AtRisk, Lost};
pub use self::http::{HttpFetcher, HttpFetcherBuilder};
pub use self::intake::Intake;
pub use self::links::{ArtifactLink, links};
pub use self::name::{ObjectName, UnsafeName};
pub use self::object_sink::ObjectSink;
pub use self::sink::{Sink, SinkError, Upload};
pub use self::store::{
    ArtifactClaim, ArtifactClaimRequest, ArtifactLease, ArtifactQuery, ArtifactRecord, ArtifactState,
    ArtifactStats, ArtifactStore, Kept, LostWhy, NewArtifact, Postponed, Settling,
};
use crate::background::Background;

/// Fetches the files behind the links of a store's events, and keeps them. See the [module](self).
///
/// Any number of processes can share a store; each file is fetched by one of them.
pub struct Archive<S> {
    store: Arc<S>,
    sink: Arc<dyn Sink>,
    fetcher: Arc<dyn Fetch>,
    settings: Settings,
    added: Arc<Notify>,
}

impl<S: ArtifactStore> Archive<S> {
    /// Starts with the store of the events, and where files are kept.
    pub fn builder(store: S, sink: impl Sink) -> ArchiveBuilder<S> {
        ArchiveBuilder::new(store, sink)
    }

    /// The handler that writes down what is to be fetched. Mount it on the worker of the same store with
    /// [`Handlers::transactional`](crate::Handlers::transactional).
    pub fn intake(&self) -> Intake<S> {
        let (store, added) = (self.store.clone(), self.added.clone());
        Intake { store, at_risk: self.settings.at_risk, added }
    }

    /// Fetches in a task of the current tokio runtime, and calls this handler.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn(&self, handler: impl ArtifactHandler<S::Tx>) -> ArchiverHandle {
        let archiver = Archiver::new(self, Arc::new(handler));
        ArchiverHandle(Background::until(|stopped| archiver.until(stopped)))
    }
}

impl<S> fmt::Debug for Archive<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// An archiver that runs in a task. Dropping it cuts the archiver off, as a crash would; call
/// [`stop`](ArchiverHandle::stop).
#[derive(Debug)]
#[must_use = "dropping the handle cuts the archiver off"]
pub struct ArchiverHandle(Background<Duration>);

impl ArchiverHandle {
    /// Begins nothing new, waits up to `grace` for files that are being fetched, then gives the rest back, which counts
    /// as no failure.
    pub async fn stop(self, grace: Duration) {
        self.0.stop(grace).await;
    }

    /// Returns a check that any thread can call: does the archiver still run? For liveness probes.
    pub fn liveness(&self) -> impl Fn() -> bool + Clone + Send + Sync + 'static + use<> {
        self.0.liveness()
    }
}
