//! A file that is kept, and one that is gone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use jaas_core::archive::{
    Archive, ArtifactHandler, ArtifactKind, Fetch, FetchError, FetchErrorKind, Fetched, Resume,
};
use jaas_core::store::{EventStore as _, MemoryStore};
use jaas_core::{Clock as _, Handlers, Link, Worker};
use jaas_testkit::TokioClock;
use jaas_testkit::archive::{FakeSink, uploaded};
use tokio::time::sleep;

use crate::world::NOW;

struct OneOfTwo;

#[async_trait]
impl Fetch for OneOfTwo {
    async fn fetch(&self, link: &Link, _: Option<&Resume>) -> Result<Fetched, FetchError> {
        if link.expose().ends_with("gone") {
            return Err(FetchError::new(FetchErrorKind::Gone, "the server says 404"));
        }
        Ok(Fetched::new(futures_util::stream::iter([Ok("a file".into())]).boxed()))
    }
}

struct Nothing;
impl ArtifactHandler for Nothing {}

/// Stores two events that link to files, and lets an archive run for a while.
pub(crate) async fn archived() {
    let store = Arc::new(MemoryStore::new());
    let clock = TokioClock::starting_at(NOW);
    let archive = Archive::builder(store.clone(), FakeSink::new()).fetcher(OneOfTwo).clock(clock).build();
    let archive = archive.expect("good");
    let deadline = clock.now().saturating_add(Duration::from_secs(24 * 60 * 60));
    for (kind, link) in
        [(ArtifactKind::Recording, "https://8x8.vc/there"), (ArtifactKind::Chat, "https://8x8.vc/gone")]
    {
        let event = uploaded(kind, kind.as_str(), "s-1", link, clock.now(), deadline);
        store.accept(event).await.expect("accepted");
    }
    let handlers = Handlers::new().transactional("archive", archive.intake());
    let worker = Worker::builder(store, handlers).clock(clock).build().expect("good").spawn();
    let archiver = archive.spawn(Nothing);
    sleep(Duration::from_secs(5)).await;
    worker.stop(Duration::ZERO).await;
    archiver.stop(Duration::ZERO).await;
}
