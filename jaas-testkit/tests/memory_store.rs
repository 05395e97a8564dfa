//! The reference store keeps the contract it is the reference for.

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

jaas_testkit::store_conformance!(Memory, volatile);
jaas_testkit::settings_log_conformance!(Memory);
