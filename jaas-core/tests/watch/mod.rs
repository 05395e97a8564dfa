//! Noticing events that should have come and did not, over the memory store.
#![allow(clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod auditing;
mod endpoints;
mod seeded;

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

jaas_testkit::gap_store_conformance!(Memory, volatile);
