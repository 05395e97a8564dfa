//! Fetching files behind links, over the memory store: the archiver with paused time, the fetcher and the sink over
//! real sockets and files.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod archiving;
mod downloads;
mod erasing;
mod outages;
mod overload;
mod refusals;
mod secrets;
mod world;

use std::sync::Arc;

use jaas_core::store::MemoryStore;
use jaas_testkit::conformance::Harness;

struct Memory(Arc<MemoryStore>);

#[async_trait::async_trait]
impl Harness for Memory {
    type Store = Arc<MemoryStore>;

    async fn start() -> Self {
        Self(Arc::new(MemoryStore::new()))
    }

    fn store(&self) -> Self::Store {
        self.0.clone()
    }
}

jaas_testkit::artifact_store_conformance!(Memory, volatile);
